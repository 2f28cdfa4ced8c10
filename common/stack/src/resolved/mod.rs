//! The derived values of a stack: every address, name and link, which depend only on the document.

mod served;

pub use super::value::{NetworkKind, PortSpec, Protocol};
pub use served::{CertificateAt, ServiceAt, VolumeAt};

use super::value::{Switch, Tunnel};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// What `resolve` adds under the key `resolved`. It works as a lock file: a document that contains it keeps these values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The stack it was derived for; for another name it is dropped and derived again.
    pub stack: String,
    /// UDP port of the stack's VXLAN tunnels, the same on every host (RFC 7348 leaves it configurable).
    pub tunnel_port: u16,
    /// The link between a host and the stack's router: a /31 of 169.254.0.0/16 (RFC 3021); the host has the first address.
    #[schemars(with = "String")]
    pub leg: Ipv4Net,
    /// One entry per host, by name.
    pub hosts: Vec<HostAt>,
    /// One entry per network, by name.
    pub networks: Vec<NetworkAt>,
    /// One entry per instance (a replica is an instance), by name.
    pub instances: Vec<InstanceAt>,
    /// Published ports, by host, protocol and port.
    pub ports: Vec<PortAt>,
    /// Permissions through a gateway, normalised from `allow`.
    pub allow: Vec<AllowAt>,
    /// Every name of an instance with its address, by name; those of hosts are in `hosts`.
    pub names: Vec<NameAt>,
    /// Services of tools on routers, by host, protocol and port: a router accepts only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceAt>,
    /// Volumes of `store`, by name and host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeAt>,
    /// Certificates of `pki`, by name and host; their users watch the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateAt>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostAt {
    /// Name in the stack.
    pub name: String,
    /// Name in DNS.
    #[serde(default)]
    pub fqdn: String,
    /// Underlay address: the end of tunnels, and the default destination for ssh.
    pub address: Ipv4Addr,
    /// Destination for ssh: `[user@]address[:port]`.
    pub ssh: String,
    /// File of the private key for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Not contacted, and reported as skipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// This machine, without ssh.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// The interface towards the world; default: the one that has `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// MTU of the underlay network in bytes.
    pub mtu: u32,
    /// Ports of the host itself that stay open; absent: the host's input is not filtered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Vec<PortSpec>>,
    /// The host's end of the veth to the stack's router.
    pub world_link: String,
}

/// A network with its derived values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkAt {
    /// Name in the stack.
    pub name: String,
    /// Type of the network.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
    /// Its addresses; absent if the parent's own network gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub cidr: Option<Ipv4Net>,
    /// VXLAN network identifier, 1 to 16,777,215.
    pub vni: u32,
    /// MTU in bytes: the smallest of the underlay minus the tunnel's overhead.
    pub mtu: u32,
    /// DNS suffix of its instances.
    pub domain: String,
    /// The host that routes for the network, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Address of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_address: Option<Ipv4Addr>,
    /// Whether instances may reach the world through the gateway; false without one.
    pub egress: bool,
    /// Addresses reserved for DHCP, first and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp_range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Unknown destinations are flooded and addresses learned; false if every MAC and address is in the document.
    pub flood: bool,
    /// Tunnel type of an overlay.
    #[serde(default)]
    pub tunnel_type: Tunnel,
    /// Switch that connects its interfaces on a host.
    #[serde(default)]
    pub switch: Switch,
    /// The interface of the host that is the parent of a macvlan or vlan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// 802.1Q tag of a vlan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The hosts that have the network, by name: hosts of instances, the gateway, hosts that publish ports.
    pub hosts: Vec<String>,
    /// Its bridge on every one of them; empty for a macvlan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bridge: String,
    /// Its tunnel device on every one of them; empty if there is one host, or no tunnel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tunnel: String,
    /// Addresses of the hosts' routers on this network, by host.
    pub legs: Vec<LegAt>,
}

impl NetworkAt {
    /// Whether an address is one of its own.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.cidr.is_some_and(|cidr| cidr.contains(&address))
    }
}

/// The address of a host's router on a network: the gateway, or where ports are published from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LegAt {
    /// The host.
    pub host: String,
    /// Address in the network; the gateway's is the first of the range.
    pub address: Ipv4Addr,
    /// Hardware address.
    pub mac: String,
    /// The end that is a port of the bridge.
    pub link: String,
}

/// An instance and its interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceAt {
    /// Name: the key, or key-number with `count`.
    pub name: String,
    /// The key in the stack.
    pub of: String,
    /// Host it runs on.
    pub host: String,
    /// Interfaces in order.
    pub nics: Vec<NicAt>,
}

/// An instance's interface, with everything that `lsx-net attach` needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NicAt {
    /// Name inside the instance: eth0, eth1 ...
    pub name: String,
    /// Network it is on.
    pub network: String,
    /// Its address and the network's prefix; 0.0.0.0/0 if DHCP assigns it (the unspecified address, RFC 1122 3.2.1.3).
    #[schemars(with = "String")]
    pub address: Ipv4Net,
    /// Hardware address.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// The end on the host.
    pub link: String,
    /// Whether it has the default route; at most one interface of an instance has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// Networks reached through this network's gateway because of an `allow`, if the default route is on another network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteAt>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolver: Vec<Ipv4Addr>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Whether it may forward packets (`forward: true`): source and MAC are then not checked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward: bool,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteAt {
    /// Destination.
    #[schemars(with = "String")]
    pub to: Ipv4Net,
    /// Next hop.
    pub via: Ipv4Addr,
}

/// A port of a host, forwarded to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortAt {
    /// Host it is published on.
    pub host: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port on the host.
    pub listen: u16,
    /// Published only on this address of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Instance.
    pub instance: String,
    /// Network of the instance to forward to.
    pub network: String,
    /// Address of the instance.
    pub to_address: Ipv4Addr,
    /// Port of the instance.
    pub to_port: u16,
    /// Sources that may use it; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub from: Vec<Ipv4Net>,
}

/// One side of an `allow`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// A network.
    Network(String),
    /// All replicas of an instance, on all their networks: their addresses as /32.
    Addresses(#[schemars(with = "Vec<String>")] Vec<Ipv4Net>),
    /// A host of the stack.
    Host(String),
    /// Everything that is neither a network of the stack nor a host.
    World,
}

/// A permission: source, destination, and ports (none means every protocol).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct AllowAt {
    /// Who opens connections.
    pub from: Selector,
    /// The destination.
    pub to: Selector,
    /// Ports; empty means every protocol and port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
}

/// A name and its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NameAt {
    /// Fully qualified, without the last dot.
    pub name: String,
    /// Address.
    pub address: Ipv4Addr,
}
