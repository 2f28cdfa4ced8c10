//! What the engine does for every tool, with the smallest one on three hosts: waves, kept objects, and their repair.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "live/cron.rs"]
mod cron;
#[path = "live/programs.rs"]
mod programs;
#[path = "live/servers.rs"]
mod servers;
#[path = "live/services.rs"]
mod services;
#[path = "live/timers.rs"]
mod timers;

use lsx_tests::groups::{self, Group};
use lsx_tests::lab::{Lab, Ran};
use serde_json::Value;
use std::process::ExitCode;

const CASES: &[groups::Case<Lab>] = &[
    ("notes_come_in_waves_over_all_hosts", notes_come_in_waves_over_all_hosts),
    ("a_failed_wave_leaves_nothing_on_any_host", a_failed_wave_leaves_nothing_on_any_host),
    (
        "hosts_killed_between_waves_are_repaired_or_cleared",
        hosts_killed_between_waves_are_repaired_or_cleared,
    ),
    ("what_is_missing_here_changes_no_host", what_is_missing_here_changes_no_host),
    ("what_is_kept_is_repaired_and_removed", what_is_kept_is_repaired_and_removed),
];

const GROUPS: &[Group<Lab>] = &[
    Group {
        name: "note",
        share: || hosts(3, &[]),
        cases: &[CASES, services::CASES, programs::CASES, servers::CASES, timers::CASES],
    },
    Group { name: "cron", share: || hosts(1, &["--with", "cron"]), cases: &[cron::CASES] },
];

fn hosts(hosts: usize, options: &[&str]) -> Lab {
    Lab::with("note", hosts, options, &[env!("CARGO_BIN_EXE_lsx-note")])
}

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

fn main() -> ExitCode {
    groups::main("note-live", GROUPS)
}

/// A note on each host, one wave after the other from h3 to h1; `text` is that of h2.
fn stack(lab: &Lab, text: &str) -> String {
    let host = |n: u8| format!("  h{n}: {{ address: 198.18.0.1{n}, ssh: root@198.18.0.1{n} }}\n");
    let note = |n: u8, text: &str| {
        let env = format!("{{ WAVE: \"{}\", NOTE: \"{text}\" }}", 4 - n);
        format!("  n{n}: {{ image: none, host: h{n}, networks: lan, env: {env} }}\n")
    };
    let hosts: String = (1..=3).map(host).collect();
    let notes: String = (1..=3).map(|n| note(n, if n == 2 { text } else { "a text" })).collect();
    let text =
        format!("stack: notes\nhosts:\n{hosts}networks: {{ lan: 10.120.0.0/24 }}\ninstances:\n{notes}");
    lab.file("notes.yaml", &text)
}

/// Host and step of every step of a phase, in order.
fn steps(ran: &Ran, phase: &str) -> Vec<String> {
    let events = ran.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter(|event| event["phase"] == phase && event["step"].is_string());
    events
        .map(|event| format!("{} {}", event["host"].as_str().unwrap(), event["step"].as_str().unwrap()))
        .collect()
}

/// All files of lsx on a host, except its copies of tools.
fn files(lab: &Lab, host: &str) -> Vec<String> {
    let script = "find /var/lib/lsx /etc/lsx /run/lsx -type f ! -path '*/bin/*' 2>/dev/null || true";
    let mut files: Vec<String> = lab.script(host, script).ok().stdout.lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[track_caller]
fn nothing_left(lab: &Lab, when: &str) {
    for host in HOSTS {
        assert_eq!(files(lab, host), [""; 0], "{when}, on {host}");
        assert_eq!(
            lab.exec(host, &["test", "-e", "/var/lib/lsx/note"]).code,
            1,
            "a folder is left {when}, on {host}"
        );
    }
}

fn notes_come_in_waves_over_all_hosts(lab: &Lab) {
    let file = stack(lab, "a text");
    let ran = lab.net(&["up", &file, "--log", "json"]).ok();
    let done = steps(&ran, "do");
    assert_eq!(done[..3], ["h3 note.create:n3", "h2 note.create:n2", "h1 note.create:n1"], "{done:?}");
    assert_eq!(done.len(), 9, "{done:?}");
    for (n, host) in HOSTS.iter().enumerate() {
        let text = lab.exec(host, &["cat", &format!("/var/lib/lsx/note/notes/n{}", n + 1)]).ok().stdout;
        assert_eq!(text, "a text");
        let entry = lab.exec(host, &["cat", "/etc/lsx/boot.d/90-notes-note"]).ok().stdout;
        assert!(entry.contains(&format!(" up --quiet --self {host} /etc/lsx/notes/note.json")), "{entry}");
    }
    assert_eq!(lab.net(&["up", &file]).ok().json()["status"]["note"]["changed"], 0);
    let checked = lab.net(&["check", &file]).ok().json();
    assert_eq!(checked["rows"].as_array().unwrap().len(), 3, "{checked}");
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}

fn a_failed_wave_leaves_nothing_on_any_host(lab: &Lab) {
    let file = stack(lab, "fail");
    let report = lab.folder.path().join("report.json");
    let ran = lab.net(&["up", &file, "--log", "json", "--report", report.to_str().unwrap()]).exits(1);
    assert_eq!(steps(&ran, "do"), ["h3 note.create:n3", "h2 note.create:n2"], "wave 3 does not begin");
    assert_eq!(steps(&ran, "undo"), ["h3 note.create:n3"]);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let codes: Vec<&Value> =
        report["hosts"].as_array().unwrap().iter().map(|host| &host["failure"]["code"]).collect();
    assert_eq!(codes, ["plan.refused", "note.refused", "plan.reverted"], "{report}");
    nothing_left(lab, "after a failed wave");
    // The same for a change: what was there comes back.
    let before = stack(lab, "a text");
    lab.net(&["up", &before]).ok();
    let kept = HOSTS.map(|host| files(lab, host));
    lab.net(&["up", &stack(lab, "fail again")]).exits(1);
    assert_eq!(HOSTS.map(|host| files(lab, host)), kept);
    lab.net(&["plan", "--exit-code", &stack(lab, "a text")]).ok();
    lab.net(&["down", &before]).ok();
    nothing_left(lab, "after down");
}

fn hosts_killed_between_waves_are_repaired_or_cleared(lab: &Lab) {
    let file = stack(lab, "a text");
    for n in 0..4 {
        let ran = lab.net(&["up", &file, "--failpoint", &n.to_string()]);
        let when = format!("up killed before change {n}");
        assert_eq!(ran.code == 0, n == 3, "{when}: {}", ran.stderr);
        if n % 2 == 0 {
            lab.net(&["up", &file]).ok();
            lab.net(&["plan", "--exit-code", &file]).ok();
        }
        lab.net(&["down", &file]).ok();
        nothing_left(lab, &when);
    }
}

/// A secret of the last wave that is gone, or has changed, is found before the first wave begins.
#[expect(clippy::disallowed_methods, reason = "a test changes its files the short way")]
fn what_is_missing_here_changes_no_host(lab: &Lab) {
    let text = std::fs::read_to_string(stack(lab, "a text")).unwrap();
    let file = lab.file(
        "notes.yaml",
        &(text.replace("n1: {", "n1: { secrets: word,") + "secrets: { word: file:word }\n"),
    );
    let word = lab.file("word", "geheim\n");
    let plan = lab.net(&["plan", &file]).ok();
    assert!(!plan.stdout.contains("geheim") && plan.stdout.contains("note.create:n1"), "{}", plan.stdout);
    let plan = lab.file("plan.json", &plan.stdout);
    std::fs::write(&word, "another\n").unwrap();
    let ran = lab.net(&["apply", &plan, "--log", "json"]).exits(75);
    assert!(ran.stderr.contains("note.secret.changed") && steps(&ran, "do").is_empty(), "{}", ran.stderr);
    std::fs::remove_file(&word).unwrap();
    let ran = lab.net(&["apply", &plan, "--log", "json"]).exits(65);
    assert!(ran.stderr.contains("secret.read") && steps(&ran, "do").is_empty(), "{}", ran.stderr);
    lab.net(&["up", &file]).exits(65);
    nothing_left(lab, "after plans that could not be carried out");
    // With the value everything is sent, and it is removed with the last note, also when no wave is completed.
    lab.file("word", "geheim\n");
    lab.net(&["apply", &plan]).ok();
    let kept = lab.script("h1", "cd /var/lib/lsx/secrets/notes/note; stat -c '%n %a' *; cat *").ok().stdout;
    assert_eq!(kept, "word 600\ngeheim\n");
    lab.net(&["plan", "--exit-code", &file]).ok();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
    let text = std::fs::read_to_string(&file).unwrap().replacen("a text", "fail", 1);
    lab.net(&["up", &lab.file("notes.yaml", &text)]).exits(1);
    nothing_left(lab, "after a failed wave");
}

fn what_is_kept_is_repaired_and_removed(lab: &Lab) {
    let file = stack(lab, "a text");
    lab.net(&["up", &file]).ok();
    for damage in [
        "rm /etc/lsx/notes/note.json",
        "echo '{' >/etc/lsx/notes/note.json",
        "sed -i 's,intent/1,intent/2,' /etc/lsx/notes/note.json",
        "rm /etc/lsx/boot.d/90-notes-note",
        "echo >/etc/lsx/boot.d/90-notes-note",
    ] {
        lab.script("h1", damage).ok();
        lab.net(&["check", &file]).exits(2);
        lab.net(&["up", &file]).ok();
        lab.net(&["check", &file]).ok();
    }
    lab.script("h1", "echo '{' >/etc/lsx/notes/note.json").ok();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down with a damaged intent");
    // The boot entry restores the notes without another host.
    lab.net(&["up", &file]).ok();
    lab.script("h2", "rm -r /var/lib/lsx/note; /etc/lsx/boot.d/90-notes-note").ok();
    assert_eq!(lab.exec("h2", &["cat", "/var/lib/lsx/note/notes/n2"]).ok().stdout, "a text");
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}
