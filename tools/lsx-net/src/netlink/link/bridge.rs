//! A new bridge.

use netlink_packet_route::link::{BridgeStpState, InfoBridge, InfoData, InfoKind, LinkAttribute, LinkInfo};

use super::{Mac, create, new_link};
use crate::netlink::Request;

/// The kernel counts bridge times in `clock_t`, 1/100 s for user space on every architecture.
const TICKS_PER_SECOND: u32 = 100;

/// A bridge without spanning tree, forward delay and multicast snooping: with no querier, snooping would drop
/// neighbour discovery, and a forward delay would hold every new port for 15 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bridge<'a> {
    /// At most 15 bytes.
    pub name: &'a str,
    /// Interface index; 0: chosen by the kernel, a used one is `EEXIST`.
    pub index: u32,
    /// Explicit, because the kernel's own choice depends on the ports.
    pub mac: Mac,
    /// Bytes. The kernel resets it to the smallest of the ports' whenever one joins or leaves (`br_mtu_auto_adjust`).
    pub mtu: u32,
    /// Seconds that a learned address is kept.
    pub ageing: u32,
    /// Link group; 0 is the kernel's default.
    pub group: u32,
}

impl Bridge<'_> {
    /// Creates it, up. The kernel does not accept an alternative name and an alias in this message.
    pub(crate) fn create(&self) -> Request<'static> {
        let mut message = new_link(self.name, self.index, self.mac, self.mtu, self.group);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(vec![
                InfoBridge::StpState(BridgeStpState::Disabled),
                InfoBridge::ForwardDelay(0),
                InfoBridge::AgeingTime(self.ageing.saturating_mul(TICKS_PER_SECOND)),
                InfoBridge::MulticastSnooping(false),
            ])),
        ]));
        create(format!("create bridge {}", self.name), message, None)
    }
}
