//! What is taken from the messages of other servers, and what is not.

use super::*;
use crate::zone::Owner;
use domain::base::iana::Class;
use domain::base::{MessageBuilder, Name, Record, Serial};
use domain::rdata::{A, Cname, Dname, Ns, Soa};
use std::net::Ipv4Addr;

fn name(text: &str) -> Owner {
    Name::vec_from_str(text).unwrap()
}

fn record(owner: &str, ttl: u32, data: impl Into<Rdata>) -> Rr {
    Record::new(name(owner), Class::IN, Ttl::from_secs(ttl), data.into())
}

fn address(owner: &str, ttl: u32) -> Rr {
    record(owner, ttl, A::new(Ipv4Addr::new(203, 0, 113, 7)))
}

fn alias(owner: &str, target: &str) -> Rr {
    record(owner, 300, Cname::new(name(target)))
}

fn soa(owner: &str, ttl: u32, minimum: u32) -> Rr {
    let seconds = Ttl::from_secs;
    let data =
        Soa::new(name("ns"), name("mail"), Serial(1), seconds(1), seconds(1), seconds(1), seconds(minimum));
    record(owner, ttl, data)
}

fn read(code: Rcode, answer: &[Rr], authority: &[Rr]) -> Option<Said> {
    let key = Key { name: name("www.example.org"), kind: Rtype::A, secure: false, unchecked: false };
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_qr(true);
    builder.header_mut().set_rcode(code);
    let mut builder = builder.question();
    builder.push((&key.name, key.kind)).unwrap();
    let mut builder = builder.answer();
    answer.iter().for_each(|record| builder.push(record).unwrap());
    let mut builder = builder.authority();
    authority.iter().for_each(|record| builder.push(record).unwrap());
    let mut builder = builder.additional();
    builder.push(address("ns.example.org", 60)).unwrap();
    Said::read(&builder.into_message(), &key)
}

fn owners(said: &Said) -> Vec<String> {
    said.records.iter().map(|record| format!("{} {}", record.owner(), record.rtype())).collect()
}

#[test]
fn only_records_of_the_question_are_taken() {
    let made_up =
        [address("bank.example.com", 900), alias("example.com", "evil.example"), address("x.org", 9)];
    let own = [address("WWW.example.ORG", 100), address("www.example.org", 70)];
    let all: Vec<Rr> = made_up.iter().chain(&own).cloned().collect();
    let said =
        read(Rcode::NOERROR, &all, &[record("example.com", 60, Ns::new(name("evil.example")))]).unwrap();
    assert_eq!(owners(&said), ["WWW.example.ORG A", "www.example.org A"]);
    assert_eq!((said.ttl, said.authority.len()), (70, 0));
}

#[test]
fn aliases_lead_to_the_records_in_any_order() {
    let all = [
        address("c.example.net", 20),
        alias("b.example.com", "c.example.net"),
        alias("www.example.org", "B.example.com"),
        address("b.example.com", 5),
    ];
    // The address beside an alias belongs to its name; such an answer is one nevertheless.
    let said = read(Rcode::NOERROR, &all[..3], &[]).unwrap();
    assert_eq!(owners(&said), ["www.example.org CNAME", "b.example.com CNAME", "c.example.net A"]);
    assert_eq!(said.ttl, 20);
    let dname = record("example.org", 300, Dname::new(name("example.net")));
    let all = [dname, alias("www.example.org", "www.example.net"), address("www.example.net", 30)];
    let said = read(Rcode::NOERROR, &all, &[]).unwrap();
    assert_eq!(owners(&said), ["example.org DNAME", "www.example.org CNAME", "www.example.net A"]);
    // A circle ends.
    let all = [alias("www.example.org", "b.example.org"), alias("b.example.org", "www.example.org")];
    assert_eq!(read(Rcode::NOERROR, &all, &[]).unwrap().ttl, 0);
}

#[test]
fn what_is_missing_is_kept_as_its_zone_says() {
    let said = read(Rcode::NXDOMAIN, &[], &[soa("example.org", 900, 40)]).unwrap();
    assert_eq!((said.code, said.ttl, said.authority[0].ttl().as_secs()), (Rcode::NXDOMAIN, 40, 40));
    assert_eq!(read(Rcode::NOERROR, &[], &[soa("org", 30, 400)]).unwrap().ttl, 30);
    assert_eq!(read(Rcode::NXDOMAIN, &[], &[soa("org", 90_000, 90_000)]).unwrap().ttl, 3600);
    // Behind an alias it is the zone of the last name.
    let all = [alias("www.example.org", "gone.example.net")];
    let said = read(Rcode::NXDOMAIN, &all, &[soa("example.net", 50, 50)]).unwrap();
    assert_eq!((said.records.len(), said.ttl), (1, 50));
    // Zones of others say nothing, and without a SOA nothing is kept.
    for authority in [vec![], vec![soa("example.com", 50, 50)]] {
        let said = read(Rcode::NXDOMAIN, &[], &authority).unwrap();
        assert_eq!((said.ttl, said.authority.len()), (0, 0));
    }
}

#[test]
fn what_is_no_answer_leaves_the_question_open() {
    for code in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP, Rcode::FORMERR] {
        assert_eq!(read(code, &[address("www.example.org", 60)], &[]), None);
    }
    assert_eq!(read(Rcode::NXDOMAIN, &[address("www.example.org", 60)], &[]), None);
    let referral = [record("org", 60, Ns::new(name("ns.example.org")))];
    assert_eq!(read(Rcode::NOERROR, &[], &referral), None);
}

#[test]
fn long_times_are_limited() {
    let said = read(Rcode::NOERROR, &[address("www.example.org", 2_000_000_000)], &[]).unwrap();
    assert_eq!((said.ttl, said.records[0].ttl().as_secs()), (86_400, 86_400));
}
