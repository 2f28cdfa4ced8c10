//! The intent of a host, and other observed facts. All objects of a plan are the engine's.

mod boot;
mod config;
mod counts;
mod dhcp;
mod entry;
mod meta;
mod private;
mod update;

pub use boot::{Boot, Served, Stage};
pub(crate) use boot::{IPXE, MACHINES, Turn, Turns, enter, entries, needed};
pub use config::{Config, Data, Driver, Entry, Health, Named, Replica, Seen, View};
pub(crate) use config::{EXPIRE, REFRESH, RETRY, rate};
pub use counts::{Counted, Counts};
pub use dhcp::{Dhcp, Leased, Reservation};
pub use meta::{Interface, Machine, Meta};
pub(crate) use private::{PRIVATE, RANGES};
pub use update::{Client, Holder, SERVERS, SERVERS_SECRET, Servers, TRANSFER, Transfer};

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
    /// The configuration of its server of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// The digests of the secrets of its servers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// The configuration of its DHCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
    /// The configuration of its metadata service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Intent {
    /// Whether its servers have data that outlives the stack: updates, or leases.
    pub fn has_data(&self) -> bool {
        self.config.as_ref().is_some_and(Config::changes) || self.dhcp.is_some()
    }
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
    /// What the journals of this host say, by stack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub journals: BTreeMap<String, Journaled>,
}

/// What a host has of names that clients change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Journaled {
    /// The serial of the zones.
    pub serial: u32,
    /// The host that keeps the names, as this one was told; none: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<String>,
}

/// What its steps share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shared {
    /// The secrets of servers: by the digest of the server's definition, and by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, BTreeMap<String, Key>>,
}

/// A secret with a key; its value is in no document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The digest of its value.
    pub digest: String,
    /// Its place on the operator's machine; none if the host must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// The name of the service of names.
pub const NAMES: &str = "names";
/// That of the DHCP server.
pub const DHCP: &str = "dhcp";
/// That of boot files.
pub const BOOT: &str = "boot";
/// That of metadata.
pub const META: &str = "meta";
