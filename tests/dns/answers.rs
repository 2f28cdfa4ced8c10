//! Answers of one stack: which names each source sees, and what it gets for all others.

use crate::config;
use domain::base::Name;
use domain::base::iana::{Rcode, Rtype};
use lsx_dns::zone::{Answer, Outcome, Tables};
use std::net::Ipv4Addr;

/// Two networks, of which front may reach web servers in back; a third that nobody reaches.
pub(crate) const STACK: &str = "
stack: t
hosts: { h1: 192.0.2.11, h2: 192.0.2.12 }
networks:
  front: { cidr: 10.1.0.0/24, gateway: h1 }
  back: { cidr: 10.2.0.0/20, gateway: h1 }
  far: { cidr: 10.4.0.0/24, gateway: h2 }
  lone: { cidr: 10.3.0.0/28, gateway: h1, domain: lone.example }
allow: [{ from: front, to: instance/web }]
instances:
  web: { hosts: [h1, h2], count: 2, networks: back }
  db: { host: h2, networks: back }
  both: { host: h1, networks: [front, lone] }
  ann: { host: h1, networks: front }
balance:
  shop: { host: h1, listen: 80, to: web, port: 80, hostname: [shop.internal, printer.internal, shop.example.com] }
  pages: { host: h2, listen: 80, to: web, port: 80, hostname: \"*.pages.internal\" }
  closed: { host: h1, listen: 81, to: web, port: 80, from: 10.1.0.0/24 }
dns:
  records:
    printer: 192.0.2.40
    \"*.apps\": { a: 192.0.2.43, networks: front }
    shop.apps: { txt: one }
    git: { cname: web.back }
    secret: { cname: db.back }
    away: { cname: www.example.org. }
    \"@\": { mx: [\"10 printer\"], txt: [v=spf1] }
    part: { ns: [printer] }
  services: { http: { to: web, port: 80 } }
  zones: { corp.example: 192.0.2.54, 168.192.in-addr.arpa: 192.0.2.55 }
";

pub(crate) fn tables() -> Tables {
    Tables::new(&config(STACK, "h1"), 7).unwrap()
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// The address of an instance on a network, as the resolved document has it.
pub(crate) fn of(name: &str) -> Ipv4Addr {
    let (_, resolved) = crate::resolved(STACK);
    resolved.names.iter().find(|at| at.name == name).unwrap_or_else(|| panic!("{name}")).address
}

fn outcome(source: &str, name: &str, kind: Rtype) -> Outcome {
    tables().answer(address(source), &Name::vec_from_str(name).unwrap(), kind, true)
}

#[track_caller]
pub(crate) fn answer(source: &str, name: &str, kind: Rtype) -> Answer {
    match outcome(source, name, kind) {
        Outcome::Answer(answer) => answer,
        forward => panic!("{forward:?}"),
    }
}

/// The records as text, with their owners.
#[track_caller]
fn records(source: &str, name: &str, kind: Rtype) -> Vec<String> {
    let answer = answer(source, name, kind);
    assert_eq!(answer.code, Rcode::NOERROR, "{answer:?}");
    let text = |record: &lsx_dns::zone::Rr| {
        let line = format!("{} {} {}", record.owner(), record.rtype(), record.data());
        line.trim_end_matches('.').to_owned()
    };
    let mut all: Vec<String> = answer.records.iter().map(text).collect();
    all.sort();
    all
}

/// There is no such name, and the SOA says for how long that is so.
#[track_caller]
fn missing(source: &str, name: &str, kind: Rtype, zone: &str) {
    let answer = answer(source, name, kind);
    assert_eq!(
        (answer.code, answer.own, answer.records.len()),
        (Rcode::NXDOMAIN, true, 0),
        "{name}: {answer:?}"
    );
    let soa = &answer.authority[0];
    assert_eq!((soa.owner().to_string().as_str(), soa.rtype(), soa.ttl().as_secs()), (zone, Rtype::SOA, 10));
}

#[test]
fn a_source_sees_what_it_may_reach() {
    let (web1, web2) = (of("web-1.back.internal"), of("web-2.back.internal"));
    let ann = of("ann.front.internal").to_string();
    let db = of("db.back.internal").to_string();
    let found = records(&ann, "web-1.back.internal", Rtype::A);
    assert_eq!(found, [format!("web-1.back.internal A {web1}")]);
    // The name comes back as it was asked.
    let mut all = [web1, web2].map(|web| format!("WEB.Back.internal A {web}"));
    all.sort();
    assert_eq!(records(&ann, "WEB.Back.internal", Rtype::A), all);
    missing(&ann, "db.back.internal", Rtype::A, "internal");
    missing(&ann, "both.lone.example", Rtype::A, "lone.example");
    assert_eq!(records(&db, "db.back.internal", Rtype::A), [format!("db.back.internal A {db}")]);
    missing(&db, "ann.front.internal", Rtype::A, "internal");
}

#[test]
fn an_instance_of_two_networks_sees_both_from_either() {
    let names = ["both.lone.example", "ann.front.internal", "web-1.back.internal"];
    for source in ["both.front.internal", "both.lone.example"] {
        for name in names {
            let found = records(&of(source).to_string(), name, Rtype::A);
            assert_eq!(found, [format!("{name} A {}", of(name))], "{source}");
        }
    }
}

#[test]
fn hosts_and_gateways_have_names() {
    let ann = of("ann.front.internal").to_string();
    assert_eq!(records(&ann, "h2.host.internal", Rtype::A), ["h2.host.internal A 192.0.2.12"]);
    assert_eq!(records(&ann, "internal", Rtype::NS), ["internal NS ns.internal"]);
    assert_eq!(records(&ann, "ns.internal", Rtype::A), ["ns.internal A 10.1.0.1"]);
    let soa = records(&ann, "internal", Rtype::SOA);
    assert!(soa[0].contains("ns.internal") && soa[0].contains(" 7 "), "{soa:?}");
}

#[test]
fn reverse_names_follow_the_same_views() {
    let (ann, db) = (of("ann.front.internal"), of("db.back.internal"));
    let web = of("web-1.back.internal");
    let back = |at: Ipv4Addr| {
        let [a, b, c, d] = at.octets();
        format!("{d}.{c}.{b}.{a}.in-addr.arpa")
    };
    let source = ann.to_string();
    assert_eq!(records(&source, &back(ann), Rtype::PTR), [format!("{} PTR ann.front.internal", back(ann))]);
    assert_eq!(records(&source, &back(web), Rtype::PTR), [format!("{} PTR web-1.back.internal", back(web))]);
    let [a, b, c, _] = db.octets();
    missing(&source, &back(db), Rtype::PTR, &format!("{c}.{b}.{a}.in-addr.arpa"));
    assert_eq!(
        records(&source, "11.2.0.192.in-addr.arpa", Rtype::PTR)[0],
        "11.2.0.192.in-addr.arpa PTR h1.host.internal"
    );
}

#[test]
fn records_of_the_document() {
    let ann = of("ann.front.internal").to_string();
    let db = of("db.back.internal").to_string();
    assert_eq!(records(&db, "printer.internal", Rtype::A), ["printer.internal A 192.0.2.40"]);
    assert_eq!(records(&ann, "x.y.apps.internal", Rtype::A), ["x.y.apps.internal A 192.0.2.43"]);
    missing(&db, "x.apps.internal", Rtype::A, "internal");
    // A name that exists has no wildcard (RFC 4592 2.2.1).
    assert!(records(&ann, "shop.apps.internal", Rtype::A).is_empty());
    assert_eq!(records(&ann, "shop.apps.internal", Rtype::TXT), ["shop.apps.internal TXT \"one\""]);
    assert_eq!(records(&ann, "internal", Rtype::MX), ["internal MX 10 printer.internal"]);
    let alias = records(&ann, "git.internal", Rtype::A);
    assert!(alias.len() == 3 && alias[0] == "git.internal CNAME web.back.internal", "{alias:?}");
    assert_eq!(records(&ann, "git.internal", Rtype::CNAME).len(), 1);
    // An alias does not show what its target hides.
    let hidden = answer(&ann, "secret.internal", Rtype::A);
    assert_eq!((hidden.code, hidden.records.len(), hidden.authority.len()), (Rcode::NXDOMAIN, 1, 1));
    let part = answer(&ann, "x.part.internal", Rtype::A);
    assert_eq!((part.code, part.own, part.authority[0].rtype()), (Rcode::NOERROR, false, Rtype::NS));
    let services = records(&ann, "_http._tcp.back.internal", Rtype::SRV);
    assert_eq!(services.len(), 2, "{services:?}");
    assert_eq!(services[0], "_http._tcp.back.internal SRV 0 0 80 web-1.back.internal");
    assert_eq!(records(&ann, "_http._tcp.internal", Rtype::SRV).len(), 2);
}

#[test]
fn a_balancer_has_the_address_at_which_it_is_reached() {
    let (ann, db) = (of("ann.front.internal").to_string(), of("db.back.internal").to_string());
    // On the instance's network, the gateway; for networks that its host is not on, the host.
    for (source, name, address) in [
        (&ann, "shop.internal", "10.1.0.1"),
        (&db, "shop.internal", "10.2.0.1"),
        (&ann, "shop.balance.internal", "10.1.0.1"),
        (&"10.4.0.9".to_owned(), "shop.balance.internal", "192.0.2.11"),
        (&"10.4.0.9".to_owned(), "x.pages.internal", "10.4.0.1"),
        (&ann, "x.pages.internal", "192.0.2.12"),
        (&ann, "closed.balance.internal", "10.1.0.1"),
    ] {
        assert_eq!(records(source, name, Rtype::A), [format!("{name} A {address}")], "{source}");
    }
    missing(&db, "closed.balance.internal", Rtype::A, "internal");
    // What the document writes counts, and names elsewhere are of others.
    assert_eq!(records(&ann, "printer.internal", Rtype::A), ["printer.internal A 192.0.2.40"]);
    assert!(matches!(outcome(&ann, "shop.example.com", Rtype::A), Outcome::Forward { .. }));
}

#[test]
fn names_without_records_are_no_missing_names() {
    let ann = of("ann.front.internal").to_string();
    for (name, kind) in [
        ("ann.front.internal", Rtype::AAAA),
        ("front.internal", Rtype::A),
        ("_tcp.back.internal", Rtype::SRV),
    ] {
        let answer = answer(&ann, name, kind);
        assert_eq!((answer.code, answer.records.len()), (Rcode::NOERROR, 0), "{name}");
        assert_eq!(answer.authority[0].rtype(), Rtype::SOA);
    }
}

#[test]
fn strangers_and_questions_for_everything_are_refused() {
    for (source, name, kind) in [
        ("198.51.100.7", "h1.host.internal", Rtype::A),
        ("198.51.100.7", "www.example.org", Rtype::A),
        ("192.0.2.11", "h1.host.internal", Rtype::A),
        ("10.1.0.9", "internal", Rtype::ANY),
        ("10.1.0.9", "internal", Rtype::AXFR),
        ("10.1.0.9", "www.example.org", Rtype::IXFR),
    ] {
        let answer = answer(source, name, kind);
        assert_eq!(
            (answer.code, answer.records.len(), answer.authority.len()),
            (Rcode::REFUSED, 0, 0),
            "{source} {name}"
        );
    }
}

#[test]
fn names_of_others_are_forwarded_and_private_ones_never() {
    let to = |name: &str, kind| match outcome("10.1.0.9", name, kind) {
        Outcome::Forward { servers, .. } => servers[0].to_string(),
        Outcome::Answer(answer) => panic!("{name}: {answer:?}"),
    };
    assert_eq!(to("www.example.org", Rtype::A), "192.0.2.53");
    assert_eq!(to("deep.corp.example", Rtype::AAAA), "192.0.2.54");
    assert_eq!(to("1.1.168.192.in-addr.arpa", Rtype::PTR), "192.0.2.55");
    assert_eq!(to("8.8.8.8.in-addr.arpa", Rtype::PTR), "192.0.2.53");
    match outcome("10.1.0.9", "away.internal", Rtype::A) {
        Outcome::Forward { before, name, .. } => {
            assert_eq!((before.len(), name.to_string().as_str()), (1, "www.example.org"));
        }
        answer => panic!("{answer:?}"),
    }
    missing("10.1.0.9", "nothing.internal", Rtype::A, "internal");
    missing("10.1.0.9", "printer.local", Rtype::A, "local");
    missing("10.1.0.9", "9.9.9.10.in-addr.arpa", Rtype::PTR, "10.in-addr.arpa");
    missing("10.1.0.9", "1.0.20.172.in-addr.arpa", Rtype::PTR, "20.172.in-addr.arpa");
    assert_eq!(records("10.1.0.9", "localhost", Rtype::A), ["localhost A 127.0.0.1"]);
    // Without the wish for recursion nobody is asked.
    let name = Name::vec_from_str("www.example.org").unwrap();
    let direct = tables().answer(address("10.1.0.9"), &name, Rtype::A, false);
    assert!(matches!(direct, Outcome::Answer(answer) if answer.code == Rcode::REFUSED));
}
