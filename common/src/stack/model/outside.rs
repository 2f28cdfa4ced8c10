//! What instances use beyond the stack, and who looks at it from there: a proxy, registries, monitoring.

use crate::stack::schema::{Many, Port, ProxyUrl, Word, table};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The way of instances to the web.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Proxy {
    /// For what is asked by HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProxyUrl>")]
    pub http: Option<String>,
    /// For what is asked by HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProxyUrl>")]
    pub https: Option<String>,
    /// Names, domains and addresses that are asked without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub except: Vec<String>,
}

impl Proxy {
    /// Whether nothing is asked by it.
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The variables that programs go by, in both spellings.
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

/// How images of a registry are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Mirrored {
    /// Asked first, in order: `HOST[:PORT][/PATH]`.
    #[schemars(with = "Many<Word>")]
    pub mirrors: Vec<String>,
}

/// What watches the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Monitoring {
    /// The network by which instances are asked; that of each instance's first interface when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub network: Option<String>,
    /// The port on which they answer, as 9100 of Prometheus' node exporter or 6556 of the Checkmk agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    pub port: Option<u16>,
    /// The instance that watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub instance: Option<String>,
    /// The site of Checkmk in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub site: Option<String>,
}
