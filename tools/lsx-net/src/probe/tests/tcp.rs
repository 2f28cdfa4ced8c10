//! Handshakes and banners.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::lab::{closed_port, in_namespace, service, sh};
use super::{decoded, message, target};
use crate::probe::{Outcome, State, run};

fn tcp(port: u16, timeout_ms: u64) -> Outcome {
    run(&decoded(json!({"probe": "tcp", "address": "127.0.0.1", "port": port, "timeout_ms": timeout_ms})))
}

fn banner(port: u16, more: &serde_json::Value) -> Outcome {
    let mut object = json!({"probe": "banner", "address": "127.0.0.1", "port": port, "timeout_ms": 20_000});
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    run(&decoded(object))
}

#[test]
fn open_and_refused_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let outcome = tcp(listener.local_addr().unwrap().port(), 30_000);
    assert_eq!((outcome.ok, outcome.state), (true, State::Open));
    assert!(outcome.ms.unwrap() < 30_000.0 && outcome.error.is_none());

    let outcome = tcp(closed_port().port(), 30_000);
    assert_eq!((outcome.ok, outcome.state), (false, State::Refused));
    assert!(message(&outcome).contains("nothing listens"), "{}", message(&outcome));
}

#[test]
fn source_is_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut asked = target(&format!("tcp:{}", listener.local_addr().unwrap()));
    asked.source = Some([127, 0, 0, 77].into());
    assert!(run(&asked).ok);
    assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.77");
    asked.source = Some([192, 0, 2, 1].into());
    let outcome = run(&asked);
    assert_eq!(outcome.state, State::Failed);
    assert!(message(&outcome).contains("source"), "{}", message(&outcome));
}

#[test]
fn dropped_rejected_and_unrouted_are_told_apart() {
    in_namespace(|| {
        sh("nft add table inet t");
        sh("nft add chain inet t in { type filter hook input priority 0 ; }");
        sh("nft add rule inet t in tcp dport 81 drop");
        sh("nft add rule inet t in tcp dport 82 reject with icmp port-unreachable");
        sh("nft add rule inet t in tcp dport 83 reject with icmp admin-prohibited");
        sh("nft add rule inet t in tcp dport 84 reject with tcp reset");
        let began = Instant::now();
        assert_eq!(tcp(81, 300).state, State::Timeout);
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert!(began.elapsed() < Duration::from_secs(60));
        // The kernel turns this ICMP into ECONNREFUSED, the same errno as a RST.
        let rejected = tcp(82, 30_000);
        assert_eq!(rejected.state, State::Unreachable);
        assert_eq!(message(&rejected), "127.0.0.1 says port unreachable (ICMP type 3 code 3)");
        let prohibited = tcp(83, 30_000);
        assert_eq!(prohibited.state, State::Unreachable);
        assert!(message(&prohibited).contains("prohibited by a filter"));
        assert_eq!(tcp(84, 30_000).state, State::Refused);
        sh("nft add rule inet t in meta nfproto ipv6 tcp dport 85 reject with icmpv6 admin-prohibited");
        let prohibited = run(&target("tcp:[::1]:85"));
        assert_eq!(message(&prohibited), "::1 says prohibited by a filter (ICMPv6 type 1 code 1)");
        let unrouted = run(&target("tcp:10.9.9.9:1"));
        assert_eq!(unrouted.state, State::Unreachable);
        assert!(message(&unrouted).contains("no route to 10.9.9.9:1"), "{}", message(&unrouted));
    });
}

#[test]
fn listener_that_never_accepts_times_out() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        sh(&format!(
            "nft add table inet t ; add chain inet t in {{ type filter hook input priority 0 ; }} ; add rule inet t in tcp dport {} tcp flags syn drop",
            address.port()
        ));
        assert_eq!(tcp(address.port(), 200).state, State::Timeout);
    });
}

#[test]
fn banner_is_the_first_line() {
    let ssh = service(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\nmore");
    });
    let outcome = banner(ssh.port(), &json!({"expect": {"banner": ["SSH", "OpenSSH"]}}));
    assert_eq!((outcome.ok, outcome.state), (true, State::Answered));
    assert_eq!(outcome.banner.as_deref(), Some("SSH-2.0-OpenSSH_9.2"));
    assert_eq!(outcome.bytes_read, Some(21));

    let outcome = banner(ssh.port(), &json!({"expect": {"banner": "dropbear"}}));
    assert_eq!((outcome.ok, outcome.state), (false, State::Unexpected));
    assert!(message(&outcome).contains("\"dropbear\""));
    assert_eq!(outcome.banner.as_deref(), Some("SSH-2.0-OpenSSH_9.2"));
}

#[test]
fn slow_banner_is_put_together() {
    let slow = service(|mut stream| {
        for part in ["2", "20 ma", "il.int", "ernal\n"] {
            let _ = stream.write_all(part.as_bytes());
            std::thread::park_timeout(Duration::from_millis(30));
        }
    });
    assert_eq!(banner(slow.port(), &json!({})).banner.as_deref(), Some("220 mail.internal"));
}

#[test]
fn banner_without_newline_ends_with_the_deadline_or_the_limit() {
    let open = service(|mut stream| {
        let _ = stream.write_all(b"RFB \xff\xfe");
        let _ = stream.read(&mut [0; 8]);
    });
    let outcome = banner(open.port(), &json!({"timeout_ms": 2000}));
    assert_eq!(outcome.banner.as_deref(), Some("RFB \u{fffd}\u{fffd}"));
    assert!(outcome.ok && outcome.ms.unwrap() >= 2000.0);
    let outcome = banner(open.port(), &json!({"max_bytes": 3}));
    assert_eq!((outcome.banner.as_deref(), outcome.bytes_read), (Some("RFB"), Some(3)));
}

#[test]
fn silence_is_neither_open_nor_timeout() {
    let mute = service(|mut stream| {
        let _ = stream.read(&mut [0; 8]);
    });
    let outcome = banner(mute.port(), &json!({"timeout_ms": 900}));
    assert_eq!((outcome.ok, outcome.state), (false, State::Silent));
    assert!(message(&outcome).contains("sent nothing in 900 ms"), "{}", message(&outcome));
    let gone = service(drop);
    assert!(message(&banner(gone.port(), &json!({}))).contains("closed without sending anything"));
    assert_eq!(banner(closed_port().port(), &json!({})).state, State::Refused);
}

#[test]
fn service_that_waits_is_asked() {
    let echo = service(|mut stream| {
        let mut asked = [0; 6];
        let _ = stream.read_exact(&mut asked);
        let _ = stream.write_all(&asked);
    });
    let outcome = banner(echo.port(), &json!({"send": "HELLO\n"}));
    assert_eq!(outcome.banner.as_deref(), Some("HELLO"));
}
