//! What else lsx-net reads on a host: what could collide, and what it kept.

use super::Intent;
use common::stack::resolved::Protocol;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The rest of the observed document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// What this host keeps of the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Interfaces of instances that are attached.
    #[serde(default)]
    pub attached: Vec<Attached>,
    /// What attached interfaces and gateways know of their networks' addresses: entries that stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
    /// Routes of the host's own, the default route left out.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub routes: Vec<Ipv4Net>,
    /// VXLAN devices that are not this stack's.
    #[serde(default)]
    pub tunnels: Vec<Tunnels>,
    /// Programs that listen.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Names of links that look like ours and are not marked.
    #[serde(default)]
    pub strangers: Vec<String>,
    /// Chains of others that decide about forwarded packets.
    #[serde(default)]
    pub chains: Vec<Chain>,
    /// Chains of others that decide what reaches the host itself, and may drop it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Chain>,
    /// The interface that holds each address of the host.
    #[serde(default)]
    pub addresses: Vec<(Ipv4Addr, String)>,
    /// Interfaces that take a packet only where the way back to its sender leaves (a strict `rp_filter`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strict: Vec<String>,
    /// The interface that each route leaves by, where one is strict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<(String, String)>")]
    pub paths: Vec<(Ipv4Net, String)>,
    /// Processes in the stack's router, as `1234 (tcpdump)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhabitants: Vec<String>,
    /// The interfaces that default routes leave by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outward: Vec<String>,
    /// What the kernel cannot do, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// The program on this host that a boot entry starts.
    #[serde(default)]
    pub program: String,
    /// The port that this session came in by, when it came by ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_port: Option<u16>,
}

/// An interface of an instance on a bridge of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// Stack.
    pub stack: String,
    /// Instance and interface, as `web-1.eth0`.
    pub name: String,
    /// Port of the bridge.
    pub link: String,
    /// The bridge, empty when it is on none.
    pub bridge: String,
    /// Bytes of an IP packet.
    pub mtu: u32,
}

/// The permanent neighbour entries of one interface, of the addresses that this host keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// Network.
    pub network: String,
    /// Instance and interface, as `web-1.eth0`, or `router`.
    pub at: String,
    /// How many entries.
    pub count: usize,
    /// Digest of the entries; their order does not matter.
    pub digest: String,
}

/// A VXLAN device of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnels {
    /// The device.
    pub link: String,
    /// The stack it belongs to; empty when it is not ours.
    pub stack: String,
    /// VXLAN network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
}

/// A port of the host that is taken: a program listens on it, or another stack publishes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
    /// Address; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The stack that publishes it; empty for a program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack: String,
}

/// A chain of somebody else at the hook for what is forwarded, or for what reaches the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// nftables family.
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
}

impl Chain {
    /// The key of the marked rule in it.
    pub fn key(&self) -> String {
        format!("accept:{}.{}.{}", self.family, self.table, self.chain)
    }
}
