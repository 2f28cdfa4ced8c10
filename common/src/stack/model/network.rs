//! A network as written.

use crate::stack::schema::{Address, Cidr, Device, Domain, Int, RangeText, Word, by_type};
use crate::stack::value::{NetworkKind, Range, Switch, Tunnel, is_default};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
use std::net::Ipv4Addr;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = by_type)]
pub struct Network {
    /// How it is carried.
    #[serde(rename = "type")]
    #[schemars(with = "Option<NetworkKind>")]
    pub kind: NetworkKind,
    /// Its addresses; absent only where the parent's own network gives them (macvlan, vlan).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Cidr>")]
    pub cidr: Option<Ipv4Net>,
    /// The host that routes for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub gateway: Option<String>,
    /// The address that routes; the first of `cidr` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub gateway_address: Option<Ipv4Addr>,
    /// Whether instances may reach the world through the gateway.
    #[schemars(with = "Option<bool>")]
    pub egress: bool,
    /// Addresses left to DHCP; none of them is derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RangeText>")]
    pub dhcp_range: Option<Range>,
    /// Addresses that may be derived; all of `cidr` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RangeText>")]
    pub range: Option<Range>,
    /// DNS suffix; `<network>.<domain of the stack>` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Domain>")]
    pub domain: Option<String>,
    /// What carries an overlay between hosts.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Tunnel>")]
    pub tunnel: Tunnel,
    /// What joins its interfaces on a host.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Switch>")]
    pub switch: Switch,
    /// VXLAN network identifier or GRE key, 1 to 16,777,215, when it is not to be derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 16777215>>")]
    pub vni: Option<u32>,
    /// The interface of the host that carries a macvlan or vlan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Device>")]
    pub parent: Option<String>,
    /// 802.1Q tag of a vlan, 1 to 4094.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 4094>>")]
    pub id: Option<u16>,
    /// Floods unknown destinations and learns, for interfaces that the stack does not know.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub flood: bool,
}
