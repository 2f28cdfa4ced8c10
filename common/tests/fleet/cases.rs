//! The properties of a fleet, one case each.

use crate::lab::{Lab, ask, code, fleet, target};
use crate::tool::{pause, put};
use crate::{access, ends, masters, slow};
use common::fleet::Options;
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

type Case = (&'static str, fn());

/// Every case, in the order they run.
pub(crate) const ALL: &[Case] = &[
    ("in_process", in_process),
    ("ships_and_serves", ships_and_serves),
    ("events_and_big_documents", events_and_big_documents),
    ("damaged_copy_is_repaired", damaged_copy_is_repaired),
    ("master_is_reused_and_ends", masters::master_is_reused_and_ends),
    ("dead_masters_are_replaced", masters::dead_masters_are_replaced),
    ("fresh_connections", masters::fresh_connections),
    ("two_fleets_at_once", masters::two_fleets_at_once),
    ("unreachable_is_named", access::unreachable_is_named),
    ("a_dead_host_is_soon_given_up", access::a_dead_host_is_soon_given_up),
    ("host_keys_are_verified", access::host_keys_are_verified),
    ("keys_refused", access::keys_refused),
    ("without_root", access::without_root),
    ("without_root_by_the_real_sudo", access::without_root_by_the_real_sudo),
    ("this_machine_without_root", access::this_machine_without_root),
    ("noisy_profile", access::noisy_profile),
    ("sudo_that_is_not_needed", access::sudo_that_is_not_needed),
    ("hang_ends_at_the_deadline", ends::hang_ends_at_the_deadline),
    ("a_slow_transfer_is_not_ended", slow::a_slow_transfer_is_not_ended),
    ("a_transfer_that_stops_is_ended", slow::a_transfer_that_stops_is_ended),
    ("interrupt_undoes", ends::interrupt_undoes),
    ("killed_controller_undoes", ends::killed_controller_undoes),
    ("crash_on_the_host", ends::crash_on_the_host),
    ("disk_full", ends::disk_full),
    ("whatever_a_host_says_is_bounded", ends::whatever_a_host_says_is_bounded),
    ("the_memory_of_a_reply_is_bounded", ends::the_memory_of_a_reply_is_bounded),
    ("the_memory_of_all_replies_is_bounded", ends::the_memory_of_all_replies_is_bounded),
    ("one_address_a_file", one_address_a_file),
    ("another_architecture", another_architecture),
    ("old_copies_go", old_copies_go),
    ("second_run_is_quick", masters::second_run_is_quick),
];

fn in_process() {
    let lab = Lab::new();
    let mut here = target("here", "unused");
    here.local = true;
    let mut fleet = fleet(&[here], lab.options());
    let mut events = Vec::new();
    let requests = [("here".to_owned(), json!({"op": "events", "count": 3}))].into();
    let results = fleet.each(requests, &mut |name, event| events.push((name.to_owned(), event)));
    assert_eq!(results["here"], Ok(json!("done")));
    assert_eq!(events.len(), 3);
    let who = ask(&mut fleet, &["here"], json!({"op": "who"}))["here"].clone().unwrap();
    assert_eq!(who["pid"], std::process::id());
    let value = "z".repeat(20_000_000);
    let big = ask(&mut fleet, &["here"], json!({"op": "echo", "value": value}));
    assert_eq!(big["here"].as_ref().unwrap().as_str().unwrap().len(), 20_000_000);
    fleet.close();
}

fn ships_and_serves() {
    let lab = Lab::new();
    let mut first = fleet(&[lab.target("h1")], lab.options());
    let start = Instant::now();
    let results = ask(&mut first, &["h1"], json!({"op": "who"}));
    println!("  first contact with upload: {:?}", start.elapsed());
    let who = results["h1"].clone().unwrap();
    assert_eq!(who["exe"], json!(lab.copy()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&lab.copies()[0]), mode(&lab.copy())), (0o700, 0o755));
    let failures = ask(&mut first, &["h1"], json!({"op": "fail"}))["h1"].clone().unwrap_err();
    assert_eq!((failures.exit(), failures.0.len()), (77, 2));
    assert!(failures.0.iter().all(|f| f.host.as_deref() == Some("h1")));
    let again = ask(&mut first, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    assert_eq!(again["pid"], who["pid"], "one session for the whole verb");
    first.close();
    assert_eq!(lab.logins(), 1);
    assert_eq!(code(&ask(&mut fleet(&[], lab.options()), &["h9"], json!({}))["h9"]), "fleet.host");
}

fn events_and_big_documents() {
    let lab = Lab::new();
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    let mut events = Vec::new();
    let requests = [("h1".to_owned(), json!({"op": "events", "count": 10_000}))].into();
    let results = fleet.each(requests, &mut |name, event| events.push((name.to_owned(), event)));
    assert_eq!(results["h1"], Ok(json!("done")));
    assert!(events.iter().enumerate().all(|(n, e)| *e == ("h1".into(), json!({"n": n}))));
    assert_eq!(events.len(), 10_000);
    let value = "ä\n".repeat(7_000_000);
    let start = Instant::now();
    let big = ask(&mut fleet, &["h1"], json!({"op": "echo", "value": value}));
    println!("  28 MB there and back: {:?}", start.elapsed());
    assert!(big["h1"] == Ok(json!(value)));
    fleet.close();
}

fn damaged_copy_is_repaired() {
    let lab = Lab::new();
    let who = || {
        let mut fleet = fleet(&[lab.target("h1")], lab.options());
        let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
        fleet.close();
        result
    };
    who().unwrap();
    let whole = std::fs::read(lab.copy()).unwrap();
    let half = &whole[..whole.len() / 2];
    for damage in [half, &whole[..100], b"", b"#!/bin/sh\necho noise; exit 3\n", b"\x7fELF rubbish"] {
        put(lab.copy(), damage);
        let result = who();
        assert!(result.is_ok(), "{} bytes: {}", damage.len(), result.unwrap_err());
        assert!(std::fs::read(lab.copy()).unwrap() == whole);
    }
    assert_eq!(std::fs::read_dir(&lab.copies()[0]).unwrap().count(), 1, "no parts are left");
}

/// A file is sent once and compressed, whichever set it belongs to, and always in a form that the host can read.
fn one_address_a_file() {
    let wrap = |folder: &Path, name: &str, text: &str| {
        put(folder.join("local").join(name), text);
        std::fs::set_permissions(folder.join("local").join(name), PermissionsExt::from_mode(0o755)).unwrap();
    };
    let count =
        "#!/bin/sh\nfor last; do :; done\nstat -c %s \"$last\" >> \"$0.log\"\nexec /bin/gzip \"$@\"\n";
    let beside = std::env::current_exe().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let two = vec![crate::tool::NAME.to_owned(), beside];
    let who = |lab: &Lab, set: &[String]| {
        let mut fleet = fleet(&[lab.target("h1")], Options { set: set.to_vec(), ..lab.options() });
        ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
        fleet.close();
    };
    let lab = Lab::with(|folder| wrap(folder, "gzip", count));
    who(&lab, &two[..1]);
    let first = std::fs::metadata(lab.copy()).unwrap();
    who(&lab, &two);
    who(&lab, &two[..1]);
    let sent = std::fs::read_to_string(lab.path("local/gzip.log")).unwrap();
    let sent: Vec<u64> = sent.lines().map(|line| line.parse().unwrap()).collect();
    println!("  {} bytes went as {sent:?}", first.len());
    assert_eq!(sent.len(), 2, "the tool, and the other file of the set of two");
    assert!(sent.iter().all(|bytes| *bytes < first.len() / 2));
    let copies = lab.copies();
    assert_eq!(copies.len(), 3, "two files and a set of both: {copies:?}");
    let which = |m: &std::fs::Metadata| (m.dev(), m.ino());
    let named = copies.iter().filter_map(|copy| std::fs::metadata(copy.join(&two[0])).ok());
    assert_eq!(named.filter(|m| which(m) == which(&first)).count(), 2, "one file with two names");
    // If gzip is missing or broken, the file is sent uncompressed.
    let lab = Lab::with(|folder| wrap(folder, "gzip", "#!/bin/sh\nexit 127\n"));
    who(&lab, &two);
    let left = lab.copies().into_iter().flat_map(|copy| std::fs::read_dir(copy).unwrap().flatten());
    let left: Vec<String> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!left.is_empty() && left.iter().all(|name| two.contains(name)), "no parts are left: {left:?}");
}

fn another_architecture() {
    let lab = Lab::with(|folder| {
        put(folder.join("local/uname"), "#!/bin/sh\necho uname >> \"$0.log\"\necho riscv64\n");
        std::fs::set_permissions(folder.join("local/uname"), PermissionsExt::from_mode(0o755)).unwrap();
    });
    let who = |tools: Option<&str>| {
        let tools = tools.map(|t| lab.path(t));
        let mut fleet = fleet(&[lab.target("h1")], Options { tools, ..lab.options() });
        let result = ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone();
        fleet.close();
        result
    };
    assert_eq!(code(&who(None)), "fleet.arch");
    assert_eq!(code(&who(Some("tools"))), "fleet.arch");
    std::fs::create_dir_all(lab.path("tools/riscv64")).unwrap();
    std::fs::copy("/proc/self/exe", lab.path("tools/riscv64").join(crate::tool::NAME)).unwrap();
    who(Some("tools")).unwrap();
    who(Some("tools")).unwrap();
    let asked = std::fs::read_to_string(lab.path("local/uname.log")).unwrap();
    assert_eq!(asked.lines().count(), 4, "the last run remembers");
}

fn old_copies_go() {
    let lab = Lab::new();
    for n in 0..4 {
        let copy = lab.path("bin").join(format!("{n:016x}"));
        std::fs::create_dir_all(&copy).unwrap();
        put(copy.join(crate::tool::NAME), "old");
        pause();
    }
    std::fs::create_dir_all(lab.path("bin/other")).unwrap();
    let mut fleet = fleet(&[lab.target("h1")], lab.options());
    ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    fleet.close();
    assert!(lab.path("bin/0000000000000003").exists() && lab.path("bin/other").exists());
    assert_eq!(lab.copies().len(), 3);
}
