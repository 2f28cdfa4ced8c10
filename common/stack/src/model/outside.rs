//! Services outside the stack: the proxy, registries, monitoring.

use crate::schema::{Many, Port, UrlText, Word, table};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The web proxy of instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Proxy {
    /// Proxy for HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UrlText>")]
    pub http: Option<String>,
    /// Proxy for HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UrlText>")]
    pub https: Option<String>,
    /// Names, domains and addresses that are contacted directly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub except: Vec<String>,
}

impl Proxy {
    /// Whether it has no proxy for HTTP or HTTPS.
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The environment variables that programs use, in lower and upper case.
    pub fn env(&self) -> BTreeMap<String, String> {
        let except = Some(self.except.join(",")).filter(|all| !all.is_empty() && !self.is_empty());
        let all =
            [("http_proxy", self.http.clone()), ("https_proxy", self.https.clone()), ("no_proxy", except)];
        let both = |(name, value): (&str, Option<String>)| {
            value.map(|value| [(name.to_owned(), value.clone()), (name.to_ascii_uppercase(), value)])
        };
        all.into_iter().filter_map(both).flatten().collect()
    }
}

/// How a registry of images is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct RegistryAccess {
    /// Mirrors, tried in order before the registry: `HOST[:PORT][/PATH]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub mirrors: Vec<String>,
    /// A file in PEM format with the authority of its certificate, or the certificate itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub ca: Option<String>,
    /// A name of `secrets`; the secret is the login, `USER:PASSWORD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub login: Option<String>,
    /// Whether it is reached by plain HTTP, without TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub insecure: bool,
}

/// Monitoring of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Monitoring {
    /// The network over which instances are monitored; default: that of each instance's first interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub network: Option<String>,
    /// The port of the monitoring agent, such as 9100 for Prometheus' node exporter or 6556 for the Checkmk agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    pub port: Option<u16>,
    /// The instance that runs the monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub instance: Option<String>,
    /// Its Checkmk site.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub site: Option<String>,
}
