//! The kernel's connection table: listing IPv4 entries, and deleting single ones.

use std::io;
use std::net::Ipv4Addr;

use crate::model::{Flow, Tuple};

use super::ask;
use super::wire::{aligned, attributes};

/// `NETLINK_NETFILTER` (linux/netlink.h).
const PROTOCOL: isize = 12;
/// `NFNL_SUBSYS_CTNETLINK << 8`, `IPCTNL_MSG_CT_GET`, `IPCTNL_MSG_CT_DELETE` (linux/netfilter/nfnetlink_conntrack.h).
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
/// `struct nfgenmsg`: `AF_INET`, version 0, no resource.
const IPV4: [u8; 4] = [2, 0, 0, 0];
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_ID`, `CTA_ZONE`.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// `NLA_F_NESTED` (linux/netlink.h).
const NESTED: u16 = 1 << 15;

/// The connections of the calling thread's namespace.
///
/// # Errors
/// `PermissionDenied` without `CAP_NET_ADMIN`; errors of a kernel without nf_conntrack_netlink.
pub(crate) fn flows() -> io::Result<Vec<Flow>> {
    ask::dump(PROTOCOL, GET, &IPV4, |object| flow(object.get(4..)?))
}

/// Deletes one connection; its next packet is checked by the rules again. A missing one is no error.
///
/// # Errors
/// As [`flows`].
pub(crate) fn delete(flow: &Flow) -> io::Result<()> {
    let body = [&IPV4[..], &flow.name].concat();
    match ask::get(PROTOCOL, DELETE, &body, |_| None::<()>) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

fn flow(bytes: &[u8]) -> Option<Flow> {
    let (mut original, mut reply, mut zone, mut name) = (None, None, 0, Vec::new());
    for (kind, value) in attributes(bytes) {
        match kind {
            ORIGINAL => {
                original = tuple(value);
                attach(&mut name, kind | NESTED, value);
            }
            REPLY => reply = tuple(value),
            ID => attach(&mut name, kind, value),
            ZONE => {
                zone = u16::from_be_bytes(value.try_into().ok()?);
                attach(&mut name, kind, value);
            }
            _ => (),
        }
    }
    Some(Flow { original: original?, reply: reply?, zone, name })
}

/// `CTA_TUPLE_IP` and `CTA_TUPLE_PROTO`.
fn tuple(bytes: &[u8]) -> Option<Tuple> {
    let none = Ipv4Addr::UNSPECIFIED;
    let mut found = Tuple { source: none, target: none, protocol: 0, source_port: 0, target_port: 0 };
    let address = |value: &[u8]| <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
    let port = |value: &[u8]| value.try_into().map(u16::from_be_bytes).ok();
    for (part, inner) in attributes(bytes) {
        for (kind, value) in attributes(inner) {
            match (part, kind) {
                (1, 1) => found.source = address(value)?,
                (1, 2) => found.target = address(value)?,
                (2, 1) => found.protocol = *value.first()?,
                (2, 2) => found.source_port = port(value)?,
                (2, 3) => found.target_port = port(value)?,
                _ => (),
            }
        }
    }
    Some(found)
}

fn attach(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(aligned(to.len()), 0);
}
