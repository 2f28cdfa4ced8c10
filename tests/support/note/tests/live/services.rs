//! A program that the engine keeps running for a tool, and the folder of data that `down` keeps.

use crate::{HOSTS, files, nothing_left, stack};
use lsx_tests::groups::Case;
use lsx_tests::lab::{Lab, until};
use serde_json::Value;

pub(crate) const CASES: &[Case<Lab>] = &[
    ("a_service_comes_back_and_ends_with_its_stack", a_service_comes_back_and_ends_with_its_stack),
    ("a_service_that_does_not_start_changes_nothing", a_service_that_does_not_start_changes_nothing),
    (
        "a_service_killed_at_any_step_is_repaired_or_removed",
        a_service_killed_at_any_step_is_repaired_or_removed,
    ),
    ("a_service_runs_in_the_router_without_root", a_service_runs_in_the_router_without_root),
    ("data_stays_and_goes_with_the_flag", data_stays_and_goes_with_the_flag),
];

const RUN: &str = "/run/lsx/notes/note";
const DATA: &str = "/var/lib/lsx/note/notes/data";

/// The stack in one wave; h1 runs a program.
fn serving(lab: &Lab, program: &str) -> String {
    let text = std::fs::read_to_string(stack(lab, "a text")).unwrap();
    let text: String =
        ["1", "2", "3"].iter().fold(text, |text, n| text.replace(&format!("WAVE: \"{n}\""), "WAVE: \"0\""));
    lab.file("notes.yaml", &text.replacen("env: {", &format!("env: {{ SERVE: \"{program}\","), 1))
}

/// The processes with this command line, as pgrep sees them.
fn processes(lab: &Lab, line: &str) -> Vec<u32> {
    let out = lab.script("h1", &format!("pgrep -fx '{line}' || true")).ok().stdout;
    out.lines().map(|line| line.parse().unwrap()).collect()
}

fn one(lab: &Lab, line: &str) -> Option<u32> {
    let all = processes(lab, line);
    assert!(all.len() < 2, "{line} runs twice: {all:?}");
    all.first().copied()
}

/// The service, as the tool observes it.
fn observed(lab: &Lab, file: &str) -> Value {
    let all = lab.net(&["observe", file, "--only", "hosts.h1"]).ok().json();
    let objects = all["objects"].as_array().unwrap().iter();
    let mut services =
        objects.filter(|have| have["key"] == "service:list").map(|have| have["object"].clone());
    services.next().unwrap_or_default()
}

fn a_service_comes_back_and_ends_with_its_stack(lab: &Lab) {
    let file = serving(lab, "sleep 4711");
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    let first = one(lab, "sleep 4711").unwrap();
    assert_eq!(observed(lab, &file)["running"], true);
    lab.script("h1", &format!("kill -9 {first}")).ok();
    assert!(until(30, || one(lab, "sleep 4711").is_some_and(|now| now != first)), "it was not started again");
    assert!(until(30, || observed(lab, &file)["running"] == true));
    // Without its supervisor the program goes on; the next run replaces both.
    let second = one(lab, "sleep 4711").unwrap();
    lab.script("h1", &format!("kill -9 $(jq .supervisor {RUN}/list.state.json)")).ok();
    assert_eq!(observed(lab, &file)["running"], false);
    assert_eq!(one(lab, "sleep 4711"), Some(second));
    let checked = lab.net(&["check", &file]).exits(2);
    assert!(checked.stdout.contains("change service list"), "{}", checked.stdout);
    lab.net(&["up", &file]).ok();
    assert!(one(lab, "sleep 4711").is_some_and(|now| now != second));
    // Another definition.
    let other = serving(lab, "sleep 4712");
    assert!(lab.net(&["plan", "--table", &other]).ok().stdout.contains("service list"));
    lab.net(&["up", &other]).ok();
    assert!(one(lab, "sleep 4711").is_none() && one(lab, "sleep 4712").is_some());
    // All records are lost, and after a reboot.
    lab.script("h1", "rm -r /run/lsx").ok();
    lab.net(&["check", &other]).exits(2);
    lab.net(&["up", &other]).ok();
    assert!(one(lab, "sleep 4712").is_some());
    lab.verb(&["kill", "h1"]).ok();
    lab.verb(&["boot", "h1", "--wait"]).ok();
    assert!(until(30, || one(lab, "sleep 4712").is_some()), "it did not come back after the boot");
    lab.net(&["plan", "--exit-code", &other]).ok();
    // A document without it ends it, and so does the end of the stack, also without records.
    lab.net(&["up", &stack(lab, "a text")]).ok();
    assert_eq!((one(lab, "sleep 4712"), observed(lab, &other)), (None, Value::Null));
    let file = serving(lab, "sleep 4711");
    lab.net(&["up", &file]).ok();
    lab.script("h1", "rm -r /run/lsx").ok();
    lab.net(&["down", &file]).ok();
    assert_eq!(one(lab, "sleep 4711"), None);
    assert_eq!(processes(lab, ".*[l]sx-note supervise-service.*"), [0_u32; 0]);
    nothing_left(lab, "after down");
}

fn a_service_that_does_not_start_changes_nothing(lab: &Lab) {
    let wrong = serving(lab, "cat /nowhere/at-all");
    let ran = lab.net(&["up", &wrong]).exits(1);
    assert!(ran.stderr.contains("service list") && ran.stderr.contains("/nowhere/at-all"), "{}", ran.stderr);
    assert_eq!(files(lab, "h1"), [""; 0], "h1 undid its steps");
    lab.net(&["down", &wrong]).ok();
    // One that worked goes on.
    let file = serving(lab, "sleep 4711");
    lab.net(&["up", &file]).ok();
    for wrong in ["/nowhere/program", "false"] {
        lab.net(&["up", &serving(lab, wrong)]).exits(1);
        assert!(until(30, || one(lab, "sleep 4711").is_some()), "after {wrong}");
    }
    let file = serving(lab, "sleep 4711");
    assert!(until(30, || observed(lab, &file)["running"] == true));
    lab.net(&["plan", "--exit-code", &file]).ok();
    // What failed before is tried again.
    lab.script("h1", "ln -s /bin/sleep /usr/local/bin/nap").ok();
    let file = serving(lab, "/usr/local/bin/nap 4711");
    lab.script("h1", "mv /usr/local/bin/nap /usr/local/bin/other").ok();
    lab.net(&["up", &file]).exits(1);
    lab.script("h1", "mv /usr/local/bin/other /usr/local/bin/nap").ok();
    lab.net(&["up", &file]).ok();
    assert!(one(lab, "/usr/local/bin/nap 4711").is_some() && one(lab, "sleep 4711").is_none());
    lab.script("h1", "rm /usr/local/bin/nap").ok();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}

fn a_service_runs_in_the_router_without_root(lab: &Lab) {
    let text = std::fs::read_to_string(serving(lab, "sleep 4711")).unwrap();
    let extra = "env: { ROUTER: \"yes\", UNPRIVILEGED: \"yes\",";
    let file = lab.file("notes.yaml", &text.replacen("env: {", extra, 1));
    let ran = lab.net(&["up", &file]).exits(1);
    assert!(ran.stderr.contains("cannot enter the router lsx-notes"), "{}", ran.stderr);
    let again =
        || lab.script("h1", "ip netns del lsx-notes 2>/dev/null || true; ip netns add lsx-notes").ok();
    let placed = || {
        let inode = |path: &str| lab.script("h1", &format!("stat -L -c %i {path} || true")).ok().stdout;
        one(lab, "sleep 4711")
            .is_some_and(|process| inode(&format!("/proc/{process}/ns/net")) == inode("/run/netns/lsx-notes"))
    };
    again();
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    assert!(placed());
    let status = format!("cat /proc/{}/status", one(lab, "sleep 4711").unwrap());
    let status = lab.script("h1", &status).ok().stdout;
    let line = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().to_owned();
    for key in ["Uid:", "Gid:"] {
        assert!(line(key).split_whitespace().all(|id| id.parse::<u32>().unwrap() > 1_000_000), "{status}");
    }
    assert_eq!((line("Groups:"), line("CapEff:")), (String::new(), "0".repeat(16)));
    assert_eq!(line("NoNewPrivs:"), "1");
    // Another router of the same name; and none for a while.
    again();
    assert!(until(60, placed), "it did not follow the router");
    lab.script("h1", "ip netns del lsx-notes").ok();
    assert!(until(60, || observed(lab, &file)["running"] == false && one(lab, "sleep 4711").is_none()));
    let why = "service list of stack notes: cannot enter the router lsx-notes";
    assert!(until(60, || lab.net(&["observe", &file, "--only", "hosts.h1"]).stdout.contains(why)));
    again();
    assert!(until(60, placed));
    assert!(until(60, || lab.net(&["plan", "--exit-code", &file]).code == 0));
    // It is found without supervisor and records, although it is not root's.
    lab.script("h1", &format!("kill -9 $(jq .supervisor {RUN}/list.state.json); rm -r /run/lsx")).ok();
    lab.net(&["check", &file]).exits(2);
    lab.net(&["down", &file]).ok();
    assert_eq!(one(lab, "sleep 4711"), None);
    lab.script("h1", "ip netns del lsx-notes").ok();
    nothing_left(lab, "after down");
}

fn a_service_killed_at_any_step_is_repaired_or_removed(lab: &Lab) {
    let file = serving(lab, "sleep 4711");
    for n in 0..5 {
        let point = n.to_string();
        lab.net(&["up", &file, "--only", "hosts.h1", "--failpoint", &point]);
        lab.net(&["up", &file]).ok();
        assert!(one(lab, "sleep 4711").is_some(), "up killed before change {n}");
        lab.net(&["down", &file, "--only", "hosts.h1", "--failpoint", &point]);
        lab.net(&["down", &file]).ok();
        assert_eq!(one(lab, "sleep 4711"), None, "down killed before change {n}");
        nothing_left(lab, &format!("killed before change {n}"));
    }
}

fn data_stays_and_goes_with_the_flag(lab: &Lab) {
    let text = std::fs::read_to_string(serving(lab, "sleep 4711")).unwrap();
    let file = lab.file("notes.yaml", &text.replacen("env: {", "env: { DATA: \"yes\",", 1));
    lab.net(&["up", &file]).ok();
    assert_eq!(lab.script("h1", &format!("stat -c %a {DATA}")).ok().stdout, "700\n");
    lab.script("h1", &format!("mkdir {DATA}/zone; echo precious >{DATA}/zone/journal")).ok();
    let journal = || lab.script("h1", &format!("cat {DATA}/zone/journal")).ok().stdout;
    // It is not the document's to remove.
    lab.net(&["up", "--prune", "--yes", &serving(lab, "sleep 4711")]).ok();
    assert_eq!(journal(), "precious\n");
    let file = lab.file("notes.yaml", &text.replacen("env: {", "env: { DATA: \"yes\",", 1));
    lab.net(&["down", &file])
        .ok()
        .says(&format!("h1: data {DATA} is data and is kept; --destroy-data removes it"));
    assert_eq!((journal().as_str(), one(lab, "sleep 4711")), ("precious\n", None));
    assert_eq!(files(lab, "h1"), [format!("{DATA}/zone/journal")]);
    let plan = lab.net(&["plan", "--down", &file]).ok().json();
    assert_eq!(plan["kept"][0], format!("h1: data {DATA}"), "{plan}");
    assert!(plan["steps"].as_array().unwrap().is_empty(), "{plan}");
    // A new stack of the name has it again.
    lab.net(&["up", &file]).ok();
    assert_eq!(journal(), "precious\n");
    lab.net(&["down", &file, "--destroy-data", "other"]).exits(64);
    let plan = lab.net(&["plan", "--down", "--destroy-data", "notes", &file]).ok().json();
    let ids: Vec<&Value> =
        plan["steps"].as_array().unwrap().iter().filter(|s| s["host"] == "h1").map(|s| &s["id"]).collect();
    assert_eq!(*ids.last().unwrap(), "data.remove:note", "{ids:?}");
    lab.net(&["down", &file, "--destroy-data", "notes"]).ok();
    for host in HOSTS {
        lab.script(host, "! test -e /var/lib/lsx/note").ok();
    }
    nothing_left(lab, "after down");
    lab.net(&["plan", "--down", "--exit-code", &file]).ok();
}
