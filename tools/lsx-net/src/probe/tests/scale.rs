//! Thousands of targets: few threads, one wait.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;

use super::lab::{closed_port, http_service, in_namespace, run_behind, sh};
use super::{decoded, target};
use crate::probe::{State, SweepTarget, connect_sweep, run_all, sweep};

/// Long enough for a busy machine, and far less than as many waits one after the other.
const WAIT: Duration = Duration::from_secs(3);
const ALL: Duration = Duration::from_secs(60);

fn loopback(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f00_0001 + n)
}

#[test]
fn thousands_of_addresses_are_swept_in_one_wait() {
    in_namespace(|| {
        sh("nft add table inet t");
        sh("nft add chain inet t in { type filter hook input priority 0 ; }");
        sh("nft add rule inet t in ip daddr 127.0.8.0/21 drop");
        let targets: Vec<SweepTarget> = (0..4_000).map(|n| IpAddr::from(loopback(n)).into()).collect();
        let began = Instant::now();
        let replies = sweep(&targets, WAIT).unwrap();
        let took = began.elapsed();
        for (n, reply) in replies.iter().enumerate() {
            let dropped = (0x800..0x1000).contains(&(n + 1));
            assert_eq!(reply.round_trip.is_none(), dropped, "{}", loopback(n as u32));
        }
        eprintln!("sweep of 4000, half denied at {WAIT:?}: {took:?}");
        assert!(took < ALL, "{took:?}");
    });
}

#[test]
fn thousands_of_handshakes_at_once() {
    in_namespace(|| {
        sh("nft add table inet t");
        sh("nft add chain inet t in { type filter hook input priority 0 ; }");
        sh("nft add rule inet t in ip daddr 127.0.4.0/22 tcp flags syn drop");
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || listener.incoming().flatten().for_each(drop));
        let to: Vec<SocketAddr> = (0..2_047).map(|n| (loopback(n), port).into()).collect();
        let began = Instant::now();
        let found = connect_sweep(&to, WAIT);
        let took = began.elapsed();
        for (n, one) in found.iter().enumerate() {
            let dropped = (0x400..0x800).contains(&(n + 1));
            let state = if dropped { State::Timeout } else { State::Open };
            assert_eq!(one.state, state, "{}", to[n]);
        }
        eprintln!("connect sweep of 2047, half denied at {WAIT:?}: {took:?}");
        assert!(took < ALL, "{took:?}");
    });
}

#[test]
fn absent_neighbours_do_not_use_up_the_socket() {
    in_namespace(|| {
        sh("ip link add v0 type veth peer name v1");
        sh("ip addr add 10.9.0.1/16 dev v0");
        sh("ip link set v0 up");
        sh("ip link set v1 up");
        // Packets wait for their neighbours and are charged to the socket all the while. No more
        // of them: all namespaces of a machine share one neighbour table of 1,024.
        let mut targets: Vec<SweepTarget> =
            (0..400).map(|n| IpAddr::from(Ipv4Addr::from(0x0a09_0002 + n)).into()).collect();
        targets.push(IpAddr::from([127, 0, 0, 1]).into());
        let mut replies = sweep(&targets, Duration::from_secs(1)).unwrap();
        assert_eq!(replies.pop().map(|one| one.state), Some(State::Answered));
        assert!(replies.iter().all(|one| one.state == State::Timeout), "{replies:?}");
    });
}

#[test]
fn mixed_targets_keep_their_order() {
    in_namespace(|| {
        let site = http_service(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned());
        let mut targets = Vec::new();
        for n in 0..50 {
            targets.push(target(&format!("icmp:127.0.0.{}", n + 1)));
            targets.push(target(&format!("tcp:{}", closed_port())));
            targets.push(target(&format!("tcp:{site}")));
            targets.push(target(&format!("http://{site}/")));
            targets.push(decoded(
                json!({"name": format!("n{n}"), "probe": "tcp", "address": "nowhere", "port": 1}),
            ));
        }
        let outcomes = run_all(&targets, 4);
        assert_eq!(outcomes.len(), targets.len());
        let states = [State::Answered, State::Refused, State::Open, State::Answered, State::Unresolved];
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.target, targets[n]);
            assert_eq!(outcome.state, states[n % 5], "{outcome:?}");
        }
        assert!(run_all(&[], 0).is_empty());
    });
}

#[test]
fn scarce_descriptors_slow_a_sweep_down_and_nothing_else() {
    in_namespace(|| run_behind("prlimit --nofile=130", "scale::scarce"));
}

#[test]
#[ignore = "started with few descriptors by scarce_descriptors_slow_a_sweep_down_and_nothing_else"]
fn scarce() {
    let taken: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let port = closed_port().port();
    let to: Vec<SocketAddr> = (0..500).map(|n| (loopback(n), port).into()).collect();
    let found = connect_sweep(&to, Duration::from_secs(30));
    assert!(found.iter().all(|one| one.state == State::Refused));
    drop(taken);
}
