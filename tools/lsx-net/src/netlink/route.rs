//! IPv4 routes of the main table.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{NetlinkError, Request, Socket};

/// The routing protocol number that marks routes of lsx (`rtm_protocol`): one that linux/rtnetlink.h gives to nobody.
pub const LSX_PROTOCOL: u8 = 173;

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Network, without host bits; `0.0.0.0/0` is the default route.
    pub destination: Ipv4Net,
    /// Next hop; without one the destination is on the link itself (scope link).
    pub gateway: Option<Ipv4Addr>,
    /// Index of the outgoing link; the kernel finds it by the gateway when absent.
    pub device: Option<u32>,
}

/// A route as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it leads. A multipath route has neither gateway nor device here.
    pub route: Route,
    /// Who made it (`rtm_protocol`): [`LSX_PROTOCOL`] is ours, 2 the kernel, 3 `ip route`, 4 an administrator, 16 DHCP.
    pub protocol: u8,
    /// Preference among routes to the same network, less wins; 0 when unset.
    pub metric: u32,
}

impl Route {
    /// Adds it; another route to the same network with metric 0 is `EEXIST`, whoever made it.
    pub fn add(&self) -> Request<'static> {
        let message = RouteNetlinkMessage::NewRoute(self.message());
        Request::new(format!("add route to {}", self.destination), NLM_F_CREATE | NLM_F_EXCL, message)
    }

    /// Puts it in place of the route to the same network with metric 0, *whoever made that one*: the kernel compares
    /// network, TOS and metric, never the protocol (`fib_table_insert`). The plan has to look first.
    pub fn replace(&self) -> Request<'static> {
        let message = RouteNetlinkMessage::NewRoute(self.message());
        Request::new(format!("put route to {}", self.destination), NLM_F_CREATE | NLM_F_REPLACE, message)
    }

    /// Removes it if it is ours: the kernel compares the protocol here. Not there is `ESRCH`.
    pub fn delete(&self) -> Request<'static> {
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
pub fn list(socket: &mut Socket) -> Result<Vec<Entry>, NetlinkError> {
    dump(socket, RouteProtocol::Unspec)
}

/// The routes that carry [`LSX_PROTOCOL`]; the kernel does the selecting.
///
/// # Errors
/// As [`Socket::dump`].
pub fn ours(socket: &mut Socket) -> Result<Vec<Entry>, NetlinkError> {
    dump(socket, RouteProtocol::from(LSX_PROTOCOL))
}

fn dump(socket: &mut Socket, protocol: RouteProtocol) -> Result<Vec<Entry>, NetlinkError> {
    let mut question = RouteMessage::default();
    question.header.address_family = AddressFamily::Inet;
    question.header.table = RouteHeader::RT_TABLE_MAIN;
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
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => network = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => (),
        }
    }
    let destination = Ipv4Net::new(network, message.header.destination_prefix_length).ok()?;
    Some(Entry {
        route: Route { destination, gateway, device },
        protocol: message.header.protocol.into(),
        metric,
    })
}
