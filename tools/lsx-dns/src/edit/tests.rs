//! Changes as people write them, and replies as a server may send them.

use super::*;
use crate::update::message as server;
use change::Part;
use domain::base::iana::{Class, Rcode};
use domain::base::{MessageBuilder, Serial, Ttl};
use domain::rdata::tsig::Time48;
use domain::tsig::{Key, ServerTransaction};
use lsx_tests::{Dice, soak};
use std::collections::HashMap;

const NOW: u64 = 1_800_000_000;
const LINES: [&str; 14] = [
    "add a.internal A 192.0.2.1",
    "add a.internal 300 AAAA 2001:db8::1",
    "add a.internal TXT \"one two\" three\\ four",
    "add a.internal 5 MX 10 mail.example.org.",
    "add _http._tcp.internal SRV 1 5 80 web.internal",
    "add a.internal CAA 0 issue \"ca.example.org\"",
    "add a.internal TYPE65280 \\# 2 abcd",
    "add a.internal CNAME web",
    "delete a.internal",
    "delete a.internal TXT x",
    "if a.internal A 192.0.2.1",
    "if a.internal",
    "unless a.internal TYPE65",
    "unless \\097.internal",
];

fn key() -> Arc<Key> {
    Arc::new(keys::read("one", b"MDEyMzQ1Njc4OWFiY2RlZg==").unwrap().keys().unwrap().remove(0))
}

/// What is written is read by a server as the same number of conditions and changes; documents have the same items.
#[test]
fn soak_changes() {
    let zone = name("internal").unwrap();
    let zones = [zone.clone()];
    let make = |dice: &mut Dice| {
        let line = LINES[dice.below(LINES.len())];
        (if dice.below(4) > 0 { dice.broken(line) } else { line.to_owned() }).into_bytes()
    };
    soak("dns-changes", 5_000, 20, make, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Wanted::read(&text, "stdin");
        let Ok(item) = Item::parse(&text) else { return false };
        let document = json!({"changes": [item]}).to_string();
        assert_eq!(Wanted::read(&document, "stdin").unwrap().changes, std::slice::from_ref(&item));
        let Ok(part) = item.part() else { return false };
        let Ok(signed) = message::write(&zone, std::slice::from_ref(&item), key(), (7, NOW)) else {
            return false;
        };
        let whole = Message::from_octets(signed.bytes).unwrap();
        let within = match &part {
            Part::Whole(record) => record.owner().ends_with(&zone),
            Part::Data(owner, _) | Part::Bare(owner, ..) => owner.ends_with(&zone),
        };
        // A server refuses types that are questions, and other zones.
        let Ok(asked) = server::read(&whole, &zones) else { return true };
        assert!(within, "{text:?}");
        let counts = (asked.prerequisites.len(), asked.changes.len());
        assert_eq!(counts, if item.is_condition() { (1, 0) } else { (0, 1) }, "{text:?}");
        true
    });
}

/// A server's reply to an update: signed, then damaged. Nothing is taken for signed that is not what the server has signed.
#[test]
fn soak_replies() {
    let (zone, key) = (name("internal").unwrap(), key());
    let item = Item::parse(LINES[0]).unwrap();
    let codes = [Rcode::NOERROR, Rcode::NXRRSET, Rcode::REFUSED, Rcode::SERVFAIL];
    let make = |dice: &mut Dice| {
        let sent = message::write(&zone, std::slice::from_ref(&item), Arc::clone(&key), (7, NOW)).unwrap();
        let mut request = Message::from_octets(sent.bytes).unwrap();
        let known: HashMap<_, Arc<Key>> = [((key.name().clone(), key.algorithm()), Arc::clone(&key))].into();
        let now = Time48::from_u64(NOW);
        let code = codes[dice.below(codes.len())];
        let transaction = ServerTransaction::request(&known, &mut request, now).unwrap().unwrap();
        let mut reply = MessageBuilder::new_vec().start_error(&request, code).additional();
        transaction.answer(&mut reply, now).unwrap();
        let whole = reply.finish();
        let mut all = u16::try_from(whole.len()).unwrap().to_be_bytes().to_vec();
        all.extend(&whole);
        all.extend(dice.damaged(whole));
        all
    };
    let sent = message::write(&zone, std::slice::from_ref(&item), Arc::clone(&key), (7, NOW)).unwrap();
    soak("dns-reply", 5_000, 20, make, |bytes| {
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let (whole, came) = bytes[2..].split_at(length);
        let Some(said) = sent.read(came.to_vec(), NOW) else { return false };
        if said.sure {
            let end = whole.len() - usize::from(key.compose_len());
            assert!(whole[..end].eq_ignore_ascii_case(&came[..end]), "{came:?}");
        }
        let updated = Updated {
            schema: String::new(),
            server: "192.0.2.1:53".to_owned(),
            from: None,
            zone: "internal".to_owned(),
            key: "one".to_owned(),
            changes: Vec::new(),
            code: said.code.to_string(),
            error: said.error.map(|error| error.to_string()),
            signed: said.sure,
            ms: 0.0,
        };
        let verdict = updated.verdict(&said);
        assert_eq!(
            verdict.is_ok(),
            said.sure && said.code == Rcode::NOERROR && said.error.is_none(),
            "{said:?}"
        );
        said.sure
    });
}

/// A server's reply to the question in which zone a name is: it is one above the name.
#[test]
fn soak_zones() {
    let asked = name("a.part.internal").unwrap();
    let query = ask::query("a.part.internal", Rtype::SOA).unwrap();
    let owners = ["internal", "part.internal", "a.part.internal", "other.internal", "example.org", "."];
    let make = |dice: &mut Dice| {
        let mut builder = MessageBuilder::new_vec().start_answer(&query, Rcode::NOERROR).unwrap();
        let soa = |dice: &mut Dice| {
            let owner = name(owners[dice.below(owners.len())]).unwrap();
            let time = Ttl::from_secs(60);
            let data = Soa::new(owner.clone(), owner.clone(), Serial(1), time, time, time, time);
            (owner, Class::IN, time, data)
        };
        for _ in 0..dice.below(3) {
            builder.push(soa(dice)).unwrap();
        }
        let mut builder = builder.authority();
        for _ in 0..dice.below(3) {
            builder.push(soa(dice)).unwrap();
        }
        dice.damaged(builder.finish())
    };
    soak("dns-zone", 5_000, 20, make, |bytes| {
        let Ok(reply) = Message::from_octets(bytes.to_vec()) else { return false };
        let Some(zone) = zone_in(&reply, &asked) else { return false };
        assert!(asked.ends_with(&zone), "{zone}");
        true
    });
}
