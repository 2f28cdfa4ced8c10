//! What is done each minute: once when it is due, repaired, removed, and by systemd.

use crate::{nothing_left, stack};
use lsx_tests::groups::Case;
use lsx_tests::lab::{Lab, until};
use lsx_tests::machine::Machine;

pub(crate) const CASES: &[Case<Lab>] = &[
    ("what_is_due_is_done_once", what_is_due_is_done_once),
    ("a_timer_is_repaired_and_removed", a_timer_is_repaired_and_removed),
    ("where_systemd_runs_the_machine_a_timer_fires", where_systemd_runs_the_machine_a_timer_fires),
];

const ENTRY: &str = "/etc/lsx/timer.d/90-notes-note";
const LOCK: &str = "/run/lsx/notes.note-timer.lock";
const RUNS: &str = "/var/lib/lsx/timer/notes/note.json";
const LINES: &str = "/var/lib/lsx/note/notes/.lines";

/// The same stack; h1 adds a line each hour.
fn hourly(lab: &Lab) -> String {
    let text = std::fs::read_to_string(stack(lab, "a text")).unwrap();
    lab.file("notes.yaml", &text.replacen("env: {", "env: { EVERY: \"3600\",", 1))
}

/// Runs the entry `times` times in a row, as something does each minute; gives the number of lines then.
#[track_caller]
fn minutes(lab: &Lab, times: usize) -> usize {
    for _ in 0..times {
        let ran = lab.exec("h1", &[ENTRY]).ok();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    }
    let lines = lab.script("h1", &format!("cat {LINES} 2>/dev/null || true")).ok().stdout;
    assert!(lines.lines().all(|line| line == "h1"), "{lines}");
    lines.lines().count()
}

/// Changes the record of the last run, as a clock or a kill does.
fn since(lab: &Lab, what: &str) {
    lab.script(
        "h1",
        &format!("jq -c \".jobs.line {what}\" {RUNS} >/root/runs && cp /root/runs {RUNS} && rm /root/runs"),
    )
    .ok();
}

fn what_is_due_is_done_once(lab: &Lab) {
    let file = hourly(lab);
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    assert_eq!(minutes(lab, 3), 1);
    since(lab, "|= (.began_s -= 90000)");
    assert_eq!(minutes(lab, 2), 2, "a day was missed, and is made up once");
    since(lab, "|= (.began_s += 90000)");
    assert_eq!(minutes(lab, 2), 2, "the clock was set back");
    since(lab, "|= (.ended = false)");
    assert_eq!(minutes(lab, 2), 3, "one that was killed is done again, once");
    since(lab, "|= (.ended = false | .again = true)");
    assert_eq!(minutes(lab, 2), 3, "and not for ever");
    // Many at once do it once.
    since(lab, "|= (.began_s -= 3600)");
    lab.script("h1", &format!("for n in 1 2 3 4 5 6 7 8; do {ENTRY} & done; wait")).ok();
    assert_eq!(minutes(lab, 1), 4);
    // A failure is told by the run, and by every plan until the job is done.
    lab.script("h1", "touch /var/lib/lsx/note/notes/.fail").ok();
    since(lab, "|= (.began_s -= 3600)");
    lab.exec("h1", &[ENTRY]).exits(1).says("no line is added");
    assert_eq!(minutes(lab, 2), 4, "not again before its next time");
    let plan = lab.net(&["plan", &file]).ok();
    assert_eq!(plan.json()["warnings"][0]["code"], "note.job", "{}", plan.stdout);
    assert!(plan.json()["warnings"][0]["message"].as_str().unwrap().contains("no line is added"));
    lab.script("h1", "rm /var/lib/lsx/note/notes/.fail").ok();
    since(lab, "|= (.began_s -= 3600)");
    assert_eq!(minutes(lab, 1), 5);
    assert!(lab.net(&["plan", &file]).ok().json()["warnings"].is_null());
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}

fn a_timer_is_repaired_and_removed(lab: &Lab) {
    let file = hourly(lab);
    lab.net(&["up", &file]).ok();
    let copy = lab.script("h1", &format!("awk '/^exec/ {{ print $2 }}' {ENTRY}")).ok().stdout;
    for damage in [
        format!("rm {ENTRY}"),
        format!("echo >{ENTRY}"),
        format!("sed -i 's,^exec [^ ]*,exec /nowhere/lsx-note,' {ENTRY}"),
    ] {
        lab.script("h1", &damage).ok();
        let checked = lab.net(&["check", &file]).exits(2);
        assert!(checked.stdout.contains("timer note"), "{}", checked.stdout);
        lab.net(&["up", &file]).ok();
        lab.net(&["check", &file]).ok();
        assert_eq!(lab.script("h1", &format!("awk '/^exec/ {{ print $2 }}' {ENTRY}")).ok().stdout, copy);
    }
    // The entry comes after what it needs, goes before it, and comes back when a removal is undone.
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
    for n in 0..4 {
        lab.net(&["up", &file, "--only", "hosts.h1", "--failpoint", &n.to_string()]);
        lab.script("h1", &format!("! test -e {ENTRY} || {ENTRY}")).ok();
        lab.net(&["up", &file, "--only", "hosts.h1"]).ok();
        lab.net(&["down", &file, "--only", "hosts.h1", "--failpoint", &n.to_string()]);
        lab.script("h1", &format!("! test -e {ENTRY} || {ENTRY}")).ok();
        lab.net(&["down", &file]).ok();
        nothing_left(lab, &format!("killed before change {n}"));
    }
    // A document without it removes it; the notes stay.
    lab.net(&["up", &file]).ok();
    assert_eq!(minutes(lab, 1), 1);
    let without = stack(lab, "a text");
    lab.net(&["up", &without]).ok();
    lab.script("h1", &format!("! test -e {ENTRY} && ! test -e {RUNS} && ! test -e {LINES}")).ok();
    // A run that is not over is not interrupted by `down`.
    let file = hourly(lab);
    lab.net(&["up", &file]).ok();
    lab.script("h1", "mkdir -p /run/lsx").ok();
    let mut held = lab.start("h1", &["flock", "-x", LOCK, "sleep", "3213"]);
    assert!(until(30, || lab.script("h1", &format!("! flock -n {LOCK} true")).code == 0));
    lab.net(&["down", &file]).exits(75);
    lab.script("h1", &format!("test -e {ENTRY}")).ok();
    lab.script("h1", "pkill -fx 'sleep 3213'").ok();
    held.wait().unwrap();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}

fn where_systemd_runs_the_machine_a_timer_fires(lab: &Lab) {
    // Another stack has already sent the tool.
    let file = stack(lab, "a text");
    lab.net(&["up", &file]).ok();
    let copy = "awk \"/^exec/ { print \\$2 }\" /etc/lsx/boot.d/90-notes-note";
    let copy = lab.script("h1", copy).ok().stdout.trim().to_owned();
    let text = "stack: unit\nhosts: { h1: { address: 198.18.0.11, local: true } }\nnetworks: { lan: 10.77.0.0/24 }\n\
                instances: { one: { image: none, networks: lan, env: { EVERY: \"1\" } } }\n";
    lab.exec_with("h1", &["sh", "-c", "cat >/root/unit.yaml"], text.as_bytes()).ok();
    let machine = Machine::of(lab, "h1");
    machine.boot("basic.target", "running");
    machine.within(&format!("{copy} up -q /root/unit.yaml >/dev/null")).ok();
    let timers = || machine.within("systemctl list-timers --all --plain --no-legend lsx-*").ok().stdout;
    assert!(timers().contains("lsx-timer.timer"), "{}", timers());
    let lines = || {
        lab.script("h1", "cat /var/lib/lsx/note/unit/.lines 2>/dev/null || true").ok().stdout.lines().count()
    };
    assert!(until(400, || lines() >= 1), "{} {}", timers(), machine.show("lsx-timer.service", "Result"));
    assert_ne!(machine.show("lsx-timer.timer", "NextElapseUSecMonotonic"), "infinity", "and again");
    assert_eq!(machine.show("lsx-timer@90-unit-note.service", "Result"), "success");
    machine.within(&format!("{copy} plan --exit-code /root/unit.yaml >/dev/null")).ok();
    // Whoever stops it is told.
    machine.within("systemctl stop lsx-timer.timer").ok();
    machine.within(&format!("! {copy} check /root/unit.yaml >/dev/null 2>&1")).ok();
    machine.within(&format!("{copy} up -q /root/unit.yaml >/dev/null")).ok();
    assert_eq!(machine.show("lsx-timer.timer", "ActiveState"), "active");
    machine.within(&format!("{copy} down -q /root/unit.yaml >/dev/null")).ok();
    assert_eq!(timers(), "");
    let left = "find /etc/systemd /etc/lsx /var/lib/lsx -name \"*lsx-timer*\"; ls -d /etc/lsx/timer.d /var/lib/lsx/timer 2>/dev/null || true; systemctl list-units --all --plain --no-legend lsx-timer*";
    assert_eq!(machine.within(left).ok().stdout, "");
    machine.end();
    lab.script("h1", "rm /root/unit.yaml").ok();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}
