//! Tests with the kernel: what is created by netlink is read back with `ip`, `bridge` and packet counters.
//!
//! Every test works in temporary network namespaces, and reports that it was skipped if it may not create one.

mod entries;
mod flood;
mod links;
mod many;
mod names;
mod refusals;

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Output};

use serde_json::Value;

use super::link::{Bridge, Change, Peer, Veth, Vxlan, change};
use super::{Device, Mac, Request, Socket, namespace};

/// A network namespace with a socket in it.
struct Host {
    namespace: OwnedFd,
    socket: Socket,
}

impl Host {
    /// `None`, with a line on stderr, when the caller may not make namespaces.
    fn new() -> Option<Host> {
        let namespace = match namespace::nameless() {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                eprintln!("SKIPPED: a network namespace needs root");
                return None;
            }
            namespace => namespace.expect("a network namespace"),
        };
        let socket = Socket::open_in(namespace.as_fd()).expect("a socket");
        Some(Host { namespace, socket })
    }

    fn send(&mut self, request: &Request<'_>) {
        self.socket.request(request).unwrap_or_else(|error| panic!("{error}"));
    }

    fn send_all(&mut self, requests: &[Request<'_>]) {
        for verdict in self.socket.batch(requests) {
            verdict.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    fn up(&mut self, name: &str) {
        self.send(&change(Device::Name(name), &Change { up: Some(true), ..Change::default() }));
    }

    fn index(&mut self, name: &str) -> u32 {
        let link = super::dump::link(&mut self.socket, Device::Name(name)).expect("a look").expect("a link");
        link.index
    }

    /// Runs a program here; `line` is split at blanks.
    #[expect(clippy::disallowed_methods, reason = "the other route to the kernel is another program")]
    fn run(&self, line: &str) -> Output {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        namespace::inside(self.namespace.as_fd(), || command.output()).expect("inside").expect("a program")
    }

    /// The JSON a program prints here.
    fn json(&self, line: &str) -> Value {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {text}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// `ip -j -d link show` of one link.
    fn shown(&self, name: &str) -> Value {
        self.json(&format!("ip -j -d link show dev {name}"))[0].clone()
    }
}

fn bridge(name: &str, index: u32) -> Bridge<'_> {
    Bridge { name, index, mac: mac(1, index), mtu: 1450, ageing: 300, group: 7 }
}

fn vxlan(name: &str, index: u32, vni: u32) -> Vxlan<'_> {
    let local = std::net::IpAddr::from([192, 0, 2, 1]);
    let (mac, port, underlay, master) = (mac(2, index), 14_789, None, None);
    Vxlan {
        name,
        index,
        mac,
        mtu: 1450,
        vni,
        port,
        source_ports: (61_000, 65_535),
        local,
        underlay,
        ttl: 64,
        master,
        group: 7,
    }
}

fn veth<'a>(name: &'a str, number: u32, peer: &'a str, namespace: &'a OwnedFd) -> Veth<'a> {
    let peer = Peer { name: peer, mac: mac(4, number), namespace: namespace.as_fd() };
    Veth { name, index: 0, mac: mac(3, number), mtu: 1450, master: None, group: 7, peer }
}

fn mac(kind: u8, number: u32) -> Mac {
    let [_, _, high, low] = number.to_be_bytes();
    [0x02, 0, 0, kind, high, low]
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
