//! Replies that were written before are those that the zones give, byte for byte.

use super::*;
use crate::model::Config;
use crate::plan;
use crate::serve::Server;
use crate::serve::reply::{Question, Reply};
use crate::update::keys::Keys;
use crate::zone::{Owner, Rr, Tables};
use common::stack::{ReadOptions, read, resolve};
use domain::base::iana::Class;
use domain::base::{Name, Ttl};
use lsx_tests::{Dice, entries};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddrV4};
use std::sync::RwLock;

/// Types that are asked for: those of the tables, others, and those that are refused.
const KINDS: [u16; 11] = [1, 28, 5, 2, 6, 12, 15, 16, 33, 65280, 255];

/// The servers of all example stacks, and one whose answers are too large.
fn configs() -> Vec<Config> {
    let folders = ["tests/fixtures/stack", "tests/fixtures/dns"].map(entries).concat();
    let own = folders.into_iter().map(|folder| folder.join("stack.yaml"));
    let texts = own.chain(entries("scripts/stacks")).filter_map(|path| std::fs::read_to_string(path).ok());
    let of = |text: String| {
        let (stack, _) = read(&text, "stack.yaml", &ReadOptions::default()).ok()?;
        let resolved = resolve(&stack).ok()?;
        let hosts = resolved.hosts.iter();
        Some(hosts.filter_map(|host| plan::config(&stack, &resolved, &host.name, &[])).collect::<Vec<_>>())
    };
    let mut all: Vec<Config> = texts.filter_map(of).flatten().collect();
    assert!(all.len() >= 3);
    let records = [("a", 200), ("b", 480), ("c", 900), ("d", 1180), ("e", 3000)].map(
        |(name, length)| serde_json::json!({"name": format!("{name}.internal"), "txt": "x".repeat(length)}),
    );
    let large = serde_json::json!({"listen": [], "domain": "internal", "ttl": 60, "negative_ttl": 10, "zones": ["internal"],
        "records": records, "views": [{"from": ["10.0.0.0/24"], "networks": ["lan"], "reach": ["10.0.0.0/24"]}]});
    all.push(serde_json::from_value(large).unwrap());
    all
}

/// All names of a configuration, and some that are not there.
fn names(config: &Config) -> Vec<Owner> {
    let mut all: BTreeSet<String> = config.records.iter().map(|entry| entry.name.clone()).collect();
    all.extend(config.zones.iter().cloned());
    let missing: Vec<String> = all.iter().step_by(5).map(|name| format!("missing.{name}")).collect();
    all.extend(missing);
    all.extend(["localhost", "www.example.org"].map(str::to_owned));
    all.iter().map(|name| Name::vec_from_str(name).unwrap()).collect()
}

/// The forms of a query: flags of the header, the size and flags of EDNS, a cookie.
type Form = (u8, u8, Option<(u16, u8)>, bool);
const FORMS: [Form; 11] = [
    (1, 0, None, false),
    (1, 0x20, None, false),
    (0, 0, None, false),
    (1, 0x10, Some((1232, 0)), false),
    (1, 0x20, Some((4096, 0x80)), false),
    (1, 0, Some((0, 0)), false),
    (1, 0, Some((700, 0)), false),
    (1, 0, Some((1000, 0x80)), false),
    (1, 0, Some((1232, 0)), true),
    (1, 0x40, None, false),
    (3, 0, None, false),
];

fn query(name: &Owner, kind: u16, form: usize, dice: &mut Dice) -> Vec<u8> {
    let (high, low, edns, cookie) = FORMS[form];
    let number = u16::try_from(dice.below(65536)).unwrap().to_be_bytes();
    let head = [high, low, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    let mut bytes = [&number[..], &head, name.as_slice(), &kind.to_be_bytes(), &[0, 1]].concat();
    // RFC draft-vixie-dnsext-dns0x20: clients use the case of letters to tell replies from forged ones.
    for byte in bytes[12..12 + name.len()].iter_mut().filter(|byte| byte.is_ascii_alphabetic()) {
        *byte ^= if dice.below(2) == 0 { 0x20 } else { 0 };
    }
    if let Some((size, flags)) = edns {
        let option: &[u8] = if cookie { b"\0\x0a\0\x08client 1" } else { b"" };
        let length = u8::try_from(option.len()).unwrap();
        bytes.extend([&[0, 0, 41], &size.to_be_bytes()[..], &[0, 0, flags, 0, 0, length], option].concat());
    }
    bytes
}

/// A server that is not served, with a serial that stays.
pub(in crate::serve) fn server(mut config: Config) -> Server {
    (config.rate, config.log) = (1_000_000, false);
    let tables = Arc::new(RwLock::new(Tables::new(&config, 1).unwrap()));
    (config.update, config.transfer, config.servers) = (BTreeMap::new(), None, None); // There are no secrets here.
    let keys = Keys::new(&config, &BTreeMap::new()).unwrap();
    Server::new(&config, tables, keys, 1).unwrap()
}

/// What the zones give; none if others have to be asked.
fn slow(server: &Server, bytes: &[u8], source: Ipv4Addr) -> Option<Vec<u8>> {
    let mut question = Question::read(bytes, false).unwrap();
    server.guard.admit(&mut question, source, true);
    match question.reply(&server.tables(), source, &server.health.down()) {
        Reply::Now(reply) => Some(reply),
        Reply::Later(_) | Reply::Change | Reply::Transfer | Reply::News => None,
    }
}

/// Compares the reply with that of the zones.
fn compare(server: &Server, bytes: &[u8], source: Ipv4Addr) {
    let fast = || {
        let (from, mut out) = (SocketAddrV4::new(source, 5300), Vec::new());
        let later = server.datagram(bytes, from, IpAddr::V4(source), &mut out);
        later.is_none().then_some(out)
    };
    // The time is in cookies, and a second may begin in between.
    let same = (0..3).any(|_| fast() == slow(server, bytes, source));
    assert!(same, "{source} asks {bytes:?}\n{:?}\n{:?}", fast(), slow(server, bytes, source));
}

#[test]
fn replies_are_the_same_for_every_name_and_type_of_every_example() {
    let mut dice = Dice(7);
    let mut prepared = 0;
    for config in configs() {
        let server = server(config.clone());
        let sources = config.views.iter().map(|view| view.from[0].addr()).take(2);
        for source in sources.chain([Ipv4Addr::new(198, 51, 100, 7)]) {
            for (number, name) in names(&config).iter().enumerate() {
                for kind in KINDS {
                    // What is kept comes from one form and answers others.
                    let forms = if number < 8 { FORMS.len() } else { 1 };
                    let first = dice.below(FORMS.len());
                    for form in [first, 0].into_iter().chain(1..forms) {
                        compare(&server, &query(name, kind, form, &mut dice), source);
                    }
                }
            }
        }
        prepared += server.prepared.all.lock().unwrap().number;
    }
    assert!(prepared > 500, "{prepared}");
}

/// What changes is seen at once, and what is kept does not grow without end.
#[test]
fn what_was_written_before_is_forgotten() {
    let config = serde_json::json!({"listen": [], "domain": "internal", "ttl": 60, "negative_ttl": 10, "zones": ["internal"],
        "records": [{"name": "web.internal", "a": "10.0.0.2"}, {"name": "web.internal", "a": "10.0.0.3"}, {"name": "site.internal", "cname": "late.internal"}],
        "views": [{"from": ["10.0.0.0/24"], "networks": ["lan"], "reach": ["10.0.0.0/24"]}]});
    let server = server(serde_json::from_value(config).unwrap());
    let source = Ipv4Addr::new(10, 0, 0, 9);
    let (name, mut dice) = (Name::vec_from_str("web.internal").unwrap(), Dice(1));
    let records = |dice: &mut Dice| {
        let bytes = query(&name, 1, 0, dice);
        compare(&server, &bytes, source);
        slow(&server, &bytes, source).unwrap()[7]
    };
    assert_eq!([records(&mut dice), records(&mut dice)], [2, 2]);
    server.health.set(&[Ipv4Addr::new(10, 0, 0, 3)]);
    assert_eq!([records(&mut dice), records(&mut dice)], [1, 1]);
    server.health.set(&[]);
    assert_eq!([records(&mut dice), records(&mut dice)], [2, 2]);
    // A client adds a name, that of an alias, and takes it away.
    let (site, late) =
        ["site.internal", "late.internal"].map(|name| Name::vec_from_str(name).unwrap()).into();
    let lengths = |dice: &mut Dice| {
        [&site, &late].map(|name| {
            let bytes = query(name, 1, 0, dice);
            compare(&server, &bytes, source);
            compare(&server, &bytes, source);
            slow(&server, &bytes, source).unwrap()[7]
        })
    };
    assert_eq!(lengths(&mut dice), [1, 0]);
    let address = domain::rdata::A::new(Ipv4Addr::new(192, 0, 2, 7)).into();
    let record = Rr::new(late.clone(), Class::IN, Ttl::from_secs(60), address);
    server.tables.write().unwrap().set_name(&late, &[record]);
    assert_eq!(lengths(&mut dice), [2, 1]);
    server.tables.write().unwrap().set_name(&late, &[]);
    assert_eq!(lengths(&mut dice), [1, 0]);
    let most = server.prepared.most;
    for kind in 1..=u16::try_from(most).unwrap() * 2 {
        compare(&server, &query(&name, kind, 0, &mut dice), source);
        assert!(server.prepared.all.lock().unwrap().number <= most);
    }
}
