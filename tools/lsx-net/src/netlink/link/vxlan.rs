//! A new VXLAN device (RFC 7348).

use std::net::IpAddr;

use netlink_packet_route::link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo};

use super::{Mac, create, new_link};
use crate::netlink::Request;

/// A VXLAN device with learning off and no default remote: without forwarding entries it sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vxlan<'a> {
    /// At most 15 bytes.
    pub name: &'a str,
    /// Interface index; 0: chosen by the kernel, a used one is `EEXIST`.
    pub index: u32,
    /// Explicit, so that the same stack gives the same device.
    pub mac: Mac,
    /// Bytes; 50 less than the underlay's over IPv4, 70 over IPv6. Without `underlay` the kernel checks nothing.
    pub mtu: u32,
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// UDP destination port; explicit, because the kernel's default is 8472 and IANA's 4789.
    pub port: u16,
    /// UDP source ports, the first and the one after the last; zeros: chosen by the kernel. Fixed at creation: the kernel
    /// does not change it (`vxlan_nl2conf`).
    pub source_ports: (u16, u16),
    /// Source address of the tunnel.
    pub local: IpAddr,
    /// Index of the underlay device; `None`: decided by routes.
    pub underlay: Option<u32>,
    /// Outer TTL; 0 is the namespace's default.
    pub ttl: u8,
    /// Index of the bridge to join.
    pub master: Option<u32>,
    /// Link group; 0 is the kernel's default.
    pub group: u32,
}

impl Vxlan<'_> {
    /// Creates it, up, in its bridge. Two devices of one namespace with the same VNI and port are `EEXIST`.
    pub(crate) fn create(&self) -> Request<'static> {
        let mut data = vec![
            InfoVxlan::Id(self.vni),
            InfoVxlan::Port(self.port),
            InfoVxlan::Learning(false),
            InfoVxlan::Ttl(self.ttl),
            match self.local {
                IpAddr::V4(local) => InfoVxlan::Local(local),
                IpAddr::V6(local) => InfoVxlan::Local6(local),
            },
        ];
        if self.source_ports != (0, 0) {
            data.push(InfoVxlan::PortRange(self.source_ports));
        }
        data.extend(self.underlay.map(InfoVxlan::Link));
        let mut message = new_link(self.name, self.index, self.mac, self.mtu, self.group);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vxlan),
            LinkInfo::Data(InfoData::Vxlan(data)),
        ]));
        create(format!("create vxlan {} vni {}", self.name, self.vni), message, self.master)
    }
}
