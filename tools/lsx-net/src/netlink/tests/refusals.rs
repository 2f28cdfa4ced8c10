//! Refusals carry errno, the question in words and the kernel's own sentence; a batch keeps its order through them.

use super::{Host, bridge, vxlan};
use crate::netlink::link::{self, Change, Vxlan};
use crate::netlink::{Device, NetlinkError, Socket, dump, namespace, spread};

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
            1 => bridge(&format!("b{number}"), 1_000 + number).create(),
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

#[test]
fn spreading_keeps_the_order_of_verdicts() {
    let Some(mut host) = Host::new() else { return };
    host.send_all(&(0..40).map(|n| bridge(&format!("b{n}"), 100 + n).create()).collect::<Vec<_>>());
    let requests: Vec<_> = (0..80).map(|number| link::delete(Device::Index(100 + number))).collect();
    let there = std::os::fd::AsFd::as_fd(&host.namespace);
    let verdicts = namespace::inside(there, || spread(&requests, 8)).expect("inside").expect("sockets");
    assert!(verdicts[..40].iter().all(Result::is_ok));
    assert!(verdicts[40..].iter().all(|verdict| verdict.as_ref().is_err_and(NetlinkError::missing)));
    assert_eq!(namespace::inside(there, || spread(&[], 8)).expect("inside").expect("sockets"), []);
}

#[test]
fn a_dump_overtaken_by_changes_is_whole() {
    let Some(mut host) = Host::new() else { return };
    host.send_all(&(0..400).map(|n| bridge(&format!("b{n}"), 100 + n).create()).collect::<Vec<_>>());
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut other = Socket::open_in(std::os::fd::AsFd::as_fd(&host.namespace)).expect("a socket");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 10_000;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let name = format!("c{number}");
                let _ = other.batch(&[bridge(&name, number).create(), link::delete(Device::Name(&name))]);
            }
        });
        for _ in 0..20 {
            let outcome = dump::links(&mut host.socket);
            let whole =
                |links: &[dump::Link]| links.iter().filter(|link| link.name.starts_with('b')).count() == 400;
            assert!(
                outcome.as_ref().map_or_else(|e| e.errno == nix::errno::Errno::EINTR as i32, |l| whole(l))
            );
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
