//! Many at once, with the time on stderr (`--nocapture`); no time is asserted, since machines are shared.

use std::num::NonZeroU32;
use std::time::Instant;

use super::{Host, bridge, veth, vxlan};
use crate::netlink::link::{self, Veth, Vxlan};
use crate::netlink::neigh::{self, Scope};
use crate::netlink::{Device, Request, dump};

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let outcome = work();
    eprintln!("{what}: {:.0} ms", start.elapsed().as_secs_f64() * 1000.0);
    outcome
}

fn group() -> NonZeroU32 {
    NonZeroU32::new(7).expect("not zero")
}

/// Names for `veths`, which borrow them.
fn names(prefix: &str) -> Vec<String> {
    (0..1000).map(|number| format!("{prefix}{number}")).collect()
}

fn veths<'a>(names: &'a [String], guest: &'a Host, master: Option<u32>) -> Vec<Request<'a>> {
    let number = |place: usize| u32::try_from(place).expect("few");
    let pair = |(place, name): (usize, &'a String)| {
        Veth { master, ..veth(name, number(place), name, &guest.namespace) }.create()
    };
    names.iter().enumerate().map(pair).collect()
}

#[test]
fn a_thousand_veths_in_place_and_gone_by_group() {
    let (Some(mut host), Some(mut guest)) = (Host::new(), Host::new()) else { return };
    let names = names("v");
    timed("1,000 veths in place, batch", || host.send_all(&veths(&names, &guest, None)));
    let there = timed("read 1,001 links", || dump::links(&mut guest.socket).expect("links"));
    assert_eq!(there.iter().filter(|link| link.kind == "veth").count(), 1000);
    timed("1,000 veths deleted by group", || host.send(&link::delete_group(group())));
    assert!(!dump::links(&mut guest.socket).expect("links").iter().any(|link| link.kind == "veth"));
}

#[test]
fn ten_thousand_forwarding_rows() {
    let Some(mut host) = Host::new() else { return };
    host.send_all(&[bridge("lsx0", 50).create(), Vxlan { master: Some(50), ..vxlan("vx0", 51, 5) }.create()]);
    let row = |number: u32| {
        let end = [192, 0, 2, number.to_be_bytes()[3] | 1];
        neigh::forward(51, super::mac(4, number), end.into())
    };
    let rows: Vec<_> = (0..10_000).map(row).collect();
    timed("10,000 rows in two tables", || host.send_all(&rows));
    timed("the same again", || host.send_all(&rows));
    let found = timed("read them", || neigh::forwards(&mut host.socket, Scope::All).expect("rows"));
    assert_eq!(found.iter().filter(|row| row.mac[3] == 4).count(), 20_000);
}

#[test]
#[ignore = "a measurement: cargo test --release -p lsx-net --lib -- --ignored --nocapture --test-threads 1"]
fn measure_veths() {
    let (Some(mut host), Some(guest)) = (Host::new(), Host::new()) else { return };
    let names = names("v");
    for round in 1..=3 {
        let requests = veths(&names, &guest, None);
        timed(&format!("round {round}: 1,000 veths in place, one by one"), || {
            requests.iter().for_each(|request| host.send(request));
        });
        timed("  group delete", || host.send(&link::delete_group(group())));
        timed("  1,000 veths in place, batch", || host.send_all(&requests));
        timed("  group delete", || host.send(&link::delete_group(group())));
        host.send(&bridge("lsx0", 50).create());
        let ports = veths(&names, &guest, Some(50));
        timed("  1,000 veths in place, in a bridge, batch", || host.send_all(&ports));
        timed("  group delete with the bridge", || host.send(&link::delete_group(group())));
        let delete: Vec<_> = names.iter().map(|name| link::delete(Device::Name(name))).collect();
        host.send_all(&requests);
        timed("  1,000 veths deleted, batch", || host.send_all(&delete));
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p lsx-net --lib -- --ignored --nocapture --test-threads 1"]
fn measure_bridges() {
    let Some(mut host) = Host::new() else { return };
    let bridges: Vec<_> = (0..200).map(|n| bridge(&format!("b{n}"), 1_000 + n).create()).collect();
    let tunnels: Vec<_> = (0..200)
        .map(|n| Vxlan { master: Some(1_000 + n), ..vxlan(&format!("x{n}"), 2_000 + n, n) }.create())
        .collect();
    let flags: Vec<_> = (0..200).map(|n| link::PortFlags::ZERO_FLOOD.set(Device::Index(2_000 + n))).collect();
    let marks: Vec<_> = (1_000..1_200)
        .map(|n| link::add_altname(Device::Index(n), &format!("lsx:stack:net{n}:bridge")))
        .collect();
    let delete_bridges: Vec<_> = (0..200).map(|n| link::delete(Device::Index(1_000 + n))).collect();
    let delete_tunnels: Vec<_> = (0..200).map(|n| link::delete(Device::Index(2_000 + n))).collect();
    timed("200 bridges", || host.send_all(&bridges));
    timed("200 vxlan in them", || host.send_all(&tunnels));
    timed("200 port flags, 200 altnames", || {
        host.send_all(&flags);
        host.send_all(&marks);
    });
    timed("read 401 links", || dump::links(&mut host.socket).expect("links"));
    timed("200 vxlan deleted one by one", || host.send_all(&delete_tunnels));
    timed("200 bridges deleted one by one", || host.send_all(&delete_bridges));
    host.send_all(&bridges);
    host.send_all(&tunnels);
    timed("200 bridges and 200 vxlan deleted by group", || host.send(&link::delete_group(group())));
}
