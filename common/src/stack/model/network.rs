//! A network as written.

use crate::stack::resolved::NetworkKind;
use crate::stack::value::Range;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// How it is carried.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
    /// Its addresses; absent only where the parent's own network gives them (macvlan, vlan).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Ipv4Net>,
    /// The host that routes for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The address that routes; the first of `cidr` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_address: Option<Ipv4Addr>,
    /// Whether instances may reach the world through the gateway.
    pub egress: bool,
    /// Addresses left to DHCP; none of them is derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp_range: Option<Range>,
    /// Addresses that may be derived; all of `cidr` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// DNS suffix; `<network>.<domain of the stack>` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What carries an overlay between hosts.
    #[serde(skip_serializing_if = "is_default")]
    pub tunnel: Tunnel,
    /// What joins its interfaces on a host.
    #[serde(skip_serializing_if = "is_default")]
    pub switch: Switch,
    /// VXLAN network identifier or GRE key, 1 to 16,777,215, when it is not to be derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// The interface of the host that carries a macvlan or vlan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// 802.1Q tag of a vlan, 1 to 4094.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// Floods unknown destinations and learns, for interfaces that the stack does not know.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flood: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What carries an overlay between hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// RFC 7348, over UDP.
    #[default]
    Vxlan,
    /// Ethernet in GRE with a key (RFC 2890).
    Gre,
}

/// What joins interfaces on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// A bridge of the kernel.
    #[default]
    Bridge,
    /// Open vSwitch.
    Ovs,
}

impl Tunnel {
    /// Bytes of every packet that the tunnel takes. VXLAN over IPv4: IP 20, UDP 8, VXLAN 8, Ethernet 14 (RFC 7348 section 5);
    /// GRE with a key: IP 20, GRE 8, Ethernet 14 (RFC 2890).
    pub const fn overhead(self) -> u32 {
        match self {
            Tunnel::Vxlan => 50,
            Tunnel::Gre => 42,
        }
    }
}
