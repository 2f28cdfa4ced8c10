//! Permanent neighbours, and the forwarding entries of bridges and VXLAN devices.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Mac, NetlinkError, Request, Socket, wire};

/// `NUD_NOARP | NUD_REACHABLE` (linux/neighbour.h). For the bridge NOARP means "static, not its own address", the VXLAN
/// device requires REACHABLE or PERMANENT, and neither expires it; PERMANENT would make the address local to the bridge.
const STATIC: NeighbourState = NeighbourState::Other(0x40 | 0x02);
/// `NUD_PERMANENT` (linux/neighbour.h), a bit of the states in a dump.
const PERMANENT: u16 = 0x80;
/// The all-zero address of a VXLAN device: the destination of everything without an entry.
const FLOOD: Mac = [0; 6];

/// The owner of an IPv4 address, as known to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Index of the device; the bridge itself for neighbour suppression.
    pub device: u32,
    /// The neighbour's address.
    pub address: Ipv4Addr,
    /// Its Ethernet address; `None` while resolution fails.
    pub mac: Option<Mac>,
    /// Permanent, never expires.
    pub permanent: bool,
}

/// One row of a forwarding table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forward {
    /// Index of the bridge port or VXLAN device.
    pub device: u32,
    /// Destination address; all zero is the flood list of a VXLAN device.
    pub mac: Mac,
    /// The tunnel endpoint; `Some` marks a row of a VXLAN device's own table.
    pub remote: Option<IpAddr>,
    /// The bridge whose table this is; `None` is the device's own table.
    pub bridge: Option<u32>,
    /// Permanent, never expires (`NUD_NOARP` or `NUD_PERMANENT`).
    pub fixed: bool,
    /// An address of the bridge or of the port itself, made by the kernel (`NUD_PERMANENT` in a bridge's table).
    pub own: bool,
}

/// Adds a permanent neighbour, or makes the existing entry permanent with this address.
pub(crate) fn replace(device: u32, address: Ipv4Addr, mac: Mac) -> Request<'static> {
    let op = format!("put neighbour {address} on link {device}");
    Request::new(op, NLM_F_CREATE | NLM_F_REPLACE, new_neighbour(device, address, mac))
}

/// Adds a neighbour that can be evicted, like a learned one. `ENOBUFS` means that the table of all namespaces is full.
pub(crate) fn learned(device: u32, address: Ipv4Addr) -> Request<'static> {
    let mut message = header(AddressFamily::Inet, device);
    message.header.state = NeighbourState::Stale;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 2]));
    let op = format!("learn neighbour {address} on link {device}");
    Request::new(op, NLM_F_CREATE | NLM_F_REPLACE, RouteNetlinkMessage::NewNeighbour(message))
}

/// Probes a neighbour: the kernel itself sends one ARP request to this hardware address, which needs no socket and no
/// address on the device.
pub(crate) fn knock(device: u32, address: Ipv4Addr, mac: Mac) -> Request<'static> {
    let mut message = header(AddressFamily::Inet, device);
    message.header.state = NeighbourState::Probe;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    let op = format!("probe {} through link {device}", text(mac));
    Request::new(op, NLM_F_CREATE | NLM_F_REPLACE, RouteNetlinkMessage::NewNeighbour(message))
}

/// Removes a neighbour; a missing one is `ENOENT`.
pub(crate) fn delete(device: u32, address: Ipv4Addr) -> Request<'static> {
    let mut message = header(AddressFamily::Inet, device);
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    Request::new(
        format!("remove neighbour {address} of link {device}"),
        0,
        RouteNetlinkMessage::DelNeighbour(message),
    )
}

/// All IPv4 neighbours of the namespace, or of one device.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn list(socket: &mut Socket, device: Option<u32>) -> Result<Vec<Neighbour>, NetlinkError> {
    let mut question = header(AddressFamily::Inet, 0);
    question.attributes.extend(device.map(NeighbourAttribute::IfIndex));
    let found = socket.dump("list neighbours", &RouteNetlinkMessage::GetNeighbour(question))?;
    Ok(found.iter().filter_map(neighbour).collect())
}

/// The hardware address of one permanent neighbour; `None` when there is none, or one that was only learned.
///
/// # Errors
/// The kernel's errno and message.
pub(crate) fn permanent(
    socket: &mut Socket,
    device: u32,
    address: Ipv4Addr,
) -> Result<Option<Mac>, NetlinkError> {
    let mut question = header(AddressFamily::Inet, device);
    question.attributes.push(NeighbourAttribute::Destination(address.into()));
    let request = Request::new(
        format!("look at neighbour {address} of link {device}"),
        0,
        RouteNetlinkMessage::GetNeighbour(question),
    );
    let mut found = None;
    let verdict = socket.get(&request, |_, body| found = fixed(body));
    match verdict {
        Err(error) if error.missing() => Ok(None),
        outcome => outcome.map(|()| found),
    }
}

/// `struct ndmsg` and `NDA_LLADDR` (linux/neighbour.h) of a permanent entry.
fn fixed(body: &[u8]) -> Option<Mac> {
    let (head, rest) = body.split_at_checked(12)?;
    let state: [u8; 2] = head.get(8..10)?.try_into().ok()?;
    let hardware = wire::attributes(rest).find(|(kind, _)| *kind == 2)?.1.try_into().ok();
    hardware.filter(|_| u16::from_ne_bytes(state) & PERMANENT != 0)
}

/// Maps an address to a tunnel endpoint: in one message in the bridge's table and in the VXLAN device's. `device` is the
/// VXLAN device, already a bridge port. Repeating it changes nothing; another `remote` replaces the old one.
pub(crate) fn forward(device: u32, mac: Mac, remote: IpAddr) -> Request<'static> {
    let flags = NeighbourFlags::Controller | NeighbourFlags::Own;
    let message = RouteNetlinkMessage::NewNeighbour(row(device, mac, Some(remote), flags));
    Request::new(format!("forward {} to {remote}", text(mac)), NLM_F_CREATE | NLM_F_REPLACE, message)
}

/// Adds a tunnel endpoint to the flood list (head-end replication); it may exist already. A lookup walks the list, so
/// adding n of them takes n² steps: 5 µs each at 1,000, 1 ms each at 100,000.
pub(crate) fn flood_to(device: u32, remote: IpAddr) -> Request<'static> {
    let message = RouteNetlinkMessage::NewNeighbour(row(device, FLOOD, Some(remote), NeighbourFlags::Own));
    Request::new(format!("flood link {device} to {remote}"), NLM_F_CREATE | NLM_F_APPEND, message)
}

/// Removes what [`forward`] added, table by table: the kernel stops at the first table without the row (`rtnl_fdb_del`),
/// and a crash may have left only one. A missing row is `ENOENT`, in each table.
pub(crate) fn delete_forward(device: u32, mac: Mac, remote: IpAddr) -> [Request<'static>; 2] {
    let op = format!("stop forwarding {} to {remote}", text(mac));
    let bridge = RouteNetlinkMessage::DelNeighbour(row(device, mac, None, NeighbourFlags::Controller));
    let own = RouteNetlinkMessage::DelNeighbour(row(device, mac, Some(remote), NeighbourFlags::Own));
    [Request::new(op.clone(), 0, bridge), Request::new(op, 0, own)]
}

/// Removes a tunnel endpoint from the flood list; a missing one is `ENOENT`.
pub(crate) fn delete_flood_to(device: u32, remote: IpAddr) -> Request<'static> {
    let message = RouteNetlinkMessage::DelNeighbour(row(device, FLOOD, Some(remote), NeighbourFlags::Own));
    Request::new(format!("stop flooding link {device} to {remote}"), 0, message)
}

/// Which forwarding rows to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every device of the namespace.
    All,
    /// One port or VXLAN device, by index: its rows in its bridge's table and in its own.
    Device(u32),
}

/// Forwarding rows, of bridges and VXLAN devices.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn forwards(socket: &mut Socket, scope: Scope) -> Result<Vec<Forward>, NetlinkError> {
    let mut question = header(AddressFamily::Bridge, 0);
    match scope {
        Scope::All => (),
        Scope::Device(index) => question.header.ifindex = index,
    }
    let found = socket.dump("list forwarding entries", &RouteNetlinkMessage::GetNeighbour(question))?;
    Ok(found.iter().filter_map(forwarding).collect())
}

fn header(family: AddressFamily, device: u32) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = device;
    message
}

fn new_neighbour(device: u32, address: Ipv4Addr, mac: Mac) -> RouteNetlinkMessage {
    let mut message = header(AddressFamily::Inet, device);
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    RouteNetlinkMessage::NewNeighbour(message)
}

fn row(device: u32, mac: Mac, remote: Option<IpAddr>, tables: NeighbourFlags) -> NeighbourMessage {
    let mut message = header(AddressFamily::Bridge, device);
    message.header.state = STATIC;
    message.header.flags = tables;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    message.attributes.extend(remote.map(|remote| NeighbourAttribute::Destination(remote.into())));
    message
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn lladdr(message: &NeighbourMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })
}

fn neighbour(message: &RouteNetlinkMessage) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    let permanent = u16::from(message.header.state) & PERMANENT != 0;
    Some(Neighbour { device: message.header.ifindex, address, mac: lladdr(message), permanent })
}

fn forwarding(message: &RouteNetlinkMessage) -> Option<Forward> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
    let (mut remote, mut bridge) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(address) => remote = tunnel_end(address),
            NeighbourAttribute::Controller(index) => bridge = Some(*index),
            _ => (),
        }
    }
    let state = u16::from(message.header.state);
    let fixed = state & (PERMANENT | u16::from(NeighbourState::Noarp)) != 0;
    let own = bridge.is_some() && state & PERMANENT != 0;
    Some(Forward { device: message.header.ifindex, mac: lladdr(message)?, remote, bridge, fixed, own })
}

/// In a row of family `AF_BRIDGE` the crate leaves the tunnel endpoint as bytes.
fn tunnel_end(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(address) => Some(IpAddr::V4(*address)),
        NeighbourAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        NeighbourAddress::Other(bytes) => <[u8; 4]>::try_from(bytes.as_slice())
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from))
            .ok(),
        _ => None,
    }
}
