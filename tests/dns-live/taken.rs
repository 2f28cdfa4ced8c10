//! Ports of services that another program in the router has.

use crate::boot::{STACK, VOLUME, files};
use crate::dhcp::dnsmasq;
use crate::town::Town;
use lsx_tests::lab::{Lab, until};
use std::io::{BufRead, BufReader};
use std::process::Child;

pub(crate) const CASES: &[crate::Case] =
    &[("who_has_a_port_of_a_service_is_told_by_name", who_has_a_port_of_a_service_is_told_by_name)];

/// How the program below takes ports, and how they are told.
const PORTS: [(&str, &str); 4] = [
    ("udp 10.150.0.1 53", "10.150.0.1:53"),
    ("udp 10.150.0.1 67", "0.0.0.0:67"),
    ("udp 0.0.0.0 69", "10.150.0.1:69"),
    ("tcp 0.0.0.0 80", "10.150.0.1:80"),
];

/// No service is left.
const NOTHING: &str = "! pgrep -f '[l]sx-dns supervise-service' && ! pgrep -f '[d]nsmasq.*leases' && ! test -e /etc/lsx/leases/dns.json && ! test -e /run/lsx/leases/dns";

/// Takes a port as soon as it can, says so with its own number, and stays until its input ends.
const HOLD: &str = "import os, socket, sys, time
kind = socket.SOCK_DGRAM if sys.argv[1] == 'udp' else socket.SOCK_STREAM
while True:
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
    try: s.bind((sys.argv[2], int(sys.argv[3]))); break
    except OSError: s.close(); time.sleep(0.001)
if kind == socket.SOCK_STREAM: s.listen()
print(os.getpid(), flush=True)
sys.stdin.read()
";

struct Holder {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Holder {
    fn start(lab: &Lab, what: &str) -> Holder {
        let words: Vec<&str> = what.split(' ').collect();
        let command = [&["ip", "netns", "exec", "lsx-leases", "python3", "-uc", HOLD], &words[..]].concat();
        let mut child = lab.start("h1", &command);
        let said = BufReader::new(child.stdout.take().unwrap());
        Holder { child, said }
    }

    /// What is told of it, once it has the port.
    fn told(&mut self, at: &str) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        format!("cannot listen on {at}: python3 (process {}) has the port", line.trim())
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn who_has_a_port_of_a_service_is_told_by_name(lab: &Lab) {
    files(lab);
    let town = Town::of(lab, "leases", STACK);
    town.dns(&["down", &town.file]).ok();
    for (what, at) in PORTS {
        let mut holder = Holder::start(lab, what);
        let told = holder.told(at);
        let refused = town.dns(&["up", &town.file]).exits(1).stderr;
        assert!(refused.contains(&told) && refused.contains("stop this program"), "{told}: {refused}");
        lab.script("h1", NOTHING).ok();
        holder.end();
    }
    assert!(town.changes(&town.file) > 0);
    town.dns(&["check", &town.file]).ok();
    // The DHCP server is killed with its supervisor, and somebody else is faster.
    let (what, at) = PORTS[1];
    let mut holder = Holder::start(lab, what);
    let supervisor = town.recorded_of("h1", "dhcp", "supervisor");
    lab.script("h1", &format!("kill -9 {supervisor} {}", dnsmasq(lab))).ok();
    let told = holder.told(at);
    let refused = town.dns(&["up", &town.file]).exits(1).stderr;
    assert!(refused.contains(&told), "{told}: {refused}");
    let checked = town.dns(&["check", &town.file]).exits(2).stderr;
    assert!(checked.contains("service dhcp") && checked.contains("offers no address"), "{checked}");
    holder.end();
    assert!(
        until(60, || town.dns(&["up", &town.file]).code == 0),
        "{}",
        town.dns(&["up", &town.file]).stderr
    );
    town.dns(&["check", &town.file]).ok();
    lab.script("h1", &format!("rm -r {VOLUME}")).ok();
    town.down();
}
