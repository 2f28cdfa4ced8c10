//! Used ports of this namespace, by sock_diag(7): the kernel only walks its listeners, while reading /proc/net/tcp walks
//! the table of all connections each time.

use std::io;
use std::net::Ipv4Addr;

use super::ask;

/// `NETLINK_SOCK_DIAG` (linux/netlink.h).
const PROTOCOL: isize = 4;
/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_req_v2` (linux/inet_diag.h).
const QUESTION: usize = 56;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Ports of a protocol (`IPPROTO_*`) whose sockets are in `state` (net/tcp_states.h), with the IPv4 address that each is
/// bound to; all addresses, and those of IPv6, are `None`.
///
/// # Errors
/// Errors of a kernel without sock_diag.
pub(crate) fn listeners(protocol: u8, state: u8) -> io::Result<Vec<(u16, Option<Ipv4Addr>)>> {
    let mut all = Vec::new();
    for family in [IPV4, IPV6] {
        let mut question = [0; QUESTION];
        (question[0], question[1]) = (family, protocol);
        question[4..8].copy_from_slice(&(1_u32 << state).to_ne_bytes());
        all.extend(ask::dump(PROTOCOL, BY_FAMILY, &question, read)?);
    }
    Ok(all)
}

/// `struct inet_diag_msg`.
fn read(object: &[u8]) -> Option<(u16, Option<Ipv4Addr>)> {
    let port = object.get(4..6)?.try_into().map(u16::from_be_bytes).ok()?;
    let address = object.get(8..12)?.try_into().map(|a: [u8; 4]| Ipv4Addr::from(a)).ok()?;
    let bound = *object.first()? == IPV4 && !address.is_unspecified();
    Some((port, bound.then_some(address)))
}
