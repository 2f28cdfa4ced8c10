//! Requests to one repository of one registry, with the token it asks for.

use super::Access;
use super::login::Login;
use super::names::Names;
use super::reference::Reference;
use crate::image::refused;
use common::{Failure, Kind};
use serde::Deserialize;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

/// Silence for so long is the end of a connection.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
/// Where Linux distributions keep the certificates this host trusts; without it, Mozilla's are taken.
const TRUSTED: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// What an answer must be.
pub(super) enum Want<'a> {
    /// There; else this is missing.
    Found(&'a str),
    /// There or not.
    Either,
}

/// See the module.
pub(super) struct Client {
    agent: Agent,
    base: String,
    host: String,
    repository: String,
    plain: bool,
    login: Option<Login>,
    /// The `Authorization` header that was good last.
    pass: RefCell<Option<String>>,
}

/// Some say both, and then the same.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client {
    pub(super) fn new(reference: &Reference, access: &Access) -> Result<Client, Failure> {
        let plain = access.insecure || reference.near();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent("lsx");
        if plain {
            config = config.proxy(None);
        } else {
            config = config.tls_config(TlsConfig::builder().root_certs(trusted()).build());
        }
        let scheme = if plain { "http" } else { "https" };
        Ok(Client {
            agent: Agent::with_parts(config.build(), DefaultConnector::new(), Names),
            base: format!("{scheme}://{}", reference.server()),
            host: reference.host.clone(),
            repository: reference.repository.clone(),
            plain,
            login: Login::find(access.config.as_deref(), &reference.host)?,
            pass: RefCell::new(None),
        })
    }

    /// What is below the repository.
    pub(super) fn url(&self, below: &str) -> String {
        format!("{}/v2/{}/{below}", self.base, self.repository)
    }

    /// Where an upload goes on: a path, or a whole URL of the same registry. Nobody else gets our bytes and our token.
    pub(super) fn location(&self, answer: &Response<Body>) -> Result<String, Failure> {
        let location =
            answer.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        match location {
            path if path.starts_with('/') && !path.starts_with("//") => Ok(format!("{}{path}", self.base)),
            whole if whole.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/')) => {
                Ok(whole.to_owned())
            }
            other => Err(refused("registry", format!("{}: it sends an upload to {other:?}", self.host))),
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

    /// Sends a request, once more when the registry first wants a token.
    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        want: &Want<'_>,
    ) -> Result<Response<Body>, Failure> {
        let mut answer = self.once(method, url, headers, body)?;
        if answer.status() == 401 {
            let challenge = answer.headers().get("www-authenticate").and_then(|v| v.to_str().ok());
            let pass = self.passed(challenge.unwrap_or_default(), method)?;
            self.pass.replace(Some(pass));
            answer = self.once(method, url, headers, body)?;
        }
        match (answer.status().as_u16(), want) {
            (200..=299, _) | (404, Want::Either) => Ok(answer),
            (404, Want::Found(what)) => {
                Err(Failure::new(Kind::Failed, "ct.image.registry", format!("{} has no {what}", self.host))
                    .hint("is its name right, and has it been pushed?"))
            }
            (status, _) => Err(self.refusal(status, answer)),
        }
    }

    fn once(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(pass) = &*self.pass.borrow() {
            request = request.header("authorization", pass);
        }
        tracing::debug!("{method} {url}");
        let bad = |e: ureq::http::Error| refused("registry", format!("{url}: {e}"));
        let answer = match method {
            "GET" | "HEAD" => self.agent.run(request.body(()).map_err(bad)?),
            _ => self.agent.run(request.body(body).map_err(bad)?),
        };
        answer.map_err(|e| self.lost(&e.to_string()))
    }

    /// What the registry accepts: a token from where it says, or the login itself.
    fn passed(&self, challenge: &str, method: &str) -> Result<String, Failure> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return self.login.as_ref().map(Login::header).ok_or_else(|| self.denied("it wants a login"));
        }
        let field = |name: &str| {
            let (_, after) = rest.split_once(&format!("{name}=\""))?;
            Some(after.split('"').next().unwrap_or_default())
        };
        let realm = field("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer")).unwrap_or_default();
        if !(realm.starts_with("https://") || (self.plain && realm.starts_with("http://"))) {
            return Err(self.denied(&format!("it wants {challenge:?}, which is not understood")));
        }
        let acts = if matches!(method, "GET" | "HEAD") { "pull" } else { "pull,push" };
        let scope =
            field("scope").map_or_else(|| format!("repository:{}:{acts}", self.repository), str::to_owned);
        let mut request = self.agent.get(realm).query("scope", scope);
        if let Some(service) = field("service") {
            request = request.query("service", service);
        }
        if let Some(login) = &self.login {
            request = request.header("authorization", login.header());
        }
        let mut answer = request.call().map_err(|e| self.lost(&e.to_string()))?;
        if answer.status() != 200 {
            return Err(self.denied("the login was not accepted"));
        }
        let text = answer.body_mut().read_to_string().map_err(|e| self.lost(&e.to_string()))?;
        let token = serde_json::from_str::<Token>(&text).ok().and_then(|t| t.token.or(t.access_token));
        let token = token.filter(|t| !t.is_empty() && t.bytes().all(|byte| byte.is_ascii_graphic()));
        let unread = || refused("registry", format!("{}: its token cannot be read", self.host));
        token.map(|token| format!("Bearer {token}")).ok_or_else(unread)
    }

    /// It cannot be reached, or was lost on the way.
    pub(super) fn lost(&self, why: &str) -> Failure {
        let failure =
            Failure::new(Kind::Unreachable, "ct.image.registry", format!("{} cannot be reached", self.host))
                .because(why);
        match why.to_ascii_lowercase().contains("certificate") {
            true => failure.hint("this host does not trust its certificate: update-ca-certificates adds one"),
            false => failure,
        }
    }

    fn denied(&self, why: &str) -> Failure {
        Failure::new(Kind::Denied, "ct.image.registry", format!("{} refuses {}", self.host, self.repository))
            .because(why)
            .hint(format!("docker login {} writes a login that is used here", self.host))
    }

    fn refusal(&self, status: u16, mut answer: Response<Body>) -> Failure {
        let said = answer.body_mut().with_config().limit(4096).read_to_string().unwrap_or_default();
        let said = format!("HTTP {status} {}", said.trim());
        match status {
            401 | 403 => self.denied(&said),
            429 => Failure::new(Kind::Again, "ct.image.registry", format!("{} wants a pause", self.host))
                .because(said),
            500..=599 => self.lost(&said),
            _ => refused("registry", format!("{} refused a request", self.host)).because(said),
        }
    }
}

fn trusted() -> RootCerts {
    let bundle = TRUSTED.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let found = ureq::tls::parse_pem(&bundle).filter_map(Result::ok).filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(found)) }
}
