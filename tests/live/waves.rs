//! Plans in waves: the order over all hosts, and what is undone when a host fails, dies or loses its controller.

use crate::crash::{HOSTS, converges, nothing_left, small};
use lsx_tests::lab::{Lab, Ran, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// On two hosts.
pub(crate) const CASES: &[crate::Case] = &[
    (
        "waves_killed_before_any_step_are_repaired_or_removed",
        waves_killed_before_any_step_are_repaired_or_removed,
    ),
    (
        "hosts_whose_controller_was_killed_between_waves_undo",
        hosts_whose_controller_was_killed_between_waves_undo,
    ),
];

/// On three hosts.
pub(crate) const CASES_OF_THREE: &[crate::Case] = &[
    (
        "a_wave_begins_when_the_one_before_is_done_everywhere",
        a_wave_begins_when_the_one_before_is_done_everywhere,
    ),
    (
        "a_failure_in_the_second_wave_undoes_the_first_everywhere",
        a_failure_in_the_second_wave_undoes_the_first_everywhere,
    ),
    ("a_step_that_needs_a_later_wave_is_refused", a_step_that_needs_a_later_wave_is_refused),
];

/// A plan whose steps get their waves from a function of host and step.
fn in_waves(plan: &Ran, wave: impl Fn(&str, &str) -> u8) -> Value {
    let mut plan = plan.json();
    for step in plan["steps"].as_array_mut().unwrap() {
        let of = wave(step["host"].as_str().unwrap(), step["id"].as_str().unwrap());
        step["wave"] = json!(of);
    }
    plan
}

/// The intent and the boot entry come last, on every host; before that one host after the other.
fn one_by_one(host: &str, id: &str) -> u8 {
    let kept = id.starts_with("intent.") || id.starts_with("boot.");
    if kept { 9 } else { host[1..].parse().unwrap() }
}

/// Host and step of every event, in order.
fn done(ran: &Ran, phase: &str) -> Vec<(String, String)> {
    let events = ran.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter(|event| event["phase"] == phase && event["step"].is_string());
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    events.map(|event| (word(&event["host"]), word(&event["step"]))).collect()
}

fn three(lab: &Lab) -> String {
    let file = lab.file("three.yaml", include_str!("three.yaml"));
    lab.net(&["down", &file]).ok();
    file
}

/// lsx's links and files on a host, by other programs.
fn left(lab: &Lab, host: &str) -> String {
    let script =
        "ip -o link show group 7107448; ip netns; ls -d /etc/lsx /run/lsx/three* 2>/dev/null || true";
    lab.script(host, script).ok().stdout
}

fn a_wave_begins_when_the_one_before_is_done_everywhere(lab: &Lab) {
    let file = three(lab);
    let plan = in_waves(&lab.net(&["plan", &file]).ok(), one_by_one);
    let ran = lab.net_with(&["apply", "--log", "json"], plan.to_string().as_bytes()).ok();
    let waves: Vec<u8> = done(&ran, "do").iter().map(|(host, id)| one_by_one(host, id)).collect();
    assert!(waves.is_sorted(), "{waves:?}");
    assert_eq!(BTreeSet::from_iter(waves), BTreeSet::from([1, 2, 3, 9]));
    let report = ran.json();
    for host in report["hosts"].as_array().unwrap() {
        assert_eq!(host["changed"], host["steps"].as_array().unwrap().len(), "{host}");
    }
    lab.net(&["plan", "--exit-code", &file]).ok();
    let back = in_waves(&lab.net(&["plan", "--down", &file]).ok(), |host, _| 4 - one_by_one(host, ""));
    let ran = lab.net_with(&["apply", "--log", "json"], back.to_string().as_bytes()).ok();
    let hosts: Vec<String> = done(&ran, "do").into_iter().map(|(host, _)| host).collect();
    assert!(hosts.iter().rev().is_sorted(), "{hosts:?}");
    assert!(lab.hosts().iter().all(|host| left(lab, host).is_empty()), "{}", left(lab, "h1"));
}

/// One more step on h3 that cannot be done.
fn doomed(mut plan: Value, wave: u8) -> String {
    let rules = json!({"object": "firewall", "place": "host", "digest": "nothing"});
    let step = json!({"id": "doomed", "host": "h3", "why": "to fail", "after": rules, "wave": wave});
    plan["steps"].as_array_mut().unwrap().push(step);
    plan.to_string()
}

fn a_failure_in_the_second_wave_undoes_the_first_everywhere(lab: &Lab) {
    let file = three(lab);
    let early = |host: &str, id: &str| if host == "h3" || one_by_one(host, id) == 9 { 3 } else { 1 };
    let ran = lab.net(&["plan", &file]).ok();
    let ran =
        lab.net_with(&["apply", "--log", "json"], doomed(in_waves(&ran, early), 2).as_bytes()).exits(65);
    let report = ran.json();
    for (host, code) in [(0, "plan.reverted"), (1, "plan.reverted"), (2, "net.plan.contents")] {
        let host = &report["hosts"][host];
        assert_eq!((&host["failure"]["code"], &host["changed"]), (&json!(code), &json!(0)), "{host}");
        let outcomes: BTreeSet<&str> =
            host["steps"].as_array().unwrap().iter().map(|step| step["outcome"].as_str().unwrap()).collect();
        let wanted = if code == "plan.reverted" { ["not_run", "undone"] } else { ["failed", "not_run"] };
        assert_eq!(outcomes, BTreeSet::from(wanted), "{host}");
    }
    let undone: BTreeSet<String> = done(&ran, "undo").into_iter().map(|(host, _)| host).collect();
    assert_eq!(undone, BTreeSet::from(["h1".to_owned(), "h2".to_owned()]));
    assert!(lab.hosts().iter().all(|host| left(lab, host).is_empty()), "{}", left(lab, "h1"));
    lab.net(&["up", &file]).ok();
    let ran = lab.net(&["plan", "--down", &file]).ok();
    let early = |host: &str, _: &str| if host == "h3" { 3 } else { 1 };
    lab.net_with(&["apply"], doomed(in_waves(&ran, early), 2).as_bytes())
        .exits(65)
        .says("h1: everything done");
    let plan = lab.net(&["plan", "--exit-code", &file]);
    assert_eq!(plan.code, 0, "not put back: {}", plan.stdout);
    lab.net(&["down", &file]).ok();
}

fn a_step_that_needs_a_later_wave_is_refused(lab: &Lab) {
    let file = three(lab);
    let late = |_: &str, id: &str| u8::from(id.starts_with("bridge."));
    let plan = in_waves(&lab.net(&["plan", &file]).ok(), late);
    lab.net_with(&["apply"], plan.to_string().as_bytes()).exits(65).says("of a later wave");
    assert!(left(lab, "h1").is_empty(), "{}", left(lab, "h1"));
}

fn waves_killed_before_any_step_are_repaired_or_removed(lab: &Lab) {
    let file = small(lab);
    for n in 0..40 {
        let plan = in_waves(&lab.net(&["plan", &file]).ok(), one_by_one).to_string();
        let ran = lab.net_with(&["apply", "--failpoint", &n.to_string()], plan.as_bytes());
        let when = format!("waves killed before change {n}");
        if n % 2 == 0 {
            converges(lab, &file, &when);
        }
        lab.net(&["down", &file]).ok();
        nothing_left(lab, &when);
        if ran.code == 0 {
            assert!(n > 8, "{when}");
            return;
        }
    }
    panic!("a host makes more than 40 changes");
}

fn hosts_whose_controller_was_killed_between_waves_undo(lab: &Lab) {
    let file = small(lab);
    let plan = lab.file("waves.json", &in_waves(&lab.net(&["plan", &file]).ok(), one_by_one).to_string());
    let mut undone = 0;
    for _ in 0..10 {
        let mut command = lab.net_command(&["apply", "--log", "json", &plan]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut story = BufReader::new(child.stderr.take().unwrap());
        let (mut line, second) = (String::new(), format!("\"host\":\"{}\"", HOSTS[1]));
        while story.read_line(&mut line).unwrap() > 0 && !(line.contains("\"do\"") && line.contains(&second))
        {
            line.clear();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let busy =
            |host: &&str| !lab.script(host, "ls /run/lsx/*.lock 2>/dev/null || true").ok().stdout.is_empty();
        assert!(until(30, || !HOSTS.iter().any(&busy)), "a host still works on it");
        // A run that was faster than the signal is repeated.
        if lab.net(&["plan", "--exit-code", &file]).code == 0 {
            lab.net(&["down", &file]).ok();
            continue;
        }
        nothing_left(lab, "after a controller that was killed between waves");
        undone += 1;
        if undone == 3 {
            break;
        }
    }
    assert!(undone > 0, "ten runs ended before the signal came");
    converges(lab, &file, "after a controller that was killed between waves");
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}
