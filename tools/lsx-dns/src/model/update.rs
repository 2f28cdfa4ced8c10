//! Who may change names of a server, and who may transfer its zones. Keys are secrets, which this only names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The usual name of the key of servers that transfer zones.
pub const TRANSFER: &str = "transfer";

/// The name of the key of servers on several hosts. No client has such a name.
pub const SERVERS: &str = "_servers";
/// The secret with it, which the seed gives.
pub const SERVERS_SECRET: &str = "_dns_servers";

/// Servers on several hosts with the same names: one keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Servers {
    /// The host of the one that keeps them.
    pub host: String,
    /// Where the others reach it; none: it is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<SocketAddrV4>,
    /// The secret with their key.
    pub key: String,
}

/// A client that may change names (RFC 2136).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    /// The secret with its key (RFC 8945).
    pub key: String,
    /// Patterns of names, fully qualified without the last dot; `*` matches any text.
    pub names: Vec<String>,
    /// Types of records.
    pub types: Vec<String>,
    /// As what it owns the names that it makes.
    pub owner: Holder,
}

/// As what a client owns names; those before others take names from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// An address that is reserved.
    Reservation,
    /// An address that a machine has for some time.
    Lease,
    /// A service that names itself.
    Service,
    /// A challenge of ACME (RFC 8555).
    Acme,
}

/// The servers that may transfer the zones (RFC 5936).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// Their addresses.
    pub to: Vec<Ipv4Addr>,
    /// The secret with their key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
