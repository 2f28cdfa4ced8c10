//! One HTTP GET (RFC 9112), with or without TLS, by ureq over our own connections.

mod link;
#[cfg(test)]
mod soak;

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::unversioned::transport::Connector;
use ureq::{Agent, Body, Error};

use link::{Connect, Lookup, Refusal};

use super::names::{Names, ScopedIp};
use super::outcome::{Outcome, State, ms};
use super::problem::Problem;
use super::target::{Http, Target};
use super::tls::{self, SeenDates};

/// Headers that are reported even if none is expected.
const SHOWN: [&str; 3] = ["content-type", "location", "server"];
/// Maximum number of redirects followed.
const MAX_REDIRECTS: u32 = 5;
/// Maximum number of bytes of the body, read at once.
const BODY_BYTES: usize = 16_384;

/// Sends the request, reads the head and the first bytes of the body, compares.
pub(super) fn probe(target: &Target, http: &Http, place: ScopedIp, names: &Names) -> Outcome {
    let timeout = Duration::from_millis(target.timeout_ms);
    let seen = SeenDates::default();
    let connect = Connect {
        source: target.source,
        interface: target.interface.clone(),
        timeout,
        first: (target.address.clone(), http.port),
        ca: http.ca.clone(),
        server_name: http.server_name.clone(),
        seen: seen.clone(),
    };
    let lookup = Lookup { host: target.address.clone(), place, names: names.clone() };
    let mut outcome = ask(target, http, lookup, connect);
    tls::date(&mut outcome, &seen);
    outcome
}

fn ask(target: &Target, http: &Http, lookup: Lookup, connect: impl Connector) -> Outcome {
    let began = Instant::now();
    let mut outcome = match get(target, http, lookup, connect) {
        Ok(response) => judge(target, response),
        Err(error) => {
            let (state, problem) = explain(target, &error);
            Outcome::failed(target, state, problem)
        }
    };
    outcome.ms = Some(ms(began.elapsed()));
    outcome
}

/// Follows redirects without ureq, which panics if a server breaks off the body of one (3.5.1).
fn get(
    target: &Target,
    http: &Http,
    lookup: Lookup,
    connect: impl Connector,
) -> Result<Response<Body>, Error> {
    let began = Instant::now();
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A proxy of the environment would answer instead of the target.
        .proxy(None)
        .user_agent("lsx")
        .max_idle_connections(0)
        .build();
    let agent = Agent::with_parts(config, connect, lookup);
    let first = uri_of(&url(&target.address, http))?;
    let mut uri = first.clone();
    for _ in 0..=MAX_REDIRECTS {
        let left = Duration::from_millis(target.timeout_ms).saturating_sub(began.elapsed());
        let named = http.host().filter(|_| uri.authority() == first.authority());
        let request = agent.get(uri.clone()).config().timeout_global(Some(left)).build();
        let response = match named {
            Some(host) => request.header("host", host).call(),
            None => request.call(),
        }?;
        match next(&uri, &response).filter(|_| http.follow) {
            Some(next) => uri = next?,
            None => return Ok(response),
        }
    }
    Err(Error::TooManyRedirects)
}

/// The target of a redirect (RFC 9110, 15.4 and 10.2.2).
fn next(at: &Uri, response: &Response<Body>) -> Option<Result<Uri, Error>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = String::from_utf8_lossy(response.headers().get("location")?.as_bytes()).into_owned();
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, authority) = (at.scheme_str().unwrap_or("http"), at.authority()?);
    let folder = at.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let absolute = match location {
        url if url.starts_with("http://") || url.starts_with("https://") => url.to_owned(),
        url if url.starts_with("//") => format!("{scheme}:{url}"),
        path if path.starts_with('/') => format!("{scheme}://{authority}{path}"),
        query if query.starts_with('?') => format!("{scheme}://{authority}{}{query}", at.path()),
        path => format!("{scheme}://{authority}{folder}/{path}"),
    };
    Some(uri_of(&absolute))
}

fn uri_of(text: &str) -> Result<Uri, Error> {
    text.parse::<Uri>().map_err(|error| Error::Http(error.into()))
}

/// The URL of a target; a zone is not part of a host in a URL (RFC 9844), but the lookup knows it.
fn url(address: &str, http: &Http) -> String {
    let host = match address.split('%').next().unwrap_or_default() {
        v6 if v6.contains(':') => format!("[{v6}]"),
        host => host.to_owned(),
    };
    format!("{}://{host}:{}{}", http.scheme(), http.port, http.path)
}

fn judge(target: &Target, response: Response<Body>) -> Outcome {
    let status = response.status().as_u16();
    let headers = headers(target, &response);
    let expect = &target.expect;
    let wrong = expect.status_problem(status).or_else(|| expect.header_problem(&headers));
    let mut buffer = [0; BODY_BYTES];
    let read = response.into_body().into_reader().read(&mut buffer);
    let mut outcome = match (wrong, &read) {
        (Some(problem), _) => Outcome::failed(target, State::Unexpected, problem),
        (None, Ok(_)) => Outcome::new(target, State::Answered),
        (None, Err(error)) => Outcome::failed(
            target,
            State::Unexpected,
            Problem::new(format!("the header was received, but not the body: {error}")),
        ),
    };
    outcome.status = Some(status);
    outcome.headers = headers;
    outcome.bytes_read = read.ok().map(|bytes| bytes as u64);
    outcome
}

/// The reported headers; several of one name are joined as RFC 9110 5.3 allows.
fn headers(target: &Target, response: &Response<Body>) -> BTreeMap<String, String> {
    let expected = target.expect.headers.keys().map(|k| k.to_ascii_lowercase());
    let wanted = expected.chain(SHOWN.map(str::to_owned));
    wanted
        .filter_map(|name| {
            let values = response.headers().get_all(&name);
            let values: Vec<_> =
                values.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            (!values.is_empty()).then(|| (name, values.join(", ")))
        })
        .collect()
}

fn explain(target: &Target, error: &Error) -> (State, Problem) {
    match error {
        Error::Timeout(_) => {
            (State::Timeout, Problem::new(format!("no HTTP response in {} ms", target.timeout_ms)))
        }
        Error::Io(error) => match error.get_ref().and_then(|e| e.downcast_ref::<Refusal>()) {
            Some(Refusal(state, problem)) => (*state, problem.clone()),
            None => (State::Failed, Problem::new(format!("connected, then {error}"))),
        },
        Error::TooManyRedirects => {
            (State::Unexpected, Problem::new(format!("more than {MAX_REDIRECTS} redirects")))
        }
        Error::Protocol(error) => (
            State::Unexpected,
            Problem::new(format!("the answer is not HTTP: {error}"))
                .hint("a probe of kind banner shows what the service says"),
        ),
        error => (State::Failed, Problem::new(error.to_string())),
    }
}
