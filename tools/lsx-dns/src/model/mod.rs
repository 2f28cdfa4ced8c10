//! The objects of a plan, the intent of a host, and other observed facts.

mod config;
mod counts;

pub(crate) use config::rate;
pub use config::{Config, Data, Entry, Health, Replica, Seen, View};
pub use counts::{Counted, Counts};

use crate::Dns;
use common::plan::{self, Kept};
use common::tool::Tool as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// One object on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    /// The server.
    Service(Server),
    /// What the engine keeps.
    #[serde(untagged)]
    Kept(Kept),
}

impl From<Kept> for Object {
    fn from(kept: Kept) -> Object {
        Object::Kept(kept)
    }
}

/// The server of names in the router of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// Its name: `names`.
    pub name: String,
    /// Digest of the configuration that it has loaded; empty when it does not serve.
    pub config: String,
    /// Whether it serves, in the router, with a supervisor.
    pub running: bool,
}

/// What a host keeps: `/etc/lsx/STACK/dns.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.dns.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The configuration of its server.
    pub config: Config,
}

/// Further facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The program on this host that the boot entry runs.
    #[serde(default)]
    pub program: String,
    /// The name servers of this host, except those on its loopback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<Ipv4Addr>,
    /// Why the server of the requested stack does not run, or has not loaded its last configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the servers of this host have answered, by stack; some seconds old.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, Counts>,
}

/// What its steps share: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// The name of the server.
pub const NAMES: &str = "names";

impl Object {
    /// Its key on its host.
    pub fn key(&self) -> String {
        match self {
            Object::Service(server) => format!("service:{}", server.name),
            Object::Kept(kept) => kept.key(Dns::NAME),
        }
    }
}

impl plan::Object for Object {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        match self {
            Object::Service(_) => Some(("dns server".to_owned(), "")),
            _ => None,
        }
    }

    fn means(&self, next: &Self) -> Option<&'static str> {
        match (self, next) {
            (Object::Service(old), Object::Service(new)) if old.running && old.config != new.config => {
                Some("handed over")
            }
            (Object::Service(old), Object::Service(_)) if !old.running => Some("restarted"),
            _ => None,
        }
    }

    fn kept(&self) -> Option<Kept> {
        match self {
            Object::Service(_) => None,
            Object::Kept(kept) => Some(kept.clone()),
        }
    }

    fn content(&self) -> Option<&str> {
        match self {
            Object::Service(server) => Some(&server.config),
            Object::Kept(Kept::Intent { digest }) => Some(digest),
            Object::Kept(_) => None,
        }
    }
}
