//! Requests to LXD or Incus over the unix socket. A reply is a value, an operation to wait for, or an error; this is
//! decided by the reply itself, because the two servers and their versions differ.

use super::line::{Connect, Nowhere};
use common::host::wait;
use common::stack::Driver;
use common::{Failure, Kind};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, AsSendBody, Body};

/// Time limit of an answer without an operation; the longest is the upload of an image.
pub(super) const ANSWER: Duration = Duration::from_secs(600);
/// Time limit of the first answer; a socket of systemd for a server that does not start never answers.
pub(super) const FIRST: Duration = Duration::from_secs(5);
/// The default time limit of an operation.
pub(super) const OPERATION: Duration = Duration::from_secs(300);
/// Interval of checks of an operation in the last second before a deadline.
const POLL: Duration = Duration::from_millis(20);
/// Maximum size of a reply in bytes.
const REPLY: u64 = 1 << 30;

/// A server at its socket.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    socket: PathBuf,
    /// LXD or Incus.
    pub(super) driver: Driver,
}

/// A value, and its version for `If-Match`.
#[derive(Debug, Default)]
pub(super) struct Got {
    pub(super) value: Value,
    pub(super) etag: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refused {
    /// Refused by the server: status, request, and reason.
    Status(u16, String, String),
    /// It exceeded its time limit.
    Late(String),
    /// The server cannot be reached.
    Lost(Box<Failure>),
}

impl Refused {
    /// Whether the requested object is missing.
    pub(super) fn missing(&self) -> bool {
        matches!(self, Refused::Status(404, ..))
    }

    /// Whether the server's message contains this text.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Refused::Status(_, _, said) if said.contains(words))
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Lost(failure) => *failure,
            Refused::Late(what) => {
                Failure::new(Kind::Failed, "ct.lxd.late", format!("{what} takes too long"))
                    .hint("see: lxc operation list, or incus operation list")
            }
            Refused::Status(status, what, why) => {
                let (kind, hint) = match status {
                    412 => (Kind::Again, Some("changed by another program; run the command again")),
                    401 | 403 => (Kind::Denied, None),
                    _ => (Kind::Failed, None),
                };
                let failure =
                    Failure::new(kind, "ct.lxd.refused", format!("{what} was refused")).because(why);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
        }
    }
}

impl Client {
    /// The server at a socket, without any request.
    pub(super) fn new(socket: &Path, driver: Driver) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent("lsx-ct")
            .max_idle_connections(0)
            .build();
        let agent = Agent::with_parts(config, Connect(socket.to_owned()), Nowhere);
        Client { agent, socket: socket.to_owned(), driver }
    }

    /// The folder of its socket.
    pub(super) fn folder(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("/"))
    }

    /// Its name for people.
    pub(super) fn called(&self) -> &'static str {
        if self.driver == Driver::Incus { "Incus" } else { "LXD" }
    }

    /// Its command-line client.
    pub(super) fn program(&self) -> &'static str {
        if self.driver == Driver::Incus { "incus" } else { "lxc" }
    }

    /// The name of a header: `X-LXD-uid`.
    pub(super) fn header(&self, name: &str) -> String {
        format!("X-{}-{name}", self.called())
    }

    /// Reads a value; `None` if it is missing.
    pub(super) fn get(&self, path: &str) -> Result<Option<Got>, Refused> {
        self.get_within(path, ANSWER)
    }

    /// The same with a time limit.
    pub(super) fn get_within(&self, path: &str, limit: Duration) -> Result<Option<Got>, Refused> {
        let response = self.call(Method::GET, path, &[], (), limit)?;
        let etag = header(&response, "etag");
        match self.reply("GET", path, response) {
            Ok(reply) => Ok(Some(Got { value: reply["metadata"].clone(), etag })),
            Err(refused) if refused.missing() => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Reads bytes and their headers; `None` if they are missing.
    pub(super) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Refused> {
        let response = self.call(Method::GET, path, &[], (), ANSWER)?;
        match response.status().as_u16() {
            200 => self.body(response).map(Some),
            404 => Ok(None),
            _ => self.reply("GET", path, response).map(|_| None),
        }
    }

    /// Requests a change and waits until it is done; returns the metadata of the operation. Waits for an instance that is
    /// busy with another operation.
    pub(super) fn send(
        &self,
        method: &Method,
        path: &str,
        value: &Value,
        etag: Option<&str>,
        limit: Duration,
    ) -> Result<Value, Refused> {
        let headers: Vec<(String, String)> =
            etag.iter().map(|tag| ("If-Match".to_owned(), (*tag).to_owned())).collect();
        let mut last = None;
        wait::until(limit, Duration::from_millis(100), || {
            let again = self.once(method, path, value, &headers, limit);
            let busy = again.as_ref().is_err_and(|e| e.says("busy running"));
            last = Some(again);
            !busy
        });
        last.unwrap_or_else(|| Err(Refused::Late(format!("{method} {path}"))))
    }

    fn once(
        &self,
        method: &Method,
        path: &str,
        value: &Value,
        headers: &[(String, String)],
        limit: Duration,
    ) -> Result<Value, Refused> {
        let response = if value.is_null() {
            self.call(method.clone(), path, headers, (), ANSWER)?
        } else {
            let json = value.to_string();
            self.call(method.clone(), path, headers, json.as_bytes(), ANSWER)?
        };
        let reply = self.reply(method.as_str(), path, response)?;
        self.finish(&format!("{method} {path}"), &reply, limit)
    }

    /// Posts bytes with headers, and waits.
    pub(super) fn post(
        &self,
        path: &str,
        headers: &[(String, String)],
        body: impl AsSendBody,
    ) -> Result<Value, Refused> {
        let response = self.call(Method::POST, path, headers, body, ANSWER)?;
        let reply = self.reply("POST", path, response)?;
        self.finish(&format!("POST {path}"), &reply, OPERATION)
    }

    /// Waits for the operation of a reply, if there is one.
    fn finish(&self, what: &str, reply: &Value, limit: Duration) -> Result<Value, Refused> {
        match (reply["type"].as_str(), reply["operation"].as_str()) {
            (Some("async"), Some(operation)) => self.wait(what, operation, limit),
            _ => Ok(reply["metadata"].clone()),
        }
    }

    /// Waits for an operation. A missing operation ended a while ago (the server keeps it for five seconds): the caller
    /// then reads the object itself.
    pub(super) fn wait(&self, what: &str, operation: &str, limit: Duration) -> Result<Value, Refused> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            let path = match left {
                0 => operation.to_owned(), // the server counts whole seconds, a deadline is more exact
                left => format!("{operation}/wait?timeout={}", left.min(3600)),
            };
            if left == 0 {
                wait::until(POLL, POLL, || false);
            }
            let got = match self.get(&path) {
                // Incus reports the timeout of its wait as an error, LXD returns the state of the operation.
                // A failed operation may have the same words in its error, such as a stop within a time.
                Err(Refused::Status(_, _, why)) if why == "context deadline exceeded" => Got::default(),
                got => match got? {
                    Some(got) => got,
                    None => return Ok(Value::Null),
                },
            };
            match got.value["status_code"].as_u64() {
                Some(200) => return Ok(got.value["metadata"].clone()),
                Some(code) if code > 200 => {
                    let why = got.value["err"].as_str().unwrap_or_default();
                    let status = if why.contains("not found") { 404 } else { 400 };
                    return Err(Refused::Status(status, what.to_owned(), why.to_owned()));
                }
                _ if Instant::now() >= end => return Err(Refused::Late(what.to_owned())),
                _ => {}
            }
        }
    }

    /// Starts an operation and returns its path.
    pub(super) fn begin(&self, path: &str, value: &Value) -> Result<String, Refused> {
        let json = value.to_string();
        let reply = self.call(Method::POST, path, &[], json.as_bytes(), ANSWER)?;
        let reply = self.reply("POST", path, reply)?;
        Ok(reply["operation"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: impl AsSendBody,
        limit: Duration,
    ) -> Result<Response<Body>, Refused> {
        let mut request = Request::builder().method(method).uri(format!("http://lsx{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|e| self.lost(&e))?;
        let request = self.agent.configure_request(request).timeout_global(Some(limit)).build();
        let what = format!("{} {path}", request.method());
        tracing::debug!("{what}");
        self.agent.run(request).map_err(|e| self.lost(&format!("{what}: {e}")))
    }

    /// The JSON of a reply, or its error.
    pub(super) fn reply(&self, method: &str, path: &str, response: Response<Body>) -> Result<Value, Refused> {
        let status = response.status().as_u16();
        let bytes = self.body(response)?;
        let reply: Value = serde_json::from_slice(&bytes).map_err(|e| {
            let text = String::from_utf8_lossy(&bytes);
            self.lost(&format!("its answer to {method} {path} is not JSON: {e}: {}", text.trim()))
        })?;
        if reply["type"] == "error" {
            let code = reply["error_code"].as_u64().and_then(|c| u16::try_from(c).ok()).unwrap_or(status);
            let why = reply["error"].as_str().unwrap_or_default();
            return Err(Refused::Status(code, format!("{method} {path}"), why.to_owned()));
        }
        Ok(reply)
    }

    pub(super) fn body(&self, response: Response<Body>) -> Result<Vec<u8>, Refused> {
        response.into_body().into_with_config().limit(REPLY).read_to_vec().map_err(|e| self.lost(&e))
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Refused {
        let message = format!("{} at {} does not answer", self.called(), self.socket.display());
        let failure = Failure::new(Kind::Unreachable, "ct.lxd.unreachable", message).because(error);
        Refused::Lost(Box::new(failure.hint("check whether it runs: systemctl status lxd incus")))
    }
}

pub(super) fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}
