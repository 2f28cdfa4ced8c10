//! An interrupted run, or a failing last step: its changes are undone.

use crate::crash::{HOSTS, converges, nothing_left, small};
use crate::stack::text;
use lsx_tests::lab::{Lab, Ran, finish, until, wait};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_failed_last_step_undoes_all_before_it", a_failed_last_step_undoes_all_before_it),
    ("an_interrupted_up_takes_everything_back", an_interrupted_up_takes_everything_back),
    ("an_interrupted_down_puts_everything_back", an_interrupted_down_puts_everything_back),
    ("a_killed_controller_leaves_nothing_half_done", a_killed_controller_leaves_nothing_half_done),
];

/// Starts a verb and waits until its first step is done.
fn begun(lab: &Lab, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = lab.net_command(args);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut story = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while story.read_line(&mut line).unwrap() > 0 && !line.contains("  ok  ") {
        line.clear();
    }
    (child, story)
}

fn signal(child: &Child, name: &str) {
    let _ = finish(std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]), b"");
}

/// Interrupts a verb after its first step; a run that was faster is repeated.
fn interrupted(lab: &Lab, args: &[&str], again: impl Fn()) -> Ran {
    for _ in 0..30 {
        let (child, mut story) = begun(lab, args);
        signal(&child, "INT");
        let mut ran = wait(child, args.join(" "));
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut story, &mut rest).unwrap();
        if ran.stdout.is_empty() {
            ran.stderr = rest;
            return ran;
        }
        again();
    }
    panic!("thirty runs ended before the signal came");
}

/// A plan with one more step on h1, after all others, that cannot be done.
fn doomed(plan: &Ran) -> String {
    let mut plan = plan.json();
    let steps = plan["steps"].as_array_mut().unwrap();
    let before: Vec<Value> = steps.iter().filter(|s| s["host"] == "h1").map(|s| s["id"].clone()).collect();
    let rules = json!({"object": "firewall", "place": "host", "digest": "nothing"});
    steps.push(json!({"id": "doomed", "host": "h1", "why": "to fail", "after": rules, "needs": before}));
    plan.to_string()
}

fn a_failed_last_step_undoes_all_before_it(lab: &Lab) {
    small(lab);
    let open = include_str!("small.yaml").to_owned() + "\nallow:\n  - { from: host/h1, to: lan }\n";
    let file = lab.file("open.yaml", &open);
    let ran = lab.net_with(&["apply"], doomed(&lab.net(&["plan", &file]).ok()).as_bytes());
    let report = ran.exits(65).json();
    let outcomes: BTreeSet<String> =
        report["hosts"][0]["steps"].as_array().unwrap().iter().map(|s| text(&s["outcome"])).collect();
    assert_eq!(outcomes, BTreeSet::from(["failed".to_owned(), "undone".to_owned()]), "{report}");
    assert_eq!(report["hosts"][1]["ok"], true, "h2 is another host");
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after a doomed up");
    lab.net(&["up", &file]).ok();
    lab.net_with(&["apply"], doomed(&lab.net(&["plan", "--down", &file]).ok()).as_bytes()).exits(65);
    let plan = lab.net(&["plan", &file]).ok().json();
    let left: Vec<String> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["host"] == "h1")
        .map(Value::to_string)
        .collect();
    assert!(left.is_empty(), "not put back: {left:#?}");
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after a doomed down");
}

fn an_interrupted_up_takes_everything_back(lab: &Lab) {
    let file = small(lab);
    for _ in 0..30 {
        let ran = interrupted(lab, &["up", &file], || _ = lab.net(&["down", &file]).ok());
        assert_eq!(ran.code, 128 + 2, "by the signal itself: {}", ran.stderr);
        assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
        let plan = lab.net(&["plan", &file]).ok().json();
        let busy = |host: &str| plan["steps"].as_array().unwrap().iter().any(|s| s["host"] == host);
        // A host that had finished before the signal keeps its changes; the next `up` has nothing to do there.
        if HOSTS.into_iter().all(busy) {
            assert!(ran.stderr.contains("undo"), "{}", ran.stderr);
            return nothing_left(lab, "after an interrupted up");
        }
        lab.net(&["down", &file]).ok();
    }
    panic!("thirty times a host was done before the signal came");
}

fn an_interrupted_down_puts_everything_back(lab: &Lab) {
    small(lab);
    // With a route of the host into the network: it is removed with its link, like entries and the router's rules.
    let text = include_str!("small.yaml").to_owned() + "\nallow:\n  - { from: host/h1, to: lan }\n";
    let file = lab.file("open.yaml", &text);
    lab.net(&["up", &file]).ok();
    for _ in 0..4 {
        let ran = interrupted(lab, &["down", &file], || _ = lab.net(&["up", &file]).ok());
        assert_eq!(ran.code, 128 + 2, "{}", ran.stderr);
        let plan = lab.net(&["plan", &file]).ok().json();
        let steps = plan["steps"].as_array().unwrap();
        let left: Vec<String> =
            steps.iter().map(|s| format!("{} {} {}", s["host"], s["id"], s["why"])).collect();
        assert!(left.is_empty(), "not put back: {left:?}\n{}", ran.stderr);
    }
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after an interrupted down and another");
}

fn a_killed_controller_leaves_nothing_half_done(lab: &Lab) {
    let file = small(lab);
    for _ in 0..3 {
        let (mut child, _story) = begun(lab, &["up", &file]);
        child.kill().unwrap();
        child.wait().unwrap();
        let busy = || {
            HOSTS
                .iter()
                .any(|h| !lab.script(h, "ls /run/lsx/*.lock 2>/dev/null || true").ok().stdout.is_empty())
        };
        assert!(until(60, || !busy()), "a host still works on it");
        converges(lab, &file, "after a killed controller");
        lab.net(&["down", &file]).ok();
        nothing_left(lab, "after a killed controller and down");
    }
}
