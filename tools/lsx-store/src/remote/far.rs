//! A server with a key for it: of the stack, or as programs for S3 find them in the environment and in a file of credentials.

use super::at::At;
use super::place::Place;
use super::who::{of_environment, of_stack, set};
use crate::client::sign::Key;
use crate::client::{self, Ask, Client, Endpoint, Said};
use crate::model::{Done, Right};
use crate::plan::objects;
use common::host::wait;
use common::stack::{Resolved, Stack};
use common::verb::{self, StackArgs};
use common::{Failure, Failures, Kind, document};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

/// The connection is given up after this time without data.
const SILENCE: Duration = Duration::from_secs(60);
/// A server may copy many parts before it answers.
const DONE: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(10);
/// How often a request is sent, and the pause between.
const TIMES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Files of trusted certificates of Linux distributions; if none exists, Mozilla's list is used.
const TRUSTED: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// A server, and who asks it.
pub(super) struct Far {
    client: Client,
    key: Key,
    /// The stack whose server it is.
    stack: Option<String>,
}

impl Far {
    /// By flags, the environment, and the stack.
    ///
    /// # Errors
    /// No server or key is named, or they are none.
    pub(super) fn of(at: &At, bucket: Option<&str>, right: Right) -> Result<Far, Failures> {
        let named =
            at.endpoint.clone().or_else(|| set("AWS_ENDPOINT_URL_S3")).or_else(|| set("AWS_ENDPOINT_URL"));
        let stack = match (&at.stack, &at.user, &named) {
            (None, None, Some(_)) => None,
            _ => Some(read(at)?),
        };
        let own = stack.as_ref().and_then(|(_, stack, resolved)| {
            resolved.hosts.iter().find_map(|host| objects::of(stack, resolved, &host.name))
        });
        let own_endpoint = own.as_ref().and_then(|own| Some(format!("http://{}", own.listen.first()?)));
        let ours = named.is_none();
        let text = named.or(own_endpoint).ok_or_else(|| {
            let message = "no server is named, and the stack has no buckets".to_owned();
            Failure::new(Kind::Usage, "usage.endpoint", message).hint("write --endpoint https://HOST")
        })?;
        let region = at.region.clone().or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
        let region = region.or_else(|| own.map(|own| own.region)).unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = endpoint(&text, region)?;
        let key = match &stack {
            Some((args, stack, _)) => of_stack(args, stack, at.user.as_deref(), bucket, right)?,
            None => of_environment()?,
        };
        let agent = agent(&endpoint.scheme);
        let stack = stack.filter(|_| ours).map(|(_, stack, _)| stack.name);
        Ok(Far { client: Client::new(agent, endpoint), key, stack })
    }

    /// The server as a URL.
    pub(super) fn endpoint(&self) -> String {
        format!("{}://{}", self.client.endpoint.scheme, self.client.endpoint.host)
    }

    /// A URL by which anybody may do this.
    pub(super) fn url(&self, ask: &Ask<'_>, seconds: u64) -> String {
        self.client.url(ask, &self.key, seconds)
    }

    /// What a new bucket is told of its region.
    pub(super) fn constraint(&self) -> String {
        match self.client.endpoint.region.as_str() {
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ),
        }
    }

    /// Sends a request that must succeed; all of its answer.
    pub(super) fn done(&self, ask: &Ask<'_>) -> Result<Vec<u8>, Failure> {
        client::whole(self.sent(ask)?).map_err(|e| self.lost(&e.to_string()))
    }

    /// Sends a request that must succeed, again if the server is busy or the connection is lost.
    pub(super) fn sent(&self, ask: &Ask<'_>) -> Result<Response<Body>, Failure> {
        let again = ask.method != "POST";
        let mut left = TIMES;
        loop {
            left -= 1;
            let failure = match self.client.send(ask, Some(&self.key)) {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    let region =
                        answer.headers().get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
                    let region = region.map(client::shown);
                    let body = client::whole(answer).unwrap_or_default();
                    let failure = self.refused(&client::refusal(status, &body), region.as_deref());
                    if !matches!(status, 429 | 500 | 502..=504) {
                        return Err(failure);
                    }
                    failure
                }
                Err(e) => self.lost(&e.to_string()),
            };
            if left == 0 || !again {
                return Err(failure);
            }
            wait::until(PAUSE, PAUSE, || false);
        }
    }

    /// What the server refused, for people.
    pub(super) fn refused(&self, said: &Said, region: Option<&str>) -> Failure {
        let kind = match said.status {
            401 | 403 => Kind::Denied,
            429 | 502..=504 => Kind::Again,
            _ => Kind::Failed,
        };
        let failure =
            Failure::new(kind, "store.request", format!("{} answers {}", self.endpoint(), said.words()));
        match (said.code.as_str(), said.status) {
            (_, 300..=399) => match region {
                Some(region) => {
                    failure.hint(format!("the bucket is in another region: write --region {region}"))
                }
                None => failure.hint("redirections are not followed: name the server itself by --endpoint"),
            },
            ("SignatureDoesNotMatch", _) => {
                failure.hint("the secret key, or the region, is another one than the server's")
            }
            ("InvalidAccessKeyId", _) => failure.hint("the server does not know this access key"),
            ("RequestTimeTooSkewed", _) => {
                failure.hint("the clock of this machine, or of the server, is wrong")
            }
            ("", 404) => failure.hint("is this an S3 server?"),
            _ => failure,
        }
    }

    /// An answer that is not what was asked for.
    pub(super) fn odd(&self, what: &str) -> Failure {
        let message = format!("{} answers with something else than {what}", self.endpoint());
        Failure::new(Kind::Failed, "store.request", message).hint("is this an S3 server?")
    }

    pub(super) fn lost(&self, why: &str) -> Failure {
        let message = format!("{} cannot be reached: {}", self.endpoint(), client::shown(why));
        let failure = Failure::new(Kind::Unreachable, "store.request", message);
        match &self.stack {
            Some(stack) => failure.hint(format!(
                "buckets of {stack} are reached from its networks: from an instance, or by a load balancer that --endpoint names"
            )),
            None => failure,
        }
    }

    /// What is said of a verb that was carried out.
    pub(super) fn said(&self, verb: &str, bucket: &str) -> Done {
        let (schema, verb, bucket) = (document::schema("store", "done"), verb.to_owned(), bucket.to_owned());
        Done { schema, verb, endpoint: self.endpoint(), bucket, ..Done::default() }
    }

    /// What an object is called.
    pub(super) fn name(&self, place: &Place) -> String {
        format!("{}/{}/{}", self.endpoint(), place.bucket, client::shown(&place.key))
    }
}

/// The stack. Standard input may be what is put, and is never read for it.
fn read(at: &At) -> Result<(StackArgs, Stack, Resolved), Failures> {
    let usual = || set("LSX_STACK").unwrap_or_else(|| "stack.yaml".to_owned()).into();
    let file: PathBuf = at.stack.clone().unwrap_or_else(usual);
    if at.stack.is_none() && !file.exists() {
        let message = "no server is named, and there is no stack".to_owned();
        let hint = "write --endpoint https://HOST, or --stack FILE";
        return Err(Failure::new(Kind::Usage, "usage.endpoint", message).hint(hint).into());
    }
    let args = StackArgs { input: Some(file), ..StackArgs::default() };
    let (stack, resolved) = verb::read_stack(&args)?;
    Ok((args, stack, resolved))
}

/// A server's URL: a scheme, a host and perhaps a port. Pure.
fn endpoint(text: &str, region: String) -> Result<Endpoint, Failure> {
    let wrong = |what: &str| {
        let message = format!("{text:?} is not a server: {what}");
        Failure::new(Kind::Usage, "usage.endpoint", message).hint("write https://HOST or http://HOST:PORT")
    };
    let (scheme, host) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
    let host = host.strip_suffix('/').unwrap_or(host);
    if !matches!(scheme, "http" | "https") {
        return Err(wrong("its scheme is neither http nor https"));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || !host.chars().all(known) {
        return Err(wrong("a host and a port are all that is taken"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if region.is_empty() || !region.chars().all(plain) {
        let message = format!("{region:?} is not a region");
        return Err(Failure::new(Kind::Usage, "usage.region", message).hint("such as us-east-1"));
    }
    // As programs send it, and so sign it: without the usual port.
    let usual = if scheme == "http" { ":80" } else { ":443" };
    let host = host.strip_suffix(usual).unwrap_or(host);
    Ok(Endpoint { scheme: scheme.to_owned(), host: host.to_lowercase(), region })
}

fn agent(scheme: &str) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(DONE))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .user_agent("lsx");
    config = match scheme {
        "https" => config.tls_config(TlsConfig::builder().root_certs(roots()).build()),
        _ => config.proxy(None),
    };
    Agent::with_parts(config.build(), DefaultConnector::new(), common::http::Names)
}

fn roots() -> RootCerts {
    let bundle = TRUSTED.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let certificate = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    let all: Vec<Certificate<'static>> =
        ureq::tls::parse_pem(&bundle).filter_map(Result::ok).filter_map(certificate).collect();
    if all.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_a_port() {
        let host = |text: &str| endpoint(text, "here".to_owned()).map(|at| at.host).map_err(|e| e.message);
        assert_eq!(host("http://[::1]:9000").as_deref(), Ok("[::1]:9000"));
        assert_eq!(host("https://S3.example.org:443/").as_deref(), Ok("s3.example.org"));
        for wrong in [
            "",
            "s3.example.org",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a/b",
            "http://a?b",
            "http://a\n",
        ] {
            assert!(host(wrong).is_err(), "{wrong:?}");
        }
        assert!(endpoint("http://a", "a<b".to_owned()).is_err());
    }
}
