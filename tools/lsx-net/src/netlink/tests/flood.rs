//! Two hosts with an instance each: the entries alone carry the traffic, and nothing unknown reaches the underlay.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::{Host, bridge, mac, veth, vxlan};
use crate::netlink::link::{PortFlags, Veth, Vxlan};
use crate::netlink::{Device, addr, namespace, neigh, sysctl};

/// A host with an underlay address, a bridge (50), a tunnel port (51), and one instance on the bridge.
struct Site {
    host: Host,
    instance: Host,
    number: u8,
}

impl Site {
    fn new(number: u8) -> Option<Site> {
        let (host, instance) = (Host::new()?, Host::new()?);
        for namespace in [&host.namespace, &instance.namespace] {
            // Duplicate address detection and listener reports would count as floods.
            let off = [("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")];
            sysctl::write(namespace.as_fd(), &off).expect("no IPv6");
        }
        Some(Site { host, instance, number })
    }

    fn vtep(&self) -> IpAddr {
        IpAddr::from([192, 0, 2, self.number])
    }

    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, self.number)
    }

    /// Everything except the entries for the other site.
    fn build(&mut self) {
        let tunnel = Vxlan { local: self.vtep(), master: Some(50), ..vxlan("vx0", 51, 77) };
        let instance = veth("v0", self.number.into(), "eth0", &self.instance.namespace);
        let instance = Veth { master: Some(50), ..instance };
        self.host.send_all(&[
            bridge("lsx0", 50).create(),
            tunnel.create(),
            PortFlags::ZERO_FLOOD.set(Device::Index(51)),
            instance.create(),
        ]);
        self.instance.up("eth0");
        let eth0 = self.instance.index("eth0");
        let address = format!("{}/24", self.address()).parse().expect("an address");
        self.instance.send(&addr::replace(eth0, address));
    }

    fn know(&mut self, other: &Site) {
        let far = mac(4, other.number.into());
        self.host
            .send_all(&[neigh::forward(51, far, other.vtep()), neigh::replace(50, other.address(), far)]);
    }

    /// Packets sent on the underlay since the last call.
    fn sent(&self) -> u64 {
        self.host.json("ip -s -j link show dev ul")[0]["stats64"]["tx"]["packets"].as_u64().expect("a count")
    }

    fn ping(&self, arguments: &str) -> bool {
        self.instance.run(&format!("ping -n -W 1 {arguments}")).status.success()
    }
}

/// Two sites on one wire, which know each other, so that the underlay is silent.
fn sites() -> Option<(Site, Site)> {
    let (mut here, mut there) = (Site::new(1)?, Site::new(2)?);
    let wire = Veth { mtu: 1500, ..veth("ul", 9, "ul", &there.host.namespace) };
    here.host.send(&wire.create());
    for (site, other, far) in [(&mut here, 2, mac(4, 9)), (&mut there, 1, mac(3, 9))] {
        site.host.up("ul");
        let ul = site.host.index("ul");
        let own = format!("192.0.2.{}/24", site.number).parse().expect("an address");
        site.host
            .send_all(&[addr::replace(ul, own), neigh::replace(ul, Ipv4Addr::new(192, 0, 2, other), far)]);
        site.build();
    }
    Some((here, there))
}

#[test]
fn what_is_declared_passes_and_nothing_else_leaves() {
    let Some((mut here, mut there)) = sites() else { return };
    here.know(&there);
    there.know(&here);
    // With a flood list only the port's flags suppress flooding.
    here.host.send(&neigh::flood_to(51, there.vtep()));
    there.host.send(&neigh::flood_to(51, here.vtep()));
    let before = (here.sent(), there.sent());
    assert!(here.ping("-c 3 -i 0.2 10.0.0.2"));
    let after = (here.sent(), there.sent());
    assert_eq!((after.0 - before.0, after.1 - before.1), (3, 3), "three questions, three answers, no ARP");
    assert!(here.ping("-c 1 -M do -s 1422 10.0.0.2"), "1,450 bytes");
    assert!(!here.ping("-c 1 -M do -s 1423 10.0.0.2"), "1,451 bytes");

    let before = (here.sent(), there.sent());
    assert!(!here.ping("-c 2 -i 0.2 10.0.0.99"), "nobody");
    let eth0 = here.instance.index("eth0");
    here.instance.send(&neigh::replace(eth0, Ipv4Addr::new(10, 0, 0, 98), mac(4, 98)));
    assert!(!here.ping("-c 2 -i 0.2 10.0.0.98"), "an address no table knows");
    assert!(!here.ping("-c 2 -i 0.2 -b 10.0.0.255"), "everybody");
    assert!(!here.ping("-c 2 -i 0.2 -I eth0 224.0.0.1"), "a group");
    assert_eq!((here.sent(), there.sent()), before, "the underlay heard something");
}

/// The counter works: with head-end flooding the same ping is counted.
#[test]
fn head_end_flooding_reaches_the_other_site() {
    let Some((mut here, mut there)) = sites() else { return };
    let flood = PortFlags {
        learning: Some(true),
        unicast_flood: Some(true),
        multicast_flood: Some(true),
        broadcast_flood: Some(true),
        neigh_suppress: Some(false),
        ..PortFlags::default()
    };
    for (site, end) in [(&mut here, [192, 0, 2, 2]), (&mut there, [192, 0, 2, 1])] {
        site.host.send_all(&[flood.set(Device::Index(51)), neigh::flood_to(51, end.into())]);
    }
    let before = here.sent();
    assert!(!here.ping("-c 2 -i 0.2 10.0.0.99"), "nobody");
    assert!(here.sent() > before);
    assert!(here.ping("-c 1 10.0.0.2"), "found by asking");
}

#[test]
fn tcp_passes_too() {
    let Some((mut here, mut there)) = sites() else { return };
    here.know(&there);
    there.know(&here);
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 7000)).expect("a listener");
    let listener = namespace::inside(there.instance.namespace.as_fd(), listen).expect("inside");
    let sent = vec![7; 200_000];
    let received = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("bytes");
            bytes
        });
        let target = SocketAddr::from((there.address(), 7000));
        let connect = || TcpStream::connect_timeout(&target, Duration::from_secs(5)).expect("a connection");
        let mut stream = namespace::inside(here.instance.namespace.as_fd(), connect).expect("inside");
        stream.write_all(&sent).expect("written");
        drop(stream);
        server.join().expect("the server")
    });
    assert_eq!(received, sent);
}
