//! The desired state of one host: its part of the resolved stack, stored on the host and restored after a reboot.

use super::Balancer;
use common::stack::resolved::{AllowAt, PortAt, PortSpec, Selector, ServiceAt};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// One host's part of a stack, without the forwarding entries, which hosts share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Desired {
    /// The stack.
    pub stack: String,
    /// The host's name in it.
    pub host: String,
    /// Its underlay address.
    pub address: Ipv4Addr,
    /// UDP port of the tunnels.
    pub tunnel_port: u16,
    /// The /31 between host and router.
    #[schemars(with = "String")]
    pub leg: Ipv4Net,
    /// The host's end of the link to the router.
    pub world_link: String,
    /// The first six letters of the stack's links of a kind: bridge, tunnel, leg, world, instance.
    pub prefixes: [String; 5],
    /// Underlay addresses of all hosts of the stack, this one among them.
    pub hosts: Vec<Ipv4Addr>,
    /// Underlay addresses of the hosts whose tunnel packets this host accepts: those that share a network with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Ipv4Addr>,
    /// Further addresses of the stack's hosts, as observed, by host: blocked for instances like the first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub closed: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Ports published by other hosts of the stack, for instances behind this router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Elsewhere>,
    /// Load balancers of other hosts of the stack, for instances behind this router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balanced: Vec<BalancedAt>,
    /// Interfaces towards the world, if a permission lets it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outward: Vec<String>,
    /// Addresses of instances that reply through another network than the one they are reached on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Ipv4Addr>,
    /// Ports of the host itself that stay open, if its input is filtered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Vec<PortSpec>>,
    /// The interface towards the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// The port that ssh uses.
    pub ssh_port: u16,
    /// Networks on this host, by name.
    pub networks: Vec<Network>,
    /// Every network of the stack: addresses that are inside and never routed to the world.
    #[schemars(with = "Vec<String>")]
    pub inside: Vec<Ipv4Net>,
    /// Interfaces of instances on this host, by instance and name.
    pub nics: Vec<Nic>,
    /// Ports published on this host.
    pub ports: Vec<PortAt>,
    /// Permissions that this host's router enforces.
    pub allow: Vec<AllowAt>,
    /// Load balancers on this host, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balance: Vec<Balancer>,
    /// Services of other tools in this host's router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceAt>,
    /// Servers of names on several hosts of the stack, if this host has one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<Servers>,
}

/// Servers that share names: the router of the host of the first is reached by those of the others, at the tunnels' port by TCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Servers {
    /// The address of the first one's host.
    pub at: Ipv4Addr,
    /// The port in its router.
    pub port: u16,
    /// The hosts of the others, with their addresses.
    pub others: BTreeMap<String, Ipv4Addr>,
}

impl Desired {
    /// Permissions for clients outside the stack to enter through this host, with their targets.
    pub fn let_in(&self) -> Vec<(&AllowAt, Vec<Ipv4Net>)> {
        let within = |net: &Ipv4Net| self.inside.iter().any(|n| n.contains(net));
        let stranger = |a: &AllowAt| match &a.from {
            Selector::World => true,
            Selector::Addresses(nets) => !nets.iter().all(within),
            Selector::Network(_) | Selector::Host(_) => false,
        };
        let all = self.allow.iter().filter(|a| stranger(a)).map(|a| (a, self.behind(&a.to)));
        all.filter(|(_, nets)| !nets.is_empty()).collect()
    }

    /// The addresses at which a port can be reached: the one it is published on, or all of its host.
    pub fn asked(&self, port: &PortAt, host: Ipv4Addr) -> Vec<Ipv4Addr> {
        self.addresses(&port.host, host, port.address)
    }

    /// The one address of a host that is meant, or all: that of the document, and its further ones.
    pub fn addresses(&self, host: &str, first: Ipv4Addr, only: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
        let further = || self.closed.get(host).into_iter().flatten().copied();
        only.map_or_else(|| std::iter::once(first).chain(further()).collect(), |one| vec![one])
    }

    /// The part of a selector that is behind this host's router.
    pub fn behind(&self, selector: &Selector) -> Vec<Ipv4Net> {
        let gateways = || self.networks.iter().filter(|n| n.gateway);
        match selector {
            Selector::Network(name) => gateways().filter(|n| n.name == *name).map(|n| n.cidr).collect(),
            Selector::Addresses(nets) => {
                let here = |net: &&Ipv4Net| gateways().any(|n| n.cidr.contains(*net));
                nets.iter().filter(here).copied().collect()
            }
            Selector::Host(_) | Selector::World => Vec::new(),
        }
    }
}

/// A port that another host publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Elsewhere {
    /// What it publishes.
    pub port: PortAt,
    /// The address of that host.
    pub at: Ipv4Addr,
    /// Whether the default route of its instance is on the network it is reached on.
    pub default: bool,
}

/// A port on which another host has load balancers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct BalancedAt {
    /// That host.
    pub host: String,
    /// Its address.
    pub at: Ipv4Addr,
    /// The only address of the host it is reached at; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Port.
    pub port: u16,
    /// Sources that may use it, with the address of this router's host; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub from: Vec<Ipv4Net>,
}

/// A network on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// Name.
    pub name: String,
    /// Addresses.
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    /// VXLAN network identifier.
    pub vni: u32,
    /// MTU in bytes.
    pub mtu: u32,
    /// Bridge.
    pub bridge: String,
    /// VXLAN device; empty if no other host has the network.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tunnel: String,
    /// Unknown destinations are flooded and addresses learned.
    pub flood: bool,
    /// Whether this host is the gateway.
    pub gateway: bool,
    /// Whether instances may reach the world through it.
    pub egress: bool,
    /// Whether instances may ask for their addresses by DHCP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dhcp: bool,
    /// The router's interface here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
}

/// The router's interface on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// Both ends.
    pub link: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Hardware address.
    pub mac: String,
}

/// An instance's interface on this host, for the rules of its port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Instance.
    pub instance: String,
    /// Interface in the instance.
    pub name: String,
    /// Network.
    pub network: String,
    /// Port of the bridge.
    pub link: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Hardware address.
    pub mac: String,
    /// Whether it has the default route.
    pub default: bool,
    /// Whether it may forward packets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward: bool,
}

/// One forwarding entry, shared by all hosts: the tunnel endpoint of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Network.
    pub network: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Hardware address.
    pub mac: String,
    /// Underlay address of the host it is on.
    pub remote: Ipv4Addr,
    /// Instance, or `host/NAME` for a leg.
    pub owner: String,
}

/// What a host keeps in /etc/lsx/STACK/net.json: desired state, not observed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.net.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The desired state of this host.
    pub desired: Desired,
    /// The forwarding entries of this host's networks.
    pub rows: Vec<Row>,
}
