//! What is asked of S3 servers, this tool's and others: signed requests, and answers of which no more is read than is expected.

mod answer;
pub(crate) mod sign;

pub(crate) use answer::{Listed, Said, buckets, completed, late, listed, parts, refusal, shown, upload_id};

use sign::{Key, Plain, Signer};
use std::io::{self, Read as _};
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

/// The most bytes of an answer that is not an object. A page of a listing has at most a thousand keys of 1,024 bytes, each of which may be
/// escaped, and what is said of each.
const ANSWER: u64 = 8 * 1024 * 1024;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `http` or `https`.
    pub(crate) scheme: String,
    /// The host, and the port if it is not the one of the scheme.
    pub(crate) host: String,
    pub(crate) region: String,
}

/// One request.
#[derive(Default)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) query: sign::Pairs,
    pub(crate) headers: sign::Pairs,
    pub(crate) body: &'a [u8],
}

impl Ask<'_> {
    /// A part of the query.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// A header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The path of the URL.
    pub(crate) fn path(&self) -> String {
        let bucket = self.bucket.map(|bucket| sign::escaped(bucket, false)).unwrap_or_default();
        let key = self.key.map(|key| format!("/{}", sign::escaped(key, true))).unwrap_or_default();
        format!("/{bucket}{key}")
    }
}

/// Sends requests.
pub(crate) struct Client {
    agent: Agent,
    pub(crate) endpoint: Endpoint,
}

impl Client {
    /// By connections of an agent, which follows no redirects and takes no status for an error.
    pub(crate) fn new(agent: Agent, endpoint: Endpoint) -> Client {
        Client { agent, endpoint }
    }

    /// Sends a request, signed if there is a key.
    ///
    /// # Errors
    /// No answer. One that refuses is an answer.
    pub(crate) fn send(&self, ask: &Ask<'_>, key: Option<&Key>) -> Result<Response<Body>, ureq::Error> {
        let Endpoint { scheme, host, region } = &self.endpoint;
        let path = ask.path();
        let payload = sign::sha256(ask.body);
        let at = now();
        let signed = key.map(|key| {
            let plain = Plain {
                method: ask.method,
                host,
                path: &path,
                query: &ask.query,
                headers: &ask.headers,
                payload: &payload,
            };
            Signer { key, region, at: &at }.headers(&plain)
        });
        let query = sign::query_of(&ask.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request =
            Request::builder().method(ask.method).uri(format!("{scheme}://{host}{path}{mark}{query}"));
        for (name, value) in ask.headers.iter().chain(signed.iter().flatten()) {
            request = request.header(name, value);
        }
        match ask.method {
            "PUT" | "POST" => self.agent.run(request.body(ask.body)?),
            _ => self.agent.run(request.body(())?),
        }
    }

    /// A URL by which anybody may do this for so many seconds.
    pub(crate) fn url(&self, ask: &Ask<'_>, key: &Key, seconds: u64) -> String {
        let Endpoint { scheme, host, region } = &self.endpoint;
        let (path, at) = (ask.path(), now());
        let (query, headers, payload) = (&ask.query, &ask.headers, sign::UNREAD);
        let plain = Plain { method: ask.method, host, path: &path, query, headers, payload };
        format!("{scheme}://{host}{}", Signer { key, region, at: &at }.url(&plain, seconds))
    }
}

/// The time as signatures have it.
pub(crate) fn now() -> String {
    let now = common::log::clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    common::log::at(now.as_secs()).chars().filter(|c| !"-:".contains(*c)).collect()
}

/// All of an answer that is not an object.
///
/// # Errors
/// One that is too long, or was broken off.
pub(crate) fn whole(answer: Response<Body>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer.into_body().into_reader().take(ANSWER + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= ANSWER) {
        true => Ok(bytes),
        false => Err(io::Error::other("the answer is too long")),
    }
}
