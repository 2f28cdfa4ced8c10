//! Requests to one repository of a registry, with its token.

use super::Access;
use super::names::{Home, Names};
use super::reference::Reference;
use super::{access, backoff, trust};
use crate::image::limits::{self, Paced};
use crate::image::refused;
use common::{Failure, Kind};
use std::cell::RefCell;
use std::io;
use std::time::Duration;
use ureq::http::{Request, Response};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

/// The connection is closed after this time without data.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);

/// The expected answer.
pub(super) enum Want<'a> {
    /// Must exist; otherwise this is missing.
    Found(&'a str),
    /// May be missing.
    Either,
}

/// A connection to one repository.
pub(super) struct Client<'a> {
    /// Requests to the registry itself.
    agent: Agent,
    /// Requests to other servers that the registry refers to.
    pub(super) away: Agent,
    pub(super) home: Home,
    pub(super) base: String,
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) plain: bool,
    pub(super) access: &'a Access,
    /// The last accepted `Authorization` header.
    pass: RefCell<Option<String>>,
}

impl<'a> Client<'a> {
    pub(super) fn new(reference: &Reference, access: &'a Access) -> Result<Client<'a>, Failure> {
        let plain = !access.trusts(&reference.host) && (access.plain(&reference.host) || reference.near());
        let home = Home::default();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent("lsx");
        if plain {
            config = config.proxy(None);
        } else {
            let roots = trust::roots(&reference.host, access)?;
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let config = config.build();
        let agent = |away| {
            let names = Names { home: Home::clone(&home), away };
            Agent::with_parts(config.clone(), DefaultConnector::new(), names)
        };
        let scheme = if plain { "http" } else { "https" };
        Ok(Client {
            agent: agent(false),
            away: agent(true),
            home,
            base: format!("{scheme}://{}", reference.server()),
            host: reference.host.clone(),
            repository: reference.repository.clone(),
            plain,
            access,
            pass: RefCell::new(None),
        })
    }

    /// The URL of a path in the repository.
    pub(super) fn url(&self, below: &str) -> String {
        format!("{}/v2/{}/{below}", self.base, self.repository)
    }

    /// The URL to continue an upload: a path, or a URL of the same registry. Data and token are not sent to any other
    /// server.
    pub(super) fn location(&self, answer: &Response<Body>) -> Result<String, Failure> {
        let location =
            answer.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        match location {
            path if path.starts_with('/') && !path.starts_with("//") => Ok(format!("{}{path}", self.base)),
            whole if whole.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/')) => {
                Ok(whole.to_owned())
            }
            other => Err(refused("registry", format!("{}: it redirects an upload to {other:?}", self.host))),
        }
    }

    pub(super) fn get(
        &self,
        below: &str,
        want: &Want<'_>,
        accept: &[&str],
    ) -> Result<Response<Body>, Failure> {
        let accept = if accept.is_empty() { "*/*".to_owned() } else { accept.join(", ") };
        self.send("GET", &self.url(below), &[("accept", &accept)], b"", want)
    }

    /// Sends a request, and repeats it if the registry first asks for a token.
    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        want: &Want<'_>,
    ) -> Result<Response<Body>, Failure> {
        let ask = || backoff::patient(|| self.once(&self.agent, method, url, headers, body));
        let mut answer = ask()?;
        if answer.status() == 401 {
            let challenge = answer.headers().get("www-authenticate").and_then(|v| v.to_str().ok());
            let pass = self.passed(challenge.unwrap_or_default(), method)?;
            self.pass.replace(Some(pass));
            answer = ask()?;
        }
        if matches!(method, "GET" | "HEAD") {
            answer = self.followed(method, url, headers, answer)?;
        }
        match (answer.status().as_u16(), want) {
            (200..=299, _) | (404, Want::Either) => Ok(answer),
            (404, Want::Found(what)) => {
                Err(Failure::new(Kind::Failed, "ct.image.registry", format!("{} has no {what}", self.host))
                    .hint("check its name, and whether it has been pushed"))
            }
            (status, _) => Err(self.refusal(status, answer)),
        }
    }

    /// Follows redirects: never to a network nearer than the registry's, never without TLS if it uses TLS, and never with
    /// its token to another server.
    fn followed(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        mut answer: Response<Body>,
    ) -> Result<Response<Body>, Failure> {
        let mut at = url.to_owned();
        for _ in 0..limits::HOPS {
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let to = answer.headers().get("location").and_then(|value| value.to_str().ok());
            at = self.led(&at, to.unwrap_or_default(), "a request")?;
            let own = at.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'));
            let agent = if own { &self.agent } else { &self.away };
            answer = backoff::patient(|| self.once(agent, method, &at, headers, b""))?;
        }
        match answer.status().as_u16() {
            300..=399 => Err(refused("redirect", format!("{} redirects too often", self.host))
                .because(format!("more than {} redirections", limits::HOPS))),
            _ => Ok(answer),
        }
    }

    fn once(
        &self,
        agent: &Agent,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(pass) = self.pass.borrow().as_ref().filter(|_| std::ptr::eq(agent, &raw const self.agent))
        {
            request = request.header("authorization", pass);
        }
        tracing::debug!("{method} {url}");
        let bad = |e: ureq::http::Error| refused("registry", format!("{url}: {e}"));
        let answer = match method {
            "GET" | "HEAD" => agent.run(request.body(()).map_err(bad)?),
            _ => agent.run(request.body(body).map_err(bad)?),
        };
        answer.map_err(|e| self.broke(e))
    }

    /// A short answer.
    pub(super) fn text(&self, answer: Response<Body>, most: u64) -> Result<Vec<u8>, Failure> {
        Paced::new(answer.into_body().into_reader(), most).whole().map_err(|e| self.cut(&e))
    }

    /// A transfer that was broken off; too much data is the registry's fault.
    pub(super) fn cut(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::InvalidData => limits::over(&self.host, error),
            _ => self.lost(&error.to_string()),
        }
    }

    pub(super) fn broke(&self, error: ureq::Error) -> Failure {
        match error {
            ureq::Error::Io(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                refused("redirect", format!("{} redirects to an address that is not allowed", self.host))
                    .because(e)
            }
            error => self.lost(&error.to_string()),
        }
    }

    /// The registry cannot be reached, or the connection was lost.
    pub(super) fn lost(&self, why: &str) -> Failure {
        let failure =
            Failure::new(Kind::Unreachable, "ct.image.registry", format!("{} cannot be reached", self.host))
                .because(why);
        if why.contains("CaUsedAsEndEntity") {
            return failure.hint(
                "its server certificate is a CA certificate: create a new one with \
                 `openssl req -x509 ... -addext basicConstraints=critical,CA:FALSE`, or use one signed by that CA",
            );
        }
        match why.to_ascii_lowercase().contains("certificate") {
            true => failure.hint(format!(
                "its certificate is not trusted: name the certificate of its authority by ca in `registries`, pass it \
                 with --ca, or put it into {}/{}/ca.crt",
                access::FOLDERS[0],
                self.host
            )),
            false => failure,
        }
    }

    pub(super) fn denied(&self, why: &str) -> Failure {
        Failure::new(Kind::Denied, "ct.image.registry", format!("{} refuses {}", self.host, self.repository))
            .because(why)
            .hint(format!(
                "log in with: docker login {}, or name a secret by login in `registries`",
                self.host
            ))
    }

    fn refusal(&self, status: u16, answer: Response<Body>) -> Failure {
        let wait = backoff::wanted(&answer).filter(|_| matches!(status, 429 | 503));
        let said = self.text(answer, 4096).unwrap_or_default();
        let said = format!("HTTP {status} {}", String::from_utf8_lossy(&said).trim());
        let said = match wait {
            Some(wait) => format!(
                "{said}; it asks to wait {} s, but at most {} s are waited",
                wait.as_secs(),
                backoff::LIMIT.as_secs()
            ),
            None => said,
        };
        match status {
            401 | 403 => self.denied(&said),
            429 => Failure::new(Kind::Again, "ct.image.registry", format!("{} limits requests", self.host))
                .because(said),
            500..=599 => self.lost(&said),
            _ => refused("registry", format!("{} refused a request", self.host)).because(said),
        }
    }
}
