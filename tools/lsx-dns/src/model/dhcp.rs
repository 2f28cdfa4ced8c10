//! The configuration of a DHCP server: what it gives, and to whom.

use super::boot::Boot;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The configuration of a DHCP server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dhcp {
    /// The stack.
    pub stack: String,
    /// The networks whose clients it answers.
    pub networks: Vec<Leased>,
    /// What machines boot by the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
}

/// A network whose clients are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leased {
    /// Name.
    pub name: String,
    /// The router's interface.
    pub link: String,
    /// Addresses of the network.
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    /// The addresses for clients that are not reserved, first and last.
    pub range: (Ipv4Addr, Ipv4Addr),
    /// DNS suffix of the clients.
    pub domain: String,
    /// Time of a lease in seconds.
    pub lease: u32,
    /// Values of options by their number.
    pub options: BTreeMap<u8, Vec<String>>,
    /// Clients that always get the same address: instances, and those of `reserve`.
    pub reserved: Vec<Reservation>,
}

/// A client that always gets the same address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Reservation {
    /// Its hardware address.
    pub mac: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Its name.
    pub name: String,
}
