//! Echo requests on loopback and through a router that is a namespace.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use super::lab::{in_namespace, run_behind, sh, sysctl, thread_id};
use super::{decoded, message, target};
use crate::probe::{Outcome, State, SweepTarget, run, run_all, sweep};

fn icmp(address: &str, more: &serde_json::Value) -> Outcome {
    let mut object =
        json!({"probe": "icmp", "address": address, "count": 2, "interval_ms": 10, "timeout_ms": 20_000});
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    run(&decoded(object))
}

fn answered(outcome: &Outcome, count: u32) {
    assert_eq!((outcome.ok, outcome.state), (true, State::Answered), "{outcome:?}");
    let ping = outcome.ping.unwrap();
    assert_eq!((ping.sent, ping.received, ping.loss_percent), (count, count, 0.0));
    assert!(ping.min_ms <= ping.avg_ms && ping.avg_ms <= ping.max_ms && ping.mdev_ms.is_some());
    assert_eq!(ping.duplicates, None);
}

#[test]
fn loopback_answers_in_both_versions() {
    in_namespace(|| {
        answered(&icmp("127.0.0.1", &json!({"count": 5})), 5);
        answered(&icmp("::1", &json!({})), 2);
        answered(&icmp("127.0.0.9", &json!({"source": "127.0.0.7", "interface": "lo"})), 2);
        for size in [0, 1, 8, 1_472, 65_507] {
            answered(&icmp("127.0.0.1", &json!({"size_bytes": size})), 2);
        }
    });
}

#[test]
fn unprivileged_socket_works_the_same() {
    in_namespace(|| {
        sysctl("ipv4/ping_group_range", "0 2147483647");
        answered(&icmp("127.0.0.1", &json!({})), 2);
        answered(&icmp("::1", &json!({})), 2);
        sh("ip link set lo mtu 1500");
        assert_eq!(icmp("127.0.0.1", &json!({"size_bytes": 1_473, "df": true})).mtu_bytes, Some(1500));
        sh("ip route add unreachable 10.8.0.0/24");
        assert_eq!(icmp("10.8.0.1", &json!({})).state, State::Unreachable);
    });
}

#[test]
fn packet_that_does_not_fit_names_the_mtu() {
    in_namespace(|| {
        sh("ip link set lo mtu 1500");
        answered(&icmp("127.0.0.1", &json!({"size_bytes": 1_472, "df": true})), 2);
        let outcome = icmp("127.0.0.1", &json!({"size_bytes": 1_473, "df": true}));
        assert_eq!((outcome.ok, outcome.state, outcome.mtu_bytes), (false, State::TooBig, Some(1500)));
        assert!(message(&outcome).contains("1501 bytes does not fit on this host's own interface"));
        assert!(outcome.error.unwrap().hint.unwrap().contains("up to 1472"));
        answered(&icmp("127.0.0.1", &json!({"size_bytes": 1_473})), 2);
        answered(&icmp("::1", &json!({"size_bytes": 1_452, "df": true})), 2);
        let outcome = icmp("::1", &json!({"size_bytes": 1_453, "df": true}));
        assert_eq!((outcome.state, outcome.mtu_bytes), (State::TooBig, Some(1500)));
    });
}

#[test]
fn silence_route_and_filter_are_told_apart() {
    in_namespace(|| {
        sh("ip link add v0 type veth peer name v1");
        sh("ip addr add 10.9.0.1/24 dev v0");
        sh("ip link set v0 up");
        sh("ip link set v1 up");
        let began = Instant::now();
        let silent = icmp("10.9.0.2", &json!({"timeout_ms": 300}));
        assert_eq!((silent.state, silent.ping.unwrap().loss_percent), (State::Timeout, 100.0));
        assert!((300..60_000).contains(&began.elapsed().as_millis()));
        let unrouted = icmp("10.7.0.1", &json!({}));
        assert_eq!(unrouted.state, State::Unreachable);
        assert!(message(&unrouted).contains("no route to 10.7.0.1"), "{}", message(&unrouted));
        sh("nft add table inet t");
        sh("nft add chain inet t in { type filter hook input priority 0 ; }");
        sh("nft add chain inet t out { type filter hook output priority 0 ; }");
        sh(
            "nft add rule inet t in ip daddr 127.0.0.5 icmp type echo-request reject with icmp host-prohibited",
        );
        sh("nft add rule inet t in icmpv6 type echo-request reject with icmpv6 admin-prohibited");
        sh("nft add rule inet t out ip daddr 127.0.0.6 drop");
        let rejected = icmp("::1", &json!({}));
        assert_eq!(message(&rejected), "::1 says prohibited by a filter (ICMPv6 type 1 code 1)");
        let rejected = icmp("127.0.0.5", &json!({}));
        assert_eq!(message(&rejected), "127.0.0.5 says prohibited by a filter (ICMP type 3 code 10)");
        let dropped = icmp("127.0.0.6", &json!({}));
        assert!(message(&dropped).contains("filter of this host"), "{}", message(&dropped));
        let source = icmp("127.0.0.1", &json!({"source": "192.0.2.1"}));
        assert!(message(&source).contains("source: 192.0.2.1 is not one"), "{}", message(&source));
        let interface = icmp("127.0.0.1", &json!({"interface": "nosuch"}));
        assert!(message(&interface).contains("no interface nosuch"), "{}", message(&interface));
    });
}

/// This thread's namespace has 10.1.0.1, a router's 10.1.0.2; beyond it lies 10.2.0.0/24, where a
/// link of 1,400 bytes begins.
fn with_router(test: impl FnOnce() + Send) {
    let (tell, told) = mpsc::channel();
    let (ready, wait) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            in_namespace(move || {
                tell.send(thread_id()).unwrap();
                wait.recv().unwrap();
                sh("ip addr add 10.1.0.2/24 dev v1");
                sh("ip link set v1 up");
                sh("ip link add r0 type veth peer name r1");
                sh("ip link set r0 mtu 1400");
                sh("ip addr add 10.2.0.1/24 dev r0");
                sh("ip link set r0 up");
                sh("ip link set r1 up");
                sysctl("ipv4/ip_forward", "1");
                tell.send(String::new()).unwrap();
                let _ = ended.recv();
            });
        });
        in_namespace(move || {
            let router = told.recv().unwrap();
            sh("ip link add v0 type veth peer name v1");
            sh(&format!("ip link set v1 netns {router}"));
            sh("ip addr add 10.1.0.1/24 dev v0");
            sh("ip link set v0 up");
            sh("ip route add default via 10.1.0.2");
            ready.send(()).unwrap();
            told.recv().unwrap();
            test();
            drop(end);
        });
    });
}

#[test]
fn router_on_the_path_names_its_mtu() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    with_router(|| {
        answered(&icmp("10.2.0.1", &json!({})), 2);
        let outcome = icmp("10.2.0.2", &json!({"size_bytes": 1_472, "df": true}));
        assert_eq!((outcome.state, outcome.mtu_bytes), (State::TooBig, Some(1400)), "{outcome:?}");
        assert!(message(&outcome).contains("at 10.1.0.2 on the path"), "{}", message(&outcome));
        let lost = icmp("10.3.0.1", &json!({}));
        assert_eq!(message(&lost), "10.1.0.2 says network unreachable (ICMP type 3 code 0)");
    });
}

#[test]
fn errors_of_one_series_do_not_hit_another() {
    in_namespace(|| {
        sh("ip route add unreachable 10.8.0.0/24");
        sh("nft add table inet t");
        sh("nft add chain inet t in { type filter hook input priority 0 ; }");
        sh("nft add rule inet t in ip daddr 127.1.0.0/16 icmp type echo-request reject");
        let texts: Vec<String> = (1..200)
            .flat_map(|n| {
                [format!("icmp:127.0.0.{n}"), format!("icmp:127.1.0.{n}"), format!("icmp:10.8.0.{n}")]
            })
            .collect();
        let targets: Vec<_> = texts
            .iter()
            .map(|text| {
                let mut one = target(text);
                one.timeout_ms = 20_000;
                one
            })
            .collect();
        for outcome in run_all(&targets, 2) {
            let good = outcome.target.address.starts_with("127.0");
            assert_eq!(outcome.ok, good, "{outcome:?}");
            assert_eq!(outcome.state, if good { State::Answered } else { State::Unreachable });
        }
    });
}

#[test]
fn sweep_asks_once_more_and_keeps_order() {
    in_namespace(|| {
        sh("nft add table inet t");
        sh("nft add chain inet t in { type filter hook input priority 0 ; }");
        sh("nft add rule inet t in ip daddr 127.0.1.0/24 drop");
        let addresses = ["127.0.0.1", "127.0.1.1", "::1", "127.0.0.2", "127.0.1.2"];
        let targets: Vec<SweepTarget> =
            addresses.iter().map(|text| text.parse::<IpAddr>().unwrap().into()).collect();
        let began = Instant::now();
        let replies = sweep(&targets, Duration::from_millis(500)).unwrap();
        let found: Vec<bool> = replies.iter().map(|one| one.round_trip.is_some()).collect();
        assert_eq!(found, [true, false, true, true, false]);
        assert!((1_000..60_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        let foreign = SweepTarget { source: Some([192, 0, 2, 1].into()), ..targets[0] };
        let replies = sweep(&[foreign], Duration::from_millis(10)).unwrap();
        assert_eq!(replies[0].state, State::Failed);
        // Every address loses its first packet and no other.
        sh("nft flush chain inet t in");
        sh("nft add set inet t seen { type ipv4_addr ; flags dynamic ; }");
        sh("nft add rule inet t in icmp type echo-request ip daddr != @seen add @seen { ip daddr } drop");
        let replies = sweep(&targets, Duration::from_millis(500)).unwrap();
        assert!(replies.iter().all(|one| one.state == State::Answered), "{replies:?}");
    });
}

/// Answers every echo request to loopback three times: once with another payload, twice correctly.
fn forge_replies() {
    sysctl("ipv4/icmp_echo_ignore_all", "1");
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok(bytes) = (&socket).read(&mut buffer) {
            let mut echo = buffer[20..bytes].to_vec();
            if echo[0] != 8 {
                continue;
            }
            echo[0] = 0;
            // A type of 0 instead of 8 in the first word, in the one's complement (RFC 1624).
            let sum = u32::from(u16::from_be_bytes([echo[2], echo[3]])) + 0x0800;
            let sum = (sum & 0xffff) + (sum >> 16);
            echo[2..4].copy_from_slice(&u16::try_from(sum).unwrap().to_be_bytes());
            let to = SocketAddr::from(([127, 0, 0, 1], 0)).into();
            let mut foreign = echo.clone();
            foreign[8..12].reverse();
            for reply in [&foreign, &echo, &echo] {
                socket.send_to(reply, &to).unwrap();
            }
        }
    });
}

#[test]
fn foreign_replies_do_not_count_and_duplicates_once() {
    in_namespace(|| {
        forge_replies();
        let outcome = icmp("127.0.0.1", &json!({"count": 3}));
        let ping = outcome.ping.unwrap();
        assert_eq!((outcome.ok, ping.sent, ping.received, ping.loss_percent), (true, 3, 3, 0.0));
        // The series ends with the reply to the last request, before its second answer.
        assert!(matches!(ping.duplicates, Some(2 | 3)), "{ping:?}");
    });
}

#[test]
fn without_permission_the_way_out_is_named() {
    in_namespace(|| run_behind("setpriv --bounding-set=-net_raw", "icmp::denied"));
}

#[test]
#[ignore = "started without CAP_NET_RAW by without_permission_the_way_out_is_named"]
fn denied() {
    let outcome = icmp("127.0.0.1", &json!({}));
    assert_eq!((outcome.ok, outcome.state), (false, State::Denied));
    assert!(outcome.error.unwrap().hint.unwrap().contains("ping_group_range"));
    assert!(sweep(&[IpAddr::from([127, 0, 0, 1]).into()], Duration::from_millis(10)).is_err());
}
