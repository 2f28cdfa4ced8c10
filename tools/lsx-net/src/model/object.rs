//! The objects that lsx-net creates on a host. Each has all fields that are compared, and none that changes by itself.

use super::Server;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// One object that a step creates, changes or removes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    /// IP forwarding of the host (ip_forward), enabled while a stack needs it.
    Routing {
        /// Whether the host forwards; false if a run was killed, or forwarding was disabled later.
        forwards: bool,
        /// Interfaces on which forwarding was disabled.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forwarding_off: Vec<String>,
    },
    /// The network namespace of the stack's router.
    Router {
        /// Its name in /run/netns.
        name: String,
        /// Whether it forwards; enabled last, after its rules are loaded.
        forwards: bool,
    },
    /// The veth between host and router.
    World(World),
    /// A network's bridge.
    Bridge(Bridge),
    /// A network's VXLAN device.
    Tunnel(Tunnel),
    /// The router's interface on a network.
    Leg(LegLink),
    /// An instance's interface that is not on its bridge.
    Port(Port),
    /// A network's forwarding and neighbour entries.
    Forwarding(Forwarding),
    /// Permanent neighbour entries of a network's interfaces on this host.
    Neighbours(Neighbours),
    /// A route of the host into a network, through the router.
    Route(Route),
    /// nftables tables of lsx.
    Firewall(Firewall),
    /// A marked rule in a foreign chain that would drop packets of the stack.
    Accept(Accept),
    /// A server in the router, such as the one of the load balancers.
    Service(Server),
    /// The intent of this host, restored after a reboot.
    Intent(IntentFile),
    /// The boot entry.
    Boot {
        /// The program that it runs.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
    /// A link left incomplete by a power failure.
    Remnant {
        /// Its name.
        link: String,
    },
}

/// See [`Object::World`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct World {
    /// The end on the host.
    pub link: String,
    /// The router.
    pub router: String,
    /// A /31 (RFC 3021); the host has the first address, the router the second.
    #[schemars(with = "String")]
    pub net: Ipv4Net,
}

/// See [`Object::Bridge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bridge {
    /// The network.
    pub network: String,
    /// The device.
    pub link: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Administrative state.
    pub up: bool,
}

/// See [`Object::Tunnel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// The network.
    pub network: String,
    /// The device.
    pub link: String,
    /// The bridge it is a port of.
    pub bridge: String,
    /// VXLAN network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
    /// UDP source ports; two zeros: chosen by the kernel.
    #[serde(default)]
    pub source_ports: (u16, u16),
    /// This host's address.
    pub local: Ipv4Addr,
    /// MTU in bytes.
    pub mtu: u32,
    /// Administrative state.
    pub up: bool,
    /// Learns addresses and floods unknown destinations; otherwise it only forwards to entries.
    pub flood: bool,
}

/// See [`Object::Leg`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LegLink {
    /// The network.
    pub network: String,
    /// Both ends: the port of the bridge on the host, and the interface in the router.
    pub link: String,
    /// The bridge.
    pub bridge: String,
    /// The router.
    pub router: String,
    /// Address and prefix.
    #[schemars(with = "String")]
    pub address: Ipv4Net,
    /// Hardware address.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
}

/// See [`Object::Port`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// The network.
    pub network: String,
    /// The host's end of the interface.
    pub link: String,
    /// The bridge it is a port of; absent if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
}

/// See [`Object::Forwarding`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forwarding {
    /// The network.
    pub network: String,
    /// Its bridge, which has the neighbour entries.
    pub bridge: String,
    /// Its tunnel.
    pub tunnel: String,
    /// Number of entries.
    pub count: usize,
    /// Digest of the entries; their order does not matter.
    pub digest: String,
}

/// See [`Object::Neighbours`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbours {
    /// The network.
    pub network: String,
    /// Whether instances have entries for each other; otherwise only gateways.
    pub peers: bool,
    /// Number of entries of all interfaces together.
    pub count: usize,
    /// Digest of the rows that they come from; absent for existing entries.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// See [`Object::Route`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Destination.
    #[schemars(with = "String")]
    pub to: Ipv4Net,
    /// Next hop: the router.
    pub via: Ipv4Addr,
    /// Device.
    pub link: String,
}

/// Where rules are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RulesAt {
    /// The host's own namespace.
    Host,
    /// The stack's router.
    Router,
}

impl RulesAt {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            RulesAt::Host => "host",
            RulesAt::Router => "router",
        }
    }
}

/// See [`Object::Firewall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Firewall {
    /// Where.
    pub place: RulesAt,
    /// Digest of the rules' text, which is in the plan's contents.
    pub digest: String,
}

/// The third word of an [`Accept::pass`].
pub const ANSWERS: &str = "answers";

/// The first word of an [`Accept::pass`] that is about a UDP port, which is the second.
pub const TUNNELS: &str = "udp";

/// See [`Object::Accept`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Accept {
    /// nftables family: `ip` or `inet`.
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// What passes: `IN OUT`, names of links as nftables wildcards, `*` for any; followed by `answers` only replies. Or
    /// `udp PORT`, for tunnels.
    pub pass: Vec<String>,
}

/// See [`Object::Intent`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntentFile {
    /// Digest of the intent, without the forwarding entries.
    pub digest: String,
    /// Digest of the digests of the forwarding entries.
    pub rows: String,
}

impl IntentFile {
    /// What identifies its content.
    pub fn key(&self) -> String {
        format!("{} {}", self.digest, self.rows)
    }
}
