//! Flags of a bridge port.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoBridgePort, InfoPortData, InfoPortKind, LinkAttribute, LinkInfo};

use super::Device;
use crate::netlink::Request;

/// Flags of a bridge port. To set: `None` leaves a flag unchanged; observed: `None` means that this kernel does not support
/// it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PortFlags {
    /// Learn source addresses.
    pub learning: Option<bool>,
    /// Send frames for unknown unicast addresses here.
    pub unicast_flood: Option<bool>,
    /// Send multicast frames here.
    pub multicast_flood: Option<bool>,
    /// Send broadcast frames here.
    pub broadcast_flood: Option<bool>,
    /// Answer ARP and neighbour solicitations for hosts behind this port from the bridge's neighbour entries.
    pub neigh_suppress: Option<bool>,
    /// Do not forward to other isolated ports.
    pub isolated: Option<bool>,
    /// Drop frames whose source has no forwarding entry at this port.
    pub locked: Option<bool>,
    /// Send frames back out of the port they came from.
    pub hairpin: Option<bool>,
}

impl PortFlags {
    /// The flags of a tunnel port, which only carries what forwarding and neighbour entries name.
    pub(crate) const ZERO_FLOOD: PortFlags = PortFlags {
        learning: Some(false),
        unicast_flood: Some(false),
        multicast_flood: Some(false),
        broadcast_flood: Some(false),
        neigh_suppress: Some(true),
        isolated: None,
        locked: None,
        hairpin: None,
    };

    /// Sets the flags; the device must be in a bridge already (`EOPNOTSUPP` otherwise), so a separate message is needed:
    /// the kernel reads these flags only in a message about an existing link (`rtnl_changelink`).
    pub(crate) fn set(&self, device: Device<'_>) -> Request<'static> {
        let data = [
            self.learning.map(InfoBridgePort::Learning),
            self.unicast_flood.map(InfoBridgePort::UnicastFlood),
            self.multicast_flood.map(InfoBridgePort::MulticastFlood),
            self.broadcast_flood.map(InfoBridgePort::BroadcastFlood),
            self.neigh_suppress.map(InfoBridgePort::NeighSupress),
            self.isolated.map(InfoBridgePort::Isolated),
            self.locked.map(InfoBridgePort::Locked),
            self.hairpin.map(InfoBridgePort::HairpinMode),
        ];
        let mut message = device.message();
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(data.into_iter().flatten().collect())),
        ]));
        Request::new(format!("set bridge port {device}"), 0, RouteNetlinkMessage::NewLink(message))
    }
}
