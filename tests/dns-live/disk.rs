//! `check` tells which server cannot write its journal, before anything changes.

use crate::pair::{both, up, updated};
use crate::town::Town;
use lsx_tests::lab::Lab;
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] =
    &[("check_tells_which_journal_cannot_be_written", check_tells_which_journal_cannot_be_written)];

const DATA: &str = "/var/lib/lsx/dns/pair/data";

/// The only finding, of the journal of h2.
#[track_caller]
fn finding(pair: &Town<'_>, why: &str) {
    let checked = pair.dns(&["check", &pair.file]).exits(2);
    let told = checked.json();
    let all: Vec<&Value> = told["findings"].as_array().unwrap().iter().collect();
    assert_eq!(all.len(), 1, "{told}");
    assert_eq!((&all[0]["code"], &all[0]["host"]), (&"dns.journal".into(), &"h2".into()), "{told}");
    let message = all[0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("{DATA}/names")) && message.contains(why), "{told}");
    assert!(checked.stderr.contains(message) && checked.stderr.contains("make room"), "{}", checked.stderr);
    let table = pair.dns(&["check", &pair.file, "--table"]).exits(2).stdout;
    assert!(table.contains("cannot write its"), "{table}");
}

fn check_tells_which_journal_cannot_be_written(lab: &Lab) {
    lab.script("h2", &format!("mkdir -p {DATA}; mount -t tmpfs -o size=1m,mode=700 lsx-test {DATA}")).ok();
    let pair = up(lab);
    updated(&pair, "bob", "update add one.internal 60 A 192.0.2.1");
    both(&pair, "one.internal", &["192.0.2.1"]);
    let before = lab.script("h2", &format!("ls -A {DATA}/names")).ok().stdout;
    pair.dns(&["check", &pair.file]).ok();
    // The disk of the server that follows is full; nothing has changed yet.
    lab.script("h2", &format!("cat /dev/zero >{DATA}/filler 2>/dev/null || true")).ok();
    finding(&pair, "No space left");
    lab.script("h2", &format!("rm {DATA}/filler")).ok();
    pair.dns(&["check", &pair.file]).ok();
    // It has become read-only.
    lab.script("h2", &format!("mount --bind {DATA} {DATA} && mount -o remount,bind,ro {DATA}")).ok();
    finding(&pair, "Read-only");
    lab.script("h2", &format!("umount {DATA}")).ok();
    pair.dns(&["check", &pair.file]).ok();
    assert_eq!(lab.script("h2", &format!("ls -A {DATA}/names")).ok().stdout, before, "it leaves nothing");
    updated(&pair, "bob", "update add two.internal 60 A 192.0.2.2");
    both(&pair, "two.internal", &["192.0.2.2"]);
    pair.dns(&["down", &pair.file]).ok();
    lab.script("h2", &format!("umount {DATA}")).ok();
    pair.down();
}
