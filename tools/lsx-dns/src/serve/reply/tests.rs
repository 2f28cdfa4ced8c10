//! Damaged queries, and damaged answers of other servers.

use super::*;
use crate::model::Config;
use crate::serve::prepared::tests::server;
use crate::serve::quick::DATAGRAM;
use crate::serve::said::Said;
use crate::serve::upstream::{answers, query};
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, StaticCompressor, Ttl};
use lsx_tests::{Dice, soak};
use std::net::{IpAddr, SocketAddrV4};

const CONFIG: &str = r#"{"listen": [], "domain": "internal", "ttl": 60, "negative_ttl": 10,
    "zones": ["internal", "10.in-addr.arpa"], "forward": ["192.0.2.53"],
    "records": [{"name": "web.lan.internal", "a": "10.0.0.2"}, {"name": "site.internal", "cname": "web.lan.internal"},
                {"name": "away.internal", "cname": "www.example.org"}, {"name": "*.wild.internal", "txt": "TEXT"},
                {"name": "sub.internal", "ns": "ns.example.org"}, {"name": "2.0.0.10.in-addr.arpa", "ptr": "web.lan.internal"}],
    "views": [{"from": ["10.0.0.0/24"], "networks": ["lan"], "reach": ["10.0.0.0/24"]}]}"#;
const NAMES: [&str; 9] = [
    "web.lan.internal",
    "site.internal",
    "away.internal",
    "a.b.wild.internal",
    "x.sub.internal",
    "2.0.0.10.in-addr.arpa",
    "nobody.internal",
    "www.example.org",
    ".",
];
const KINDS: [Rtype; 7] =
    [Rtype::A, Rtype::TXT, Rtype::PTR, Rtype::SOA, Rtype::NS, Rtype::ANY, Rtype::from_int(65280)];

fn tables() -> Tables {
    // Texts that do not fit into a datagram.
    let config: Config = serde_json::from_str(&CONFIG.replace("TEXT", &"x".repeat(3000))).unwrap();
    Tables::new(&config, 1).unwrap()
}

fn asked(dice: &mut Dice) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(u16::try_from(dice.below(65536)).unwrap());
    builder.header_mut().set_rd(dice.below(2) == 0);
    let mut builder = builder.question();
    let name = Name::<Vec<u8>>::vec_from_str(NAMES[dice.below(NAMES.len())]).unwrap();
    builder.push((name, KINDS[dice.below(KINDS.len())], Class::IN)).unwrap();
    let mut builder = builder.additional();
    if dice.below(3) > 0 {
        let size = [0, 512, 1232, 4096, u16::MAX][dice.below(5)];
        builder
            .opt(|opt| {
                opt.set_udp_payload_size(size);
                opt.set_dnssec_ok(size == 4096);
                Ok(())
            })
            .unwrap();
    }
    builder.finish()
}

/// A reply is one, to this query, and no larger than the client allows.
fn correct(question: &Question, bytes: &[u8], reply: &[u8]) {
    let message = Message::from_octets(reply).unwrap();
    assert!(message.header().qr() && reply[..2] == bytes[..2], "{bytes:?} {reply:?}");
    let size = if question.stream { u16::MAX } else { question.edns.unwrap_or(PLAIN).min(DATAGRAM) };
    assert!(reply.len() <= usize::from(size), "{bytes:?} gets {} bytes", reply.len());
}

#[test]
fn soak_dns_query() {
    let tables = tables();
    let server = server(serde_json::from_str(&CONFIG.replace("TEXT", &"x".repeat(3000))).unwrap());
    let make = |dice: &mut Dice| {
        let mut bytes = asked(dice);
        bytes = dice.damaged(bytes);
        bytes.insert(0, u8::try_from(dice.below(4)).unwrap());
        bytes
    };
    soak("dns-query", 5_000, 25, make, |input| {
        let (how, bytes) = input.split_first().unwrap();
        let source = Ipv4Addr::new(10, 0, how >> 1, 9); // A source of the stack, or a stranger.
        let Some(question) = Question::read(bytes, how & 1 == 1) else {
            assert!(bytes.len() < 12 || bytes[2] & 0x80 != 0, "{bytes:?}");
            return false;
        };
        let reply = match question.reply(&tables, source, &HashSet::new()) {
            Reply::Now(reply) => reply,
            Reply::Change | Reply::Transfer | Reply::News => return false,
            Reply::Later(ask) => {
                assert!(how >> 1 == 0 && query(&question.key(&ask), true).is_some(), "{bytes:?}");
                question.failed(ExtendedErrorCode::NETWORK_ERROR)
            }
        };
        correct(&question, bytes, &reply);
        if question.cookie.is_none() {
            // It is the same from the copy that is kept of it.
            for _ in 0..2 {
                let (from, mut out) = (SocketAddrV4::new(source, 5300), Vec::new());
                let later = server.datagram(bytes, from, IpAddr::V4(source), &mut out);
                assert!(how & 1 == 1 || later.is_some() || out == reply, "{bytes:?}\n{out:?}\n{reply:?}");
            }
        }
        question.wrong.is_none()
    });
}

#[test]
fn soak_dns_answer() {
    let name = Owner::vec_from_str("www.example.org").unwrap();
    let ask = Ask { before: Vec::new(), name, servers: Vec::new(), old: None };
    let client = {
        let mut builder = MessageBuilder::new_vec().question();
        builder.push((&ask.name, Rtype::A, Class::IN)).unwrap();
        builder.finish()
    };
    let question = Question::read(&client, false).unwrap();
    let sent = query(&question.key(&ask), true).unwrap();
    let make = |dice: &mut Dice| {
        let (records, missing) = ([0, 1, 3, 200][dice.below(4)], dice.below(2) == 0);
        let code = if missing && records == 0 { Rcode::NXDOMAIN } else { Rcode::NOERROR };
        let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).unwrap();
        let mut builder = builder.start_answer(&sent, code).unwrap();
        for number in 0..records {
            let address = domain::rdata::A::new(Ipv4Addr::new(203, 0, 113, number));
            builder.push((&ask.name, 60, address)).unwrap();
        }
        let mut authority = builder.authority();
        if missing {
            let (time, serial) = (Ttl::from_secs(60), domain::base::Serial(1));
            let soa = domain::rdata::Soa::new(&ask.name, &ask.name, serial, time, time, time, time);
            authority.push((&ask.name, 60, soa)).unwrap();
        }
        dice.damaged(authority.finish().into_target())
    };
    soak("dns-answer", 5_000, 25, make, |bytes| {
        let Some(theirs) = answers(&sent, bytes.to_vec()) else { return false };
        let Some(said) = Said::read(&theirs, &question.key(&ask)) else { return false };
        // Nothing about other names is kept, however the message was damaged.
        let owners = said.records.iter().map(|record| record.owner());
        let aliases: Vec<_> = said.records.iter().filter(|record| record.rtype() != Rtype::A).collect();
        owners.for_each(|owner| assert!(owner == &ask.name || !aliases.is_empty(), "{said:?}"));
        let age = Age::Seconds(u32::from(bytes[1]));
        correct(&question, &client, &question.relay(&ask.before, &said, age));
        true
    });
}
