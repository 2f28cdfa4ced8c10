//! The intent of a host, and other observed facts. All objects of a plan are the engine's.

mod config;
mod counts;

pub use config::{Config, Data, Entry, Health, Replica, Seen, View};
pub(crate) use config::{EXPIRE, REFRESH, RETRY, rate};
pub use counts::{Counted, Counts};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

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
    /// What the servers of this host have answered, by stack; some seconds old.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, Counts>,
}

/// What its steps share: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// The name of the service.
pub const NAMES: &str = "names";
