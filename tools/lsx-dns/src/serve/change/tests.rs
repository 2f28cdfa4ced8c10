//! Damaged updates and signatures.

use super::*;
use crate::model::Config;
use crate::update::message;
use crate::zone::{Owner, name};
use domain::base::iana::{Class, Rtype, TsigRcode};
use domain::base::{Message, Ttl};
use domain::rdata::tsig::{Time48, Tsig};
use domain::rdata::{A, Aaaa, Txt};
use domain::tsig::{Algorithm, ClientTransaction, Key};
use lsx_tests::{Dice, soak};
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: u64 = 1_800_000_000;

fn keys() -> Keys {
    let config: Config = serde_json::from_str(
        r#"{"listen": [], "domain": "internal", "ttl": 60, "negative_ttl": 10, "zones": ["internal"], "records": [], "views": [],
            "update": {"one": {"key": "secret", "names": ["*"], "types": ["A"], "owner": "service"}}}"#,
    )
    .unwrap();
    Keys::new(&config, &BTreeMap::from([("secret".to_owned(), b"MDEyMzQ1Njc4OWFiY2RlZg==".to_vec())]))
        .unwrap()
}

fn zones() -> Vec<Owner> {
    ["internal", "lone.internal"].map(|zone| name(zone).unwrap()).into()
}

/// An update with all forms of prerequisites and changes.
fn update(dice: &mut Dice, key: Option<&Arc<Key>>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_opcode(Opcode::UPDATE);
    builder.header_mut().set_id(u16::try_from(dice.below(65536)).unwrap());
    let mut builder = builder.question();
    builder.push((name("internal").unwrap(), Rtype::SOA, Class::IN)).unwrap();
    let mut builder = builder.answer();
    let owner = |dice: &mut Dice| {
        let all = ["a.internal", "b.c.internal", "internal", "x.lone.internal", "www.example.org"];
        name(all[dice.below(20).min(4) % (1 + dice.below(5))]).unwrap()
    };
    let (a, ttl) = (A::new([192, 0, 2, 1].into()), Ttl::from_secs(60));
    let txt = Txt::<Vec<u8>>::build_from_slice(b"text").unwrap();
    for _ in 0..dice.below(3) {
        let zero = Ttl::from_secs(0);
        match dice.below(2) {
            0 => builder.push((owner(dice), Class::IN, zero, &txt)).unwrap(),
            _ => builder.push((owner(dice), Class::NONE, zero, &a)).unwrap(),
        }
    }
    let mut builder = builder.authority();
    for _ in 0..dice.below(4) {
        match dice.below(4) {
            0 => builder.push((owner(dice), Class::IN, ttl, &a)).unwrap(),
            1 => builder.push((owner(dice), Class::IN, ttl, Aaaa::new([7; 16].into()))).unwrap(),
            2 => builder.push((owner(dice), Class::NONE, Ttl::from_secs(0), &txt)).unwrap(),
            _ => builder.push((owner(dice), Class::IN, ttl, &txt)).unwrap(),
        }
    }
    let mut builder = builder.additional();
    if let Some(key) = key {
        ClientTransaction::request(Arc::clone(key), &mut builder, Time48::from_u64(NOW)).unwrap();
    }
    builder.finish()
}

#[test]
fn soak_dns_update() {
    let zones = zones();
    let make = |dice: &mut Dice| {
        let whole = update(dice, None);
        dice.damaged(whole)
    };
    soak("dns-update", 5_000, 10, make, |bytes| {
        let Ok(message) = Message::from_octets(bytes.to_vec()) else { return false };
        let Ok(asked) = message::read(&message, &zones) else { return false };
        let names = asked.changes.iter().map(message::Asks::name);
        names.for_each(|name| assert!(name.ends_with(&zones[0]) && !name.ends_with(&zones[1]), "{asked:?}"));
        true
    });
}

/// Nothing is taken for signed that is not the message that was signed.
#[test]
fn soak_dns_tsig() {
    let keys = keys();
    let key = keys.all.values().next().unwrap();
    let make = |dice: &mut Dice| {
        let whole = update(dice, Some(key));
        let mut all = u16::try_from(whole.len()).unwrap().to_be_bytes().to_vec();
        all.extend(&whole);
        all.extend(dice.damaged(whole));
        all
    };
    soak("dns-tsig", 5_000, 10, make, |bytes| {
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let (whole, sent) = bytes[2..].split_at(length);
        let Ok(mut message) = Message::from_octets(sent.to_vec()) else { return false };
        match signed::open(&keys, &mut message, NOW) {
            // Its number is not signed: that in the signature is.
            Opened::Signed(_) => {
                let end = whole.len() - usize::from(key.compose_len());
                assert!(whole[2..end].eq_ignore_ascii_case(&sent[2..end]), "{sent:?}");
                true
            }
            Opened::Wrong(reply) => {
                let told = Message::from_octets(reply).unwrap();
                assert!([Rcode::NOTAUTH, Rcode::FORMERR].contains(&told.header().rcode()), "{told:?}");
                false
            }
            Opened::Plain => false,
        }
    });
}

/// The error in the signature of a reply, with the length of its code and what else it says.
fn told(opened: Opened) -> (TsigRcode, usize, Option<u64>) {
    let Opened::Wrong(reply) = opened else { panic!("it is taken") };
    let reply = Message::from_octets(reply).unwrap();
    assert_eq!(reply.header().rcode(), Rcode::NOTAUTH);
    let all = reply.additional().unwrap().limit_to::<Tsig<_, _>>();
    let found = all.map(|record| {
        let record = record.unwrap();
        let data = record.data();
        (data.error(), data.mac_slice().len(), data.other_time().map(u64::from))
    });
    found.last().unwrap()
}

#[test]
fn times_out_of_reach_and_short_codes_are_refused_as_the_rfc_says() {
    let keys = keys();
    let key = keys.all.values().find(|key| key.algorithm() == Algorithm::Sha256).unwrap();
    let signed = |at: u64, fudge: u16, key: &Arc<Key>| {
        let mut builder = MessageBuilder::new_vec().question();
        builder.push((name("internal").unwrap(), Rtype::SOA, Class::IN)).unwrap();
        let mut builder = builder.additional();
        let at = Time48::from_u64(at);
        ClientTransaction::request_with_fudge(Arc::clone(key), &mut builder, at, fudge).unwrap();
        Message::from_octets(builder.finish()).unwrap()
    };
    let open = |mut message: Message<Vec<u8>>| signed::open(&keys, &mut message, NOW);
    // The clock of the client, how far it says that clocks may differ, and whether it is heard.
    for (at, fudge, heard) in [
        (NOW, 0, true),
        (NOW - 300, 300, true),
        (NOW + 300, 300, true),
        (NOW - 10, 9, false),
        (NOW - 301, 300, false),
        (NOW + 301, 300, false),
        (NOW - 301, 65535, false),
        (NOW + 86_400 * 365, 65535, false),
        (0, 65535, false),
    ] {
        let opened = open(signed(at, fudge, key));
        if heard {
            assert!(matches!(opened, Opened::Signed(_)), "{at} {fudge}");
        } else {
            assert_eq!(told(opened), (TsigRcode::BADTIME, 32, Some(NOW)), "{at} {fudge}");
        }
    }
    // The first half of the right code, which the RFC leaves to servers.
    let secret = b"0123456789abcdef";
    let half = Key::new(Algorithm::Sha256, secret, key.name().clone(), Some(16), Some(16)).unwrap();
    assert_eq!(told(open(signed(NOW, 300, &Arc::new(half)))), (TsigRcode::BADTRUNC, 0, None));
}

/// As Kea does, and servers that forward updates.
#[test]
fn a_message_may_get_another_number_after_it_was_signed() {
    let keys = keys();
    let key = keys.all.values().next().unwrap();
    let now = Time48::from_u64(changes::now());
    for late in [0, 1000] {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(7);
        let mut builder = builder.question();
        builder.push((name("internal").unwrap(), Rtype::SOA, Class::IN)).unwrap();
        let (mut builder, at) = (builder.additional(), Time48::from_u64(changes::now() - late));
        let client = ClientTransaction::request(Arc::clone(key), &mut builder, at).unwrap();
        let mut bytes = builder.finish();
        bytes[..2].copy_from_slice(&[1, 2]);
        let mut question = Question::read(&bytes, false).unwrap();
        let reply = match question.open(&keys) {
            Some(Reply::Now(reply)) => reply,
            None => {
                let plain = question.bare(Rcode::NOERROR);
                question.signed(plain)
            }
            Some(_) => panic!("it is a query"),
        };
        assert_eq!(reply[..2], [1, 2]);
        let mut reply = Message::from_octets(reply).unwrap();
        assert_eq!(client.answer(&mut reply, now).is_ok(), late == 0);
    }
}
