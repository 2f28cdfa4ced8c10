//! IPv4 addresses of links.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{NetlinkError, Request, Socket};

/// An address on a link, as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Index of the link.
    pub device: u32,
    /// Host address and prefix length.
    pub address: Ipv4Net,
    /// True if other hosts may use it (scope global), false for loopback and link scope.
    pub global: bool,
}

/// Adds an address, or keeps the same one. The kernel treats another prefix length as another address, which stays.
pub(crate) fn replace(device: u32, address: Ipv4Net) -> Request<'static> {
    let message = RouteNetlinkMessage::NewAddress(message(device, address));
    Request::new(format!("put {address} on link {device}"), NLM_F_CREATE | NLM_F_REPLACE, message)
}

/// All IPv4 addresses of the namespace.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<Address>, NetlinkError> {
    let mut question = AddressMessage::default();
    question.header.family = AddressFamily::Inet;
    let found = socket.dump("list addresses", &RouteNetlinkMessage::GetAddress(question))?;
    Ok(found.iter().filter_map(read).collect())
}

fn message(device: u32, address: Ipv4Net) -> AddressMessage {
    let host = IpAddr::V4(address.addr());
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix_len();
    message.header.index = device;
    message.attributes = vec![AddressAttribute::Local(host), AddressAttribute::Address(host)];
    // RFC 3021: a network of two or one addresses has no broadcast.
    if address.prefix_len() < 31 {
        message.attributes.push(AddressAttribute::Broadcast(address.broadcast()));
    }
    message
}

fn read(message: &RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let host: Ipv4Addr = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(host)) => Some(*host),
        _ => None,
    })?;
    let address = Ipv4Net::new(host, message.header.prefix_len).ok()?;
    let global = message.header.scope == AddressScope::Universe;
    Some(Address { device: message.header.index, address, global })
}
