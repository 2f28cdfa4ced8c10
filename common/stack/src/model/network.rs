//! A network as written.

use crate::schema::{Address, Cidr, Device, Domain, Int, RangeText, Word, by_type};
use crate::value::{NetworkKind, Range, Switch, Tunnel, is_default};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
use std::net::Ipv4Addr;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = by_type)]
pub struct Network {
    /// Type of the network.
    #[serde(rename = "type")]
    #[schemars(with = "Option<NetworkKind>")]
    pub kind: NetworkKind,
    /// Its addresses; absent only if the parent's own network gives them (macvlan, vlan).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Cidr>")]
    pub cidr: Option<Ipv4Net>,
    /// The host that routes for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub gateway: Option<String>,
    /// Address of the gateway; default: the first of `cidr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub gateway_address: Option<Ipv4Addr>,
    /// Whether instances may reach the world through the gateway.
    #[schemars(with = "Option<bool>")]
    pub egress: bool,
    /// Addresses reserved for DHCP; none of them is derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RangeText>")]
    pub dhcp_range: Option<Range>,
    /// Addresses that may be derived; default: all of `cidr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RangeText>")]
    pub range: Option<Range>,
    /// DNS suffix; default: `<network>.<domain of the stack>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Domain>")]
    pub domain: Option<String>,
    /// Tunnel type of an overlay.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Tunnel>")]
    pub tunnel: Tunnel,
    /// Switch that connects its interfaces on a host.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Switch>")]
    pub switch: Switch,
    /// VXLAN network identifier or GRE key, 1 to 16,777,215; default: derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 16777215>>")]
    pub vni: Option<u32>,
    /// The interface of the host that is the parent of a macvlan or vlan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Device>")]
    pub parent: Option<String>,
    /// 802.1Q tag of a vlan, 1 to 4094.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 4094>>")]
    pub id: Option<u16>,
    /// Flood unknown destinations and learn addresses, for interfaces that are not in the stack.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub flood: bool,
}
