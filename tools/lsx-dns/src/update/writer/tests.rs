//! The clock of a server jumps; damaged entries of a journal.

use super::*;
use crate::model::Config;
use crate::update::message::Asks;
use crate::update::rules::Rules;
use crate::zone::{name, record_of};
use lsx_tests::{Corpus, Dice, soak};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;

const NOW: u64 = 1_700_000_000;
const YEAR: u64 = 86_400 * 365;

fn config() -> Config {
    serde_json::from_str(
        r#"{"listen": [], "domain": "internal", "ttl": 60, "negative_ttl": 10, "zones": ["internal"], "records": [], "views": [],
            "update": {"one": {"key": "secret", "names": ["*"], "types": ["A"], "owner": "service"}}}"#,
    )
    .unwrap()
}

fn names(config: &Config) -> Names {
    let zones = vec![name("internal").unwrap()];
    let rules = Rules::new(&config.update).unwrap();
    Names::new(State {
        zones,
        fixed: HashMap::new(),
        rules,
        lending: Default::default(),
        live: BTreeMap::new(),
    })
}

/// An update that adds a name.
fn add(owner: &str, at: u64) -> (Request, oneshot::Receiver<Rcode>) {
    let (reply, code) = oneshot::channel();
    let data = crate::model::Data::A([192, 0, 2, 1].into());
    let record = record_of(name(owner).unwrap(), 60, &data).unwrap();
    let asked = Asked {
        zone: name("internal").unwrap(),
        prerequisites: Vec::new(),
        changes: vec![Asks::Add(record)],
    };
    let who = Who { clients: ["one".to_owned()].into(), ..Who::default() };
    (Request { who, asked, signed: Signed { at, mac: format!("{owner}{at}") }, reply }, code)
}

#[test]
fn updates_and_serials_outlast_a_clock_that_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let open = || File::open(folder.path()).unwrap().into();
    let config = config();
    let tables = RwLock::new(Tables::new(&config, 0).unwrap());
    let (mut journal, _) = Journal::<Line>::open(open()).unwrap().unwrap();
    let mut all = names(&config);
    all.begin(&mut journal, "digest", NOW).unwrap();
    let mut serial = all.serial;
    // The reply, and whether the serial has risen.
    let mut update = |owner: &str, at: u64, now: u64| {
        let (request, mut code) = add(owner, at);
        all.group(&mut journal, vec![request], (&tables, now)).0.unwrap();
        let risen = all.serial > serial;
        serial = all.serial;
        (code.try_recv().unwrap(), risen)
    };
    let (done, again, late) = ((Rcode::NOERROR, true), (Rcode::NOERROR, false), (LATE, false));
    assert_eq!(update("a.internal", NOW, NOW), done);
    assert_eq!(update("old.internal", NOW - 301, NOW), late);
    // Forward, and a client whose clock is right.
    assert_eq!(update("b.internal", NOW + 1, NOW + YEAR), late);
    assert_eq!(update("c.internal", NOW + YEAR, NOW + YEAR), done);
    // Back, and further back than ever.
    assert_eq!(update("c.internal", NOW + YEAR, NOW + 2), again);
    assert_eq!(update("b.internal", NOW + 2, NOW + 2), done);
    assert_eq!(update("d.internal", NOW - YEAR, NOW - YEAR), done);
    drop(journal);
    let (_, lines) = Journal::<Line>::open(open()).unwrap().unwrap();
    let mut read = names(&config);
    read.load(&lines, NOW).unwrap();
    assert_eq!(read.serial, serial);
    assert_eq!(read.state.live.len(), 4);
}

/// An observer finds the serial of many names in the last line, also when the journal was shortened, and reads no other.
#[test]
fn the_serial_of_many_names_is_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let open = || File::open(folder.path()).unwrap();
    let config = config();
    let tables = RwLock::new(Tables::new(&config, 0).unwrap());
    let (mut journal, _) = Journal::<Line>::open(open().into()).unwrap().unwrap();
    let mut all = names(&config);
    all.begin(&mut journal, "digest", NOW).unwrap();
    let named = |number: u32| Named {
        name: format!("n{number}.internal"),
        by: "one".to_owned(),
        records: serde_json::from_value(serde_json::json!([{"ttl": 60, "a": "192.0.2.1"}])).unwrap(),
    };
    let many: Vec<Named> = (0..10_000).map(named).collect();
    all.take_over(&[Line::Names(many)], NOW).unwrap();
    journal.replace(&all.whole()).unwrap();
    let last = || common::journal::last::<Line>(open()).unwrap().and_then(|line| line.serial());
    assert_eq!(last(), Some(all.serial));
    let (request, _) = add("more.internal", NOW);
    all.group(&mut journal, vec![request], (&tables, NOW)).0.unwrap();
    assert_eq!(last(), Some(all.serial));
    drop(journal);
    let (_, lines) = Journal::<Line>::open(open().into()).unwrap().unwrap();
    let mut read = names(&config);
    read.load(&lines, NOW).unwrap();
    assert_eq!((read.serial, read.state.live.len()), (all.serial, 10_001));
    // The line before them has all names.
    let bytes = std::fs::read(folder.path().join("journal")).unwrap();
    let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    let ends: Vec<usize> =
        bytes.split(|byte| *byte == b'\n').rev().skip(1).take(2).map(<[u8]>::len).collect();
    assert!(longest > 500_000 && ends.iter().all(|length| *length < 1000), "{longest} {ends:?}");
}

/// Entries of a journal, damaged: what is taken over is written as the same.
#[test]
fn soak_entries() {
    let config = config();
    let record = |data: serde_json::Value| {
        let mut record = serde_json::json!({"ttl": 60});
        data.as_object().unwrap().iter().for_each(|(key, value)| {
            drop(record.as_object_mut().unwrap().insert(key.clone(), value.clone()))
        });
        record
    };
    let named = |name: &str, data| serde_json::json!({"name": name, "by": "one", "records": [record(data)]});
    let update = |name: &str, data| serde_json::json!({"update": {"serial": 8, "signed_at": NOW, "mac": "ab", "names": [named(name, data)]}});
    let corpus = Corpus::of(vec![
        serde_json::json!([{"begin": {"serial": 7, "stack": "digest"}}, update("a.internal", serde_json::json!({"a": "192.0.2.1"}))]),
        serde_json::json!([{"names": [named("b.internal", serde_json::json!({"txt": "text"})), named("c.internal", serde_json::json!({"mx": [10, "a.internal"]}))]}, {"done": {"signed_at": NOW, "mac": "cd"}}]),
        serde_json::json!([
            update("d.internal", serde_json::json!({"other": [65280, "00ff"]})),
            update("d.internal", serde_json::json!({"srv": [1, 2, 80, "a.internal"]}))
        ]),
        serde_json::json!([update("e.internal", serde_json::json!({"cname": "a.internal"})), {"names": [{"name": "e.internal"}]}]),
    ]);
    let tables = RwLock::new(Tables::new(&config, 0).unwrap());
    let make = |dice: &mut Dice| corpus.mutant(dice).to_string().into_bytes();
    soak("dns-journal", 5_000, 20, make, |bytes| {
        let Ok(lines) = serde_json::from_slice::<Vec<Line>>(bytes) else { return false };
        let mut all = names(&config);
        if all.load(&lines, NOW).is_err() {
            return false;
        }
        all.show_all(&tables);
        let mut again = names(&config);
        again.load(&all.whole(), NOW).unwrap();
        assert_eq!(
            (again.serial, &again.stack, &again.state.live),
            (all.serial, &all.stack, &all.state.live)
        );
        true
    });
}
