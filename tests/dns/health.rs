//! Replicas that are not ready.

use crate::answers::{STACK, answer, of, tables};
use crate::config;
use domain::base::iana::Rtype;
use std::net::Ipv4Addr;

#[test]
fn replicas_that_are_not_ready_are_left_out_while_others_are() {
    let (web1, web2) = (of("web-1.back.internal"), of("web-2.back.internal"));
    let ann = of("ann.front.internal");
    let without = |down: &[Ipv4Addr], name: &str, kind| {
        let mut got = answer(&ann.to_string(), name, kind);
        tables().leave_out(ann, &mut got, &down.iter().copied().collect());
        got.records.len()
    };
    for (name, kind, all) in [
        ("web.back.internal", Rtype::A, 2),
        ("git.internal", Rtype::A, 3),
        ("_http._tcp.internal", Rtype::SRV, 2),
    ] {
        assert_eq!(without(&[], name, kind), all, "{name}");
        assert_eq!(without(&[web2], name, kind), all - 1, "{name}");
        assert_eq!(without(&[web1, web2], name, kind), all, "{name}: with none left, all are given");
    }
    assert_eq!(without(&[web1], "web-1.back.internal", Rtype::A), 1);
}

#[test]
fn replicas_with_a_probe_are_probed_where_the_router_is_on_their_network() {
    let text = STACK
        .replace("count: 2, networks: back", "count: 2, networks: back, ready: { http: \":80/up\" }")
        .replace("db: { host: h2,", "db: { host: h2, ready: { tcp: 5432 },");
    let health = config(&text, "h1").health.unwrap();
    let mut probed: Vec<_> =
        health.replicas.iter().map(|at| (at.address, at.port, at.path.as_deref())).collect();
    probed.sort();
    let mut webs = ["web-1.back.internal", "web-2.back.internal"].map(|name| (of(name), 80, Some("/up")));
    webs.sort();
    // One of a kind is always in the answer.
    assert_eq!((health.interval, probed), (5, webs.to_vec()));
    let short = config(&text, "h1").records.into_iter().filter(|entry| entry.ttl == Some(10));
    assert_eq!(short.count(), 10, "names of both, of all, of their port, and of the service in two zones");
    assert_eq!(config(&text, "h2").health.unwrap().replicas.len(), 2, "for its balancer it is there, too");
    let away = text.replace("pages: { host: h2", "pages: { host: h1");
    assert_eq!(config(&away, "h2").health, None, "its router is not on their network");
    let off = text.replace("dns:\n", "dns:\n  health: off\n");
    assert_eq!(config(&off, "h1").health, None);
    assert!(config(&off, "h1").records.iter().all(|entry| entry.ttl.is_none()));
    // Without a probe from outside, all count as ready.
    let inside = text.replace("{ http: \":80/up\" }", "{ command: [\"true\"] }");
    assert_eq!(config(&inside, "h1").health, None);
}
