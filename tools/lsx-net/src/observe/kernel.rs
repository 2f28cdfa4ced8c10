//! Whether the kernel has what lsx-net needs, tried in a temporary namespace.

use super::io_failure;
use crate::model::{GROUP, SOURCE_PORTS};
use crate::netlink::Socket;
use crate::netlink::link::{Bridge, Vxlan};
use common::Failure;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

/// Creates a bridge and a VXLAN device in a temporary namespace; returns what the kernel refused.
///
/// # Errors
/// When the namespace cannot be entered.
pub(super) fn refused(space: BorrowedFd<'_>) -> Result<Vec<String>, Failure> {
    let mut socket = Socket::open_in(space).map_err(|e| io_failure("enter a network namespace", &e))?;
    let mac = [2, 0, 0, 0, 0, 1];
    let bridge = Bridge { name: "b", index: 0, mac, mtu: 1500, ageing: 300, group: GROUP };
    let vxlan = Vxlan {
        name: "v",
        index: 0,
        mac,
        mtu: 1450,
        vni: 1,
        port: 4789,
        source_ports: SOURCE_PORTS,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
        underlay: None,
        ttl: 1,
        master: None,
        group: GROUP,
    };
    let verdicts = socket.batch(&[bridge.create(), vxlan.create()]);
    let words = ["bridges (module bridge)", "VXLAN (module vxlan)"];
    Ok(verdicts
        .into_iter()
        .zip(words)
        .filter_map(|(v, word)| v.err().map(|e| format!("{word}: {}", e.message)))
        .collect())
}
