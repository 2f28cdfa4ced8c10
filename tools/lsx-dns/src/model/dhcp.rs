//! The configuration of a DHCP server: what it gives, and to whom.

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

/// What machines boot by the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// The folder whose files are given by TFTP and HTTP.
    pub folder: String,
    /// The file for each kind of client: `bios`, `uefi`, `uefi32`, `arm64` or `ipxe`.
    pub files: BTreeMap<String, String>,
    /// The port of HTTP.
    #[serde(default)]
    pub http: u16,
    /// The networks whose machines get files.
    #[serde(default)]
    pub networks: Vec<Served>,
}

/// A network whose machines get files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// Name.
    pub name: String,
    /// The address of the server.
    pub address: Ipv4Addr,
    /// Addresses of the machines.
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    /// The longest packet in bytes.
    pub mtu: u32,
}

impl Boot {
    /// The URL of a file in a network.
    pub fn url(&self, network: &Served, file: &str) -> String {
        let port = if self.http == 80 { String::new() } else { format!(":{}", self.http) };
        format!("http://{}{port}/{file}", network.address)
    }
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
