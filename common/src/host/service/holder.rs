//! Which program has a port: for people who cannot use it.

use crate::host::namespace;
use crate::printable;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Tables of sockets (proc(5)), with the state of those that have a port for themselves: TCP that listens, UDP that is bound.
const TABLES: [(&str, &str); 4] = [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")];
/// The kernel cuts names of programs to 15 bytes.
const CUT: &str = "systemd-resolve";

/// A program that has a port.
pub(super) struct Holder {
    name: String,
    process: u32,
}

impl Holder {
    /// In words.
    pub(super) fn said(&self) -> String {
        format!("{} (process {}) has the port", self.name, self.process)
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self.name.as_str() {
            "systemd-resolved" => {
                "set DNSStubListener=no in /etc/systemd/resolved.conf, and restart systemd-resolved"
            }
            "dnsmasq of libvirt" => {
                "give the network of libvirt another address, or stop it: virsh net-destroy NAME"
            }
            "dnsmasq" => {
                "let dnsmasq listen on other addresses only (listen-address, bind-interfaces), or stop it"
            }
            _ => "stop this program, or let it use another address or port",
        }
    }
}

/// The program that has an address and port in a network namespace, or the port of all its addresses.
pub(super) fn of(space: BorrowedFd<'_>, at: SocketAddrV4) -> Option<Holder> {
    let sockets = taken(space, at);
    if sockets.is_empty() {
        return None;
    }
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let mut processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let process = processes.find(|process| holds(*process, &sockets))?;
    let read = |file: &str| fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
    let (name, arguments) = (read("comm"), read("cmdline"));
    let (name, arguments) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&arguments));
    Some(Holder { name: known(name.trim(), &arguments), process })
}

/// Whether one of these processes has it.
pub(super) fn has(space: BorrowedFd<'_>, at: SocketAddrV4, processes: &[i32]) -> bool {
    let sockets = taken(space, at);
    let mut own = processes.iter().filter_map(|process| u32::try_from(*process).ok());
    own.any(|process| holds(process, &sockets))
}

/// The sockets with an address and port, or with the port of all addresses.
fn taken(space: BorrowedFd<'_>, at: SocketAddrV4) -> Vec<String> {
    let table = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let tables = || TABLES.map(|(name, state)| (table(name), state));
    let tables = namespace::inside(space, tables).into_iter().flatten();
    tables.flat_map(|(text, state)| sockets(&text, state, at)).collect()
}

/// The sockets with a port, as links of descriptors name them.
fn sockets(table: &str, state: &str, at: SocketAddrV4) -> Vec<String> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':')?;
        let here = u16::from_str_radix(port, 16).ok()? == at.port() && covers(address, *at.ip());
        (here && words.get(3) == Some(&state))
            .then(|| words.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    table.lines().skip(1).filter_map(of).collect()
}

/// Whether a socket's address in hexadecimal digits is an address, or all of them; who wants all has every one in the way.
fn covers(text: &str, address: Ipv4Addr) -> bool {
    // Bytes in the order of the network, as a number of this machine.
    let own = format!("{:08X}", u32::from_ne_bytes(address.octets()));
    let any = address.is_unspecified() || text.bytes().all(|digit| digit == b'0');
    any || text == own || text.len() == 32 && text.ends_with(&own)
}

fn holds(process: u32, sockets: &[String]) -> bool {
    let descriptors = fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"));
    let mut links =
        descriptors.into_iter().flatten().flatten().filter_map(|at| fs::read_link(at.path()).ok());
    links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
}

/// The name that people know.
fn known(name: &str, arguments: &str) -> String {
    match name {
        CUT => "systemd-resolved".to_owned(),
        "dnsmasq" if arguments.contains("/libvirt/") => "dnsmasq of libvirt".to_owned(),
        _ => printable::line(name).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn the_program_that_has_a_port_is_named() {
        let own = namespace::own().unwrap();
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
        let both = TcpListener::bind("[::]:0").unwrap();
        for port in [udp.local_addr(), tcp.local_addr(), both.local_addr()].map(|at| at.unwrap().port()) {
            let holder = of(own.as_fd(), SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
            assert_eq!((holder.name.as_str(), holder.process), (name.trim(), std::process::id()));
            assert!(holder.said().contains(name.trim()));
        }
        let port = udp.local_addr().unwrap().port();
        let all = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
        assert!(of(own.as_fd(), all).is_some());
        let (ours, first) = (std::process::id().cast_signed(), 1);
        assert_eq!(
            [[ours].as_slice(), &[first], &[]].map(|all_of| has(own.as_fd(), all, all_of)),
            [true, false, false]
        );
        assert!(of(own.as_fd(), SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), port)).is_none());
    }

    #[test]
    fn programs_are_named_as_people_know_them() {
        assert_eq!(known(CUT, "/lib/systemd/systemd-resolved"), "systemd-resolved");
        let libvirt = "/usr/sbin/dnsmasq\0--conf-file=/var/lib/libvirt/dnsmasq/default.conf";
        assert_eq!(known("dnsmasq", libvirt), "dnsmasq of libvirt");
        let names = [known("dnsmasq", libvirt), known("dnsmasq", ""), known(CUT, ""), known("x\u{1b}[", "")];
        let hints = names.map(|name| Holder { name, process: 1 }.hint());
        assert!(
            hints[0].contains("virsh") && hints[1].contains("listen-address") && hints[2].contains("Stub")
        );
        assert!(hints[3].contains("another address"));
    }
}
