//! Links of the kernel, read in one dump.
//!
//! Attributes are read one by one instead of through the crate's types: otherwise one unknown attribute of a foreign link
//! would make the whole host unreadable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use super::link::{Device, Mac, PortFlags};
use super::wire::{attributes, number, text};
use super::{NetlinkError, Request, Socket};

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Alternative names, in the kernel's order.
    pub altnames: Vec<String>,
    /// The description (`ifalias`); empty when unset.
    pub alias: String,
    /// Kind in the kernel's words (`bridge vxlan veth`); empty for hardware and loopback.
    pub kind: String,
    /// Ethernet address; `None` for links with another kind of address.
    pub mac: Option<Mac>,
    /// Bytes.
    pub mtu: u32,
    /// Administrative state.
    pub up: bool,
    /// Index of the bridge (or other master) it belongs to.
    pub master: Option<u32>,
    /// Link group; 0 is the default.
    pub group: u32,
    /// Index of a veth's other end, or of the link below a VLAN or macvlan; it is in [`Link::peer_namespace`] if that is
    /// set.
    pub lower: Option<u32>,
    /// The namespace of the other end, as numbered by this namespace (`IFLA_LINK_NETNSID`).
    pub peer_namespace: Option<i32>,
    /// Settings of a bridge only.
    pub bridge: Option<BridgeState>,
    /// Settings of a VXLAN device only.
    pub vxlan: Option<VxlanState>,
    /// Flags as a bridge port.
    pub port: Option<PortFlags>,
}

/// Settings of a bridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BridgeState {
    /// Seconds that a learned address is kept.
    pub ageing: u32,
    /// Seconds before a new port forwards.
    pub forward_delay: u32,
    /// Spanning tree.
    pub stp: bool,
    /// Multicast snooping.
    pub multicast_snooping: bool,
    /// VLAN filtering.
    pub vlan_filtering: bool,
}

/// Settings of a VXLAN device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct VxlanState {
    /// VXLAN network identifier.
    pub vni: u32,
    /// UDP destination port.
    pub port: u16,
    /// UDP source ports; zeros are the kernel's choice.
    pub source_ports: (u16, u16),
    /// Source address of the tunnel.
    pub local: Option<IpAddr>,
    /// Index of the underlay device.
    pub underlay: Option<u32>,
    /// Learns tunnel endpoints from traffic.
    pub learning: bool,
    /// Outer TTL; 0 is the namespace's default.
    pub ttl: u8,
}

/// All links of the namespace, without statistics, which are half of the bytes and not needed.
///
/// # Errors
/// As [`Socket::dump`].
pub(crate) fn links(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let question = RouteNetlinkMessage::GetLink(without_statistics(LinkMessage::default()));
    let found = socket.dump_with("list links", &question, |_, body| read(body))?;
    Ok(found.into_iter().flatten().collect())
}

/// One link; `None` when there is none.
///
/// # Errors
/// The kernel's errno and message.
pub(crate) fn link(socket: &mut Socket, device: Device<'_>) -> Result<Option<Link>, NetlinkError> {
    let question = RouteNetlinkMessage::GetLink(without_statistics(device.message()));
    let mut found = None;
    match socket.get(&Request::new(format!("look at {device}"), 0, question), |_, body| found = read(body)) {
        Err(error) if error.missing() => Ok(None),
        outcome => outcome.map(|()| found),
    }
}

fn without_statistics(mut message: LinkMessage) -> LinkMessage {
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

/// `struct ifinfomsg` and the attributes of linux/if_link.h.
fn read(body: &[u8]) -> Option<Link> {
    let (header, rest) = body.split_at_checked(16)?;
    let index = header.get(4..8).and_then(number)?;
    let up = header.get(8..12).and_then(number)? & 1 != 0;
    let mut link = Link { index, up, ..Link::default() };
    for (attribute, value) in attributes(rest) {
        match attribute {
            1 => link.mac = value.try_into().ok(),
            3 => link.name = text(value),
            4 => link.mtu = number(value)?,
            5 => link.lower = number(value).filter(|lower| *lower != 0),
            10 => link.master = number(value),
            18 => kind_of(value, &mut link),
            20 => link.alias = text(value),
            27 => link.group = number(value)?,
            37 => link.peer_namespace = number(value).map(u32::cast_signed),
            52 => {
                link.altnames =
                    attributes(value).filter(|(kind, _)| *kind == 53).map(|(_, v)| text(v)).collect()
            }
            _ => (),
        }
    }
    Some(link)
}

/// `IFLA_LINKINFO`: the kind comes before its data (`rtnl_link_fill`).
fn kind_of(info: &[u8], link: &mut Link) {
    let mut master = String::new();
    for (attribute, value) in attributes(info) {
        match attribute {
            1 => link.kind = text(value),
            2 if link.kind == "bridge" => link.bridge = Some(bridge(value)),
            2 if link.kind == "vxlan" => link.vxlan = Some(vxlan(value)),
            4 => master = text(value),
            5 if master == "bridge" => link.port = Some(port(value)),
            _ => (),
        }
    }
}

/// `IFLA_BR_*`; times in 1/100 s.
fn bridge(data: &[u8]) -> BridgeState {
    let mut state = BridgeState::default();
    for (attribute, value) in attributes(data) {
        match attribute {
            1 => state.forward_delay = number(value).unwrap_or_default() / 100,
            4 => state.ageing = number(value).unwrap_or_default() / 100,
            5 => state.stp = number(value) != Some(0),
            7 => state.vlan_filtering = flag(value),
            23 => state.multicast_snooping = flag(value),
            _ => (),
        }
    }
    state
}

/// `IFLA_VXLAN_*`; the port is in network order.
fn vxlan(data: &[u8]) -> VxlanState {
    let mut state = VxlanState::default();
    for (attribute, value) in attributes(data) {
        match attribute {
            1 => state.vni = number(value).unwrap_or_default(),
            3 => state.underlay = number(value),
            4 => state.local = <[u8; 4]>::try_from(value).map(|v| Ipv4Addr::from(v).into()).ok(),
            5 => state.ttl = value.first().copied().unwrap_or_default(),
            7 => state.learning = flag(value),
            10 => state.source_ports = range(value).unwrap_or_default(),
            15 => state.port = value.try_into().map(u16::from_be_bytes).unwrap_or_default(),
            17 => state.local = <[u8; 16]>::try_from(value).map(|v| Ipv6Addr::from(v).into()).ok(),
            _ => (),
        }
    }
    state
}

/// `struct ifla_vxlan_port_range`, both in network order.
fn range(value: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = value.try_into().ok()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// `IFLA_BRPORT_*`.
fn port(data: &[u8]) -> PortFlags {
    let mut flags = PortFlags::default();
    for (attribute, value) in attributes(data) {
        let place = match attribute {
            4 => &mut flags.hairpin,
            8 => &mut flags.learning,
            9 => &mut flags.unicast_flood,
            27 => &mut flags.multicast_flood,
            30 => &mut flags.broadcast_flood,
            32 => &mut flags.neigh_suppress,
            33 => &mut flags.isolated,
            39 => &mut flags.locked,
            _ => continue,
        };
        *place = Some(flag(value));
    }
    flags
}

fn flag(value: &[u8]) -> bool {
    value.first().is_some_and(|byte| *byte != 0)
}
