//! Errors have errno, the request in words and the kernel's message; a batch keeps its order.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;

use super::{Host, bridge, vxlan};
use crate::netlink::link::{self, Change, Vxlan};
use crate::netlink::{Device, Socket, dump};

#[test]
fn the_kernels_sentence_comes_along() {
    let Some(mut host) = Host::new() else { return };
    host.send(&bridge("lsx0", 50).create());
    let taken = host.socket.request(&bridge("lsx0", 0).create()).expect_err("taken");
    assert!(taken.exists());
    assert!(taken.to_string().starts_with("create bridge lsx0: "), "{taken}");
    let index = host.socket.request(&bridge("lsx1", 50).create()).expect_err("taken");
    assert!(index.exists(), "{index}");
    // Outside of the device's range: the kernel explains.
    let wide = Change { mtu: Some(70_000), ..Change::default() };
    let refused = host.socket.request(&link::change(Device::Index(50), &wide)).expect_err("too wide");
    assert_eq!(refused.message, "mtu greater than device maximum");
    let beyond = Vxlan { vni: 1 << 24, ..vxlan("vx0", 51, 0) };
    let refused = host.socket.request(&beyond.create()).expect_err("25 bits");
    assert!(!refused.message.is_empty(), "{refused}");
    let nobody = host.socket.request(&link::delete(Device::Name("nobody"))).expect_err("nobody");
    assert!(nobody.missing() && !nobody.exists() && !nobody.denied() && !nobody.unsupported());
    assert_eq!(dump::link(&mut host.socket, Device::Altname("lsx:nobody")), Ok(None));
}

#[test]
fn a_batch_keeps_its_order_and_goes_on_after_a_refusal() {
    let Some(mut host) = Host::new() else { return };
    let requests: Vec<_> = (0..500)
        .map(|number| match number % 3 {
            0 => link::delete(Device::Index(900_000 + number)),
            1 => vxlan(&format!("x{number}"), 1_000 + number, number).create(),
            _ => link::change(Device::Index(999 + number), &Change { mtu: Some(1300), ..Change::default() }),
        })
        .collect();
    let verdicts = host.socket.batch(&requests);
    assert_eq!(verdicts.len(), 500);
    for (number, verdict) in verdicts.iter().enumerate() {
        match number % 3 {
            0 => {
                let error = verdict.as_ref().expect_err("nobody");
                assert!(error.missing());
                assert_eq!(error.op, format!("delete link {}", 900_000 + number));
            }
            _ => assert_eq!(verdict, &Ok(())),
        }
    }
    let links = dump::links(&mut host.socket).expect("links");
    assert_eq!(links.iter().filter(|link| link.mtu == 1300).count(), 166);
    assert!(host.socket.batch(&[]).is_empty());
}

/// Objects that exist all the time are in every dump, however often the list changes meanwhile.
#[test]
fn a_dump_overtaken_by_changes_is_asked_again() {
    let Some(mut host) = Host::new() else { return };
    host.send_all(&(0..400).map(|n| vxlan(&format!("x{n}"), 100 + n, n).create()).collect::<Vec<_>>());
    let done = AtomicBool::new(false);
    let mut other = Socket::open_in(host.namespace.as_fd()).expect("a socket");
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let (mut read, mut kept) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = other.batch(&[vxlan("y", 9_000, 9_000).create(), link::delete(Device::Index(9_000))]);
            }
        });
        for _ in 0..50 {
            let links =
                host.socket.dump_with("list links", &question, |_, _| read += 1).expect("a quiet moment");
            assert!((401..=402).contains(&links.len()), "{} links", links.len());
            kept += links.len();
        }
        done.store(true, Ordering::Relaxed);
    });
    eprintln!("{read} objects read, {kept} kept");
}
