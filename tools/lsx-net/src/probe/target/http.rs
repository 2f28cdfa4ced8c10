//! An HTTP request of a probe: its settings, and what is refused.

use serde::Serialize;

use crate::probe::problem::Problem;
use crate::probe::tls;

/// An HTTP GET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// The port.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// The Host header, if it differs from the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Follow up to five redirects; otherwise a redirect is the answer.
    pub follow: bool,
    /// Connect by TLS and check the certificate of the server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// PEM file of the authorities that are trusted, or its text; default: those of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The name that the certificate must have; default: the address. Also the Host header, if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl Http {
    /// GET of a path, redirects not followed.
    pub fn new(port: u16, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { port, path, host: None, follow: false, tls: false, ca: None, server_name: None }
    }

    /// The scheme of its URL.
    pub(in crate::probe) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The Host header, if it differs from the address.
    pub(in crate::probe) fn host(&self) -> Option<String> {
        let named = || match (self.server_name.as_ref()?, self.port) {
            (name, 443) => Some(name.clone()),
            (name, port) => Some(format!("{name}:{port}")),
        };
        self.host.clone().or_else(named)
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let odd = |c: char| !c.is_ascii_graphic() || c == '#';
        if !self.path.starts_with('/') || self.path.contains(odd) {
            return Err(Problem::new(format!("path: {:?} is not an absolute path", self.path))
                .hint("begin with /, percent-encode what is not ASCII, and leave out the fragment"));
        }
        let wrong =
            |host: &String| host.is_empty() || host.contains(|c: char| !c.is_ascii_graphic() || c == '/');
        if let Some(host) = self.host.as_ref().filter(|host| wrong(host)) {
            return Err(Problem::new(format!("host: {host:?} is not a host name"))
                .hint("it is sent as the Host header: www.internal or www.internal:8080"));
        }
        self.check_tls()
    }

    fn check_tls(&self) -> Result<(), Problem> {
        let alone = [("ca", self.ca.is_some()), ("server_name", self.server_name.is_some())];
        if let Some((key, _)) = alone.iter().find(|(_, said)| *said && !self.tls) {
            return Err(Problem::new(format!("{key}: belongs to probes by TLS only"))
                .hint("write https:// or tls: true, or leave it out"));
        }
        match self.server_name.as_ref().filter(|name| !tls::is_name(name)) {
            Some(name) => Err(Problem::new(format!("server_name: {name:?} is not a name of a server"))
                .hint("a host name or an address, without a port: www.internal")),
            None => Ok(()),
        }
    }
}
