//! The tool's own server, kept running by the engine: hand-over, and what happens when its processes are killed.

use crate::{nothing_left, stack};
use lsx_tests::groups::Case;
use lsx_tests::lab::{Lab, until};
use lsx_tests::machine::Machine;

pub(crate) const CASES: &[Case<Lab>] = &[
    ("a_server_hands_over_and_survives_kills", a_server_hands_over_and_survives_kills),
    ("systemd_leaves_the_worker_of_a_killed_supervisor", systemd_leaves_the_worker_of_a_killed_supervisor),
];

/// The record of a supervisor.
fn recorded(lab: &Lab, stack: &str, key: &str) -> String {
    let read = format!("jq -r .{key} /run/lsx/{stack}/note/list.state.json");
    lab.script("h1", &read).ok().stdout.trim().to_owned()
}

/// What it says: a text, and its process.
fn said(lab: &Lab) -> Option<(String, String)> {
    let out = lab.exec("h1", &["bash", "-c", "cat </dev/tcp/127.0.0.1/4711"]);
    let (text, process) = out.stdout.trim().rsplit_once(' ')?;
    Some((text.to_owned(), process.to_owned()))
}

fn text(lab: &Lab) -> String {
    said(lab).map(|(text, _)| text).unwrap_or_default()
}

/// The stack in one wave; h1 serves a text.
fn serving(lab: &Lab, says: &str) -> String {
    let text = std::fs::read_to_string(stack(lab, "a text")).unwrap();
    let text: String =
        ["1", "2", "3"].iter().fold(text, |text, n| text.replace(&format!("WAVE: \"{n}\""), "WAVE: \"0\""));
    lab.file(
        "notes.yaml",
        &text.replacen("env: {", &format!("env: {{ UNPRIVILEGED: \"yes\", SERVER: \"{says}\","), 1),
    )
}

fn workers(lab: &Lab) -> usize {
    lab.script("h1", "pgrep -f '[s]erve-service notes list' || true").ok().stdout.lines().count()
}

fn a_server_hands_over_and_survives_kills(lab: &Lab) {
    let file = serving(lab, "one");
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    assert_eq!(text(lab), "one");
    let file = serving(lab, "two");
    assert!(lab.net(&["plan", "--table", &file]).ok().stdout.contains("handed over"));
    lab.net(&["up", &file]).ok();
    assert!(until(60, || workers(lab) == 1), "the former one ends");
    assert_eq!((text(lab).as_str(), recorded(lab, "notes", "handovers").as_str()), ("two", "1"));
    assert!(until(60, || recorded(lab, "notes", "counts") == "1"), "what the worker counts is recorded");
    // One that is refused, also twice, changes nothing.
    let (_, process) = said(lab).unwrap();
    for _ in 0..2 {
        let refused = lab.net(&["up", &serving(lab, "fail")]).exits(1);
        assert!(refused.stderr.contains("the text must not be served"), "{}", refused.stderr);
        assert_eq!(said(lab), Some(("two".to_owned(), process.clone())));
    }
    let file = serving(lab, "two");
    assert!(until(60, || lab.net(&["plan", "--exit-code", &file]).code == 0));
    // The worker.
    lab.script("h1", &format!("kill -9 {process}")).ok();
    assert!(until(60, || said(lab).is_some_and(|(text, now)| text == "two" && now != process)));
    assert!(until(60, || recorded(lab, "notes", "running") == "true"));
    // The supervisor: its worker serves on, until the next supervisor takes it over.
    let (_, process) = said(lab).unwrap();
    lab.script("h1", &format!("kill -9 {}", recorded(lab, "notes", "supervisor"))).ok();
    assert_eq!(said(lab), Some(("two".to_owned(), process)));
    lab.net(&["check", &file]).exits(2);
    lab.net(&["up", &file]).ok();
    assert_eq!((text(lab).as_str(), recorded(lab, "notes", "handovers").as_str()), ("two", "1"));
    assert!(until(60, || workers(lab) == 1), "the one that was taken over ends");
    // A program instead, and the server again.
    let program = std::fs::read_to_string(&file).unwrap().replace("SERVER: \"two\"", "SERVE: \"sleep 4713\"");
    lab.net(&["up", &lab.file("notes.yaml", &program)]).ok();
    assert_eq!((said(lab), workers(lab)), (None, 0));
    lab.net(&["up", &serving(lab, "three")]).ok();
    assert_eq!((text(lab).as_str(), lab.exec("h1", &["pgrep", "-fx", "sleep 4713"]).code), ("three", 1));
    // `down` also finds a worker that is alone.
    lab.script("h1", &format!("kill -9 {}; rm -r /run/lsx", recorded(lab, "notes", "supervisor"))).ok();
    lab.net(&["down", &file]).ok();
    assert_eq!(workers(lab), 0);
    nothing_left(lab, "after down");
}

fn systemd_leaves_the_worker_of_a_killed_supervisor(lab: &Lab) {
    // Another stack has already sent the tool.
    let file = stack(lab, "a text");
    lab.net(&["up", &file]).ok();
    let copy = lab.script("h1", "ls -t /var/lib/lsx/bin/*/lsx-note | head -1").ok().stdout.trim().to_owned();
    let text = "stack: unit\nhosts: { h1: { address: 198.18.0.11, local: true } }\nnetworks: { lan: 10.77.0.0/24 }\n\
                instances: { one: { image: none, networks: lan, env: { SERVER: one } } }\n";
    lab.exec_with("h1", &["sh", "-c", "cat >/root/unit.yaml"], text.as_bytes()).ok();
    let machine = Machine::of(lab, "h1");
    machine.boot("basic.target", "running");
    machine.within(&format!("{copy} up -q /root/unit.yaml >/dev/null")).ok();
    let recorded = |key: &str| {
        machine
            .within(&format!("jq -r .{key} /run/lsx/unit/note/list.state.json"))
            .ok()
            .stdout
            .trim()
            .to_owned()
    };
    assert_eq!(machine.show("lsx-unit.note.list.service", "ActiveState"), "active");
    let old = recorded("supervisor");
    machine.within(&format!("kill -9 {old}")).ok();
    assert!(
        until(60, || recorded("supervisor") != old && recorded("running") == "true"),
        "systemd starts it again"
    );
    assert_eq!(recorded("handovers"), "1", "it took over the worker");
    machine.within(&format!("{copy} plan --exit-code /root/unit.yaml >/dev/null")).ok();
    machine.within(&format!("{copy} down -q /root/unit.yaml >/dev/null")).ok();
    assert_eq!(machine.within("systemctl list-units --all --plain --no-legend lsx-unit*").ok().stdout, "");
    assert_eq!(machine.within("pgrep -f [s]erve-service || true").ok().stdout, "");
    machine.end();
    lab.script("h1", "rm /root/unit.yaml").ok();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}
