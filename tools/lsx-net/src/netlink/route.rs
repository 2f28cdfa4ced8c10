//! IPv4 routes of the main table.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{NetlinkError, Request, Socket};

/// The routing protocol number that marks routes of lsx (`rtm_protocol`), which is unassigned in linux/rtnetlink.h.
pub(crate) const LSX_PROTOCOL: u8 = 173;

/// `RT_TABLE_DEFAULT` and `RT_TABLE_LOCAL` (linux/rtnetlink.h).
const DEFAULT: u32 = 253;
const LOCAL: u32 = 255;

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Network, without host bits; `0.0.0.0/0` is the default route.
    pub destination: Ipv4Net,
    /// Next hop; without one the destination is on the link itself (scope link).
    pub gateway: Option<Ipv4Addr>,
    /// Index of the outgoing link; the kernel finds it by the gateway when absent.
    pub device: Option<u32>,
}

/// A route of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Destination, gateway and device. A multipath route has neither gateway nor device here.
    pub route: Route,
    /// Its creator (`rtm_protocol`): [`LSX_PROTOCOL`] is lsx, 2 the kernel, 3 `ip route`, 4 an administrator, 16 DHCP.
    pub protocol: u8,
    /// Metric: lower values are preferred; 0 if unset.
    pub metric: u32,
    /// Its routing table.
    pub table: u32,
}

impl Route {
    /// Replaces the route to the same network with metric 0, *whoever created it*: the kernel compares network, TOS and
    /// metric, not the protocol (`fib_table_insert`). The plan has to check first.
    pub(crate) fn replace(&self) -> Request<'static> {
        let message = RouteNetlinkMessage::NewRoute(self.message());
        Request::new(format!("put route to {}", self.destination), NLM_F_CREATE | NLM_F_REPLACE, message)
    }

    /// Removes it if it belongs to lsx: the kernel compares the protocol here. A missing one is `ESRCH`.
    pub(crate) fn delete(&self) -> Request<'static> {
        let message = RouteNetlinkMessage::DelRoute(self.message());
        Request::new(format!("remove route to {}", self.destination), 0, message)
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = self.destination.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::from(LSX_PROTOCOL);
        message.header.kind = RouteType::Unicast;
        message.header.scope = if self.gateway.is_some() { RouteScope::Universe } else { RouteScope::Link };
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(self.destination.network())));
        message
            .attributes
            .extend(self.gateway.map(|gateway| RouteAttribute::Gateway(RouteAddress::Inet(gateway))));
        message.attributes.extend(self.device.map(RouteAttribute::Oif));
        message
    }
}

/// All unicast IPv4 routes of the main table.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<Entry>, NetlinkError> {
    dump(socket, RouteProtocol::Unspec)
}

/// The unicast IPv4 routes of every table used in this namespace: the main one, and those that rules refer to (ip-rule(8));
/// the kernel's table of local addresses is left out.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn followed(socket: &mut Socket) -> Result<Vec<Entry>, NetlinkError> {
    let mut question = RuleMessage::default();
    question.header.family = AddressFamily::Inet;
    let main = u32::from(RouteHeader::RT_TABLE_MAIN);
    let mut tables = std::collections::BTreeSet::from([main]);
    for rule in socket.dump("list routing rules", &RouteNetlinkMessage::GetRule(question))? {
        let RouteNetlinkMessage::NewRule(rule) = rule else { continue };
        let named = rule.attributes.iter().find_map(|attribute| match attribute {
            RuleAttribute::Table(table) => Some(*table),
            _ => None,
        });
        tables.insert(named.unwrap_or(u32::from(rule.header.table)));
    }
    if tables.iter().all(|table| [main, DEFAULT, LOCAL, 0].contains(table)) {
        return list(socket);
    }
    let all = dump_table(socket, RouteProtocol::Unspec, RouteHeader::RT_TABLE_UNSPEC)?;
    Ok(all.into_iter().filter(|r| r.table != LOCAL && tables.contains(&r.table)).collect())
}

/// The routes with [`LSX_PROTOCOL`], selected by the kernel.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn ours(socket: &mut Socket) -> Result<Vec<Entry>, NetlinkError> {
    dump(socket, RouteProtocol::from(LSX_PROTOCOL))
}

fn dump(socket: &mut Socket, protocol: RouteProtocol) -> Result<Vec<Entry>, NetlinkError> {
    dump_table(socket, protocol, RouteHeader::RT_TABLE_MAIN)
}

fn dump_table(socket: &mut Socket, protocol: RouteProtocol, table: u8) -> Result<Vec<Entry>, NetlinkError> {
    let mut question = RouteMessage::default();
    question.header.address_family = AddressFamily::Inet;
    question.header.table = table;
    question.header.kind = RouteType::Unicast;
    question.header.protocol = protocol;
    match socket.dump("list routes", &RouteNetlinkMessage::GetRoute(question)) {
        // A new namespace has no main table until its first route ("FIB table does not exist").
        Err(error) if error.missing() => Ok(Vec::new()),
        found => Ok(found?.iter().filter_map(read).collect()),
    }
}

fn read(message: &RouteNetlinkMessage) -> Option<Entry> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let (mut network, mut gateway, mut device, mut metric) = (Ipv4Addr::UNSPECIFIED, None, None, 0);
    let mut table = u32::from(message.header.table);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => network = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Table(number) => table = *number,
            _ => (),
        }
    }
    let destination = Ipv4Net::new(network, message.header.destination_prefix_length).ok()?;
    Some(Entry {
        route: Route { destination, gateway, device },
        protocol: message.header.protocol.into(),
        metric,
        table,
    })
}
