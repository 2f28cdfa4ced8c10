//! Ports of the host that a program uses.

use crate::model::Listener;
use crate::netlink::listeners::listeners;
use common::stack::resolved::Protocol;
use std::io;
use std::net::Ipv4Addr;

/// `IPPROTO_*`, the state of a bound socket in the kernel (net/tcp_states.h), and its files below /proc/net.
const KINDS: [(Protocol, u8, u8, [&str; 2]); 2] = [
    (Protocol::Tcp, 6, 10, ["tcp", "tcp6"]), // LISTEN
    (Protocol::Udp, 17, 7, ["udp", "udp6"]), // CLOSE: not connected
];

/// TCP and UDP ports with a listener.
pub(super) fn all() -> Vec<Listener> {
    let mut all = Vec::new();
    for (protocol, number, state, files) in KINDS {
        let found = listeners(number, state).or_else(|_| read(files, state)).unwrap_or_default();
        all.extend(found.into_iter().map(|(port, address)| Listener {
            protocol,
            port,
            address,
            stack: String::new(),
        }));
    }
    all.sort();
    all.dedup();
    all
}

/// The same from /proc/net (proc(5)), for kernels without sock_diag.
fn read(files: [&str; 2], state: u8) -> io::Result<Vec<(u16, Option<Ipv4Addr>)>> {
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        all.extend(text.lines().skip(1).filter_map(|line| listener(line, state)));
    }
    Ok(all)
}

fn listener(line: &str, state: u8) -> Option<(u16, Option<Ipv4Addr>)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let address = match u32::from_str_radix(address, 16) {
        Ok(0) => None,
        // The kernel prints the address as a number in the machine's byte order.
        Ok(raw) => Some(Ipv4Addr::from(raw.to_ne_bytes())),
        Err(_) => None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    (u8::from_str_radix(fields.get(3)?, 16).ok()? == state).then_some((port, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_tell_the_same() {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = bound.local_addr().unwrap().port();
        let expected = (port, Some(Ipv4Addr::LOCALHOST));
        assert!(read(["tcp", "tcp6"], 10).unwrap().contains(&expected));
        assert!(listeners(6, 10).is_ok_and(|found| found.contains(&expected)));
    }
}
