//! A new veth pair, whose other end is created directly in another network namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo};

use super::{Mac, create, new_link};
use crate::netlink::Request;

/// A veth pair; the near end is in the socket's namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Veth<'a> {
    /// Near end; at most 15 bytes.
    pub name: &'a str,
    /// Index of the near end; 0: chosen by the kernel, a used one is `EEXIST`.
    pub index: u32,
    /// Ethernet address of the near end.
    pub mac: Mac,
    /// Bytes, of both ends.
    pub mtu: u32,
    /// Index of the bridge the near end joins; a bridge takes 1,023 ports, then `EXFULL`.
    pub master: Option<u32>,
    /// Link group of the near end; deleting it deletes both. 0 is the kernel's default.
    pub group: u32,
    /// The far end.
    pub peer: Peer<'a>,
}

/// The far end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    /// At most 15 bytes; a used one in its namespace is `EEXIST` and nothing is created.
    pub name: &'a str,
    /// Ethernet address.
    pub mac: Mac,
    /// Its namespace. Moving it there afterwards would wait for an RCU grace period, about 20 ms each.
    pub namespace: BorrowedFd<'a>,
}

impl<'a> Veth<'a> {
    /// Creates both ends, the near one up. The far one stays down: up inside this message is `ENOTCONN`, because its
    /// peer is not bound yet (`veth_open`); a socket in its namespace sets it up.
    pub(crate) fn create(&self) -> Request<'a> {
        let mut peer = new_link(self.peer.name, 0, self.peer.mac, self.mtu, 0);
        peer.attributes.push(LinkAttribute::NetNsFd(self.peer.namespace.as_raw_fd()));
        let mut message = new_link(self.name, self.index, self.mac, self.mtu, self.group);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        create(format!("create veth {} with {}", self.name, self.peer.name), message, self.master)
    }
}
