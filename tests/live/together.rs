//! Simultaneous runs on several hosts: all locks are taken and all plans compared before the first step.

use crate::kernel::{links, names};
use crate::stack::{Stack, text};
use lsx_tests::lab::{Lab, Ran, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub(crate) const CASES: &[crate::Case] = &[
    ("runs_at_once_leave_all_hosts_alike", runs_at_once_leave_all_hosts_alike),
    ("a_lock_held_on_one_host_changes_nothing_anywhere", a_lock_held_on_one_host_changes_nothing_anywhere),
    ("a_run_waits_a_little_for_another", a_run_waits_a_little_for_another),
    ("a_plan_stale_on_one_host_is_applied_on_none", a_plan_stale_on_one_host_is_applied_on_none),
    ("what_every_host_failed_of_is_in_the_report", what_every_host_failed_of_is_in_the_report),
];

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

fn stack(lab: &Lab) -> String {
    let file = lab.file("three.yaml", include_str!("three.yaml"));
    lab.net(&["down", &file]).ok();
    file
}

/// The tunnel ports that the kernels of all hosts have.
fn ports(lab: &Lab) -> BTreeSet<u64> {
    let tunnels = |host| lab.json(host, "ip -d -j link show type vxlan").as_array().unwrap().clone();
    let port = |link: Value| link["linkinfo"]["info_data"]["port"].as_u64();
    HOSTS.iter().flat_map(|host| tunnels(host)).filter_map(port).collect()
}

fn runs_at_once_leave_all_hosts_alike(lab: &Lab) {
    let file = stack(lab);
    lab.net(&["up", &file]).ok();
    for round in 0..3 {
        let one = |n: u32| {
            let port = format!("tunnel_port={}", 25_000 + round * 10 + n);
            lab.net(&["up", &file, "--set", &port])
        };
        let runs: Vec<Ran> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..3).map(|n| scope.spawn(move || one(n))).collect();
            all.into_iter().map(|run| run.join().unwrap()).collect()
        });
        for ran in &runs {
            assert!([0, 75].contains(&ran.code), "{}: {}", ran.code, ran.stderr);
        }
        assert!(runs.iter().any(|ran| ran.code == 0), "one goes on: {}", runs[0].stderr);
        assert_eq!(ports(lab).len(), 1, "all hosts are alike: {:?}", ports(lab));
    }
    lab.net(&["down", &file]).ok();
}

/// Holds the lock of the stack on a host for so many seconds.
fn held(lab: &Lab, host: &str, seconds: u32) {
    let lock = "/run/lsx/three.net.lock";
    let script = format!(
        "mkdir -p /run/lsx; setsid flock {lock} sleep {seconds} >/dev/null 2>&1 </dev/null &
         until ! flock -n {lock} true; do sleep 0.05; done"
    );
    lab.script(host, &script).ok();
}

fn carries(lab: &Lab, stack: &Stack, host: &str) -> bool {
    names(&links(lab, host)).contains(&text(&stack.network("red")["bridge"]))
}

fn a_lock_held_on_one_host_changes_nothing_anywhere(lab: &Lab) {
    let file = stack(lab);
    let all = Stack::of(&file, &lab.net(&["resolve", &file]).ok().json());
    held(lab, "h2", 600);
    let report = lab.folder.path().join("held.json");
    let ran = lab.net(&["up", &file, "--report", report.to_str().unwrap()]).exits(75);
    assert!(ran.stderr.contains("h2: ") && ran.stderr.contains("is changing stack three"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("  ok  ") && ran.stdout.is_empty(), "{}", ran.stderr);
    assert!(HOSTS.iter().all(|host| !carries(lab, &all, host)), "nothing was changed anywhere");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let codes: Vec<&Value> =
        report["hosts"].as_array().unwrap().iter().map(|h| &h["failure"]["code"]).collect();
    assert_eq!(codes, ["plan.refused", "host.locked", "plan.refused"], "{report}");
    let plan = lab.net(&["plan", &file]).ok();
    let applied = lab.net_with(&["apply"], plan.stdout.as_bytes()).exits(75);
    assert_eq!(applied.json()["ok"], false, "a report, always");
    assert!(HOSTS.iter().all(|host| !carries(lab, &all, host)), "nor by apply");
    // Those that were taken have been released.
    for host in ["h1", "h3"] {
        lab.script(host, "! test -e /run/lsx/three.net.lock || flock -n /run/lsx/three.net.lock true").ok();
    }
    lab.script("h2", "pkill -f '[s]leep 600'").ok();
    lab.net(&["up", &file]).ok();
    lab.net(&["down", &file]).ok();
}

fn a_run_waits_a_little_for_another(lab: &Lab) {
    let file = stack(lab);
    // The lock is free as soon as this program's input ends, which is within the few seconds that a run waits.
    let lock = "/run/lsx/three.net.lock";
    let mut holder = lab.start("h2", &["sh", "-c", &format!("mkdir -p /run/lsx; exec flock {lock} cat")]);
    assert!(until(30, || lab.script("h2", &format!("! flock -n {lock} true")).code == 0));
    let mut command = lab.net_command(&["up", &file]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut story = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while story.read_line(&mut line).unwrap() > 0 && !line.contains("waiting up to") {}
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{line}");
    lab.net(&["down", &file]).ok();
}

fn a_plan_stale_on_one_host_is_applied_on_none(lab: &Lab) {
    let file = stack(lab);
    let all = Stack::up(lab, &file, &[]);
    let more =
        format!("{}  six: {{ image: none, host: h3, networks: [blue] }}\n", include_str!("three.yaml"));
    let plan = lab.net(&["plan", &lab.file("more.yaml", &more)]).ok();
    let busy = |host: &str| plan.json()["steps"].as_array().unwrap().iter().any(|s| s["host"] == host);
    assert!(busy("h1") && busy("h3"), "{}", plan.stdout);
    lab.script("h2", &format!("ip link del {}", text(&all.network("red")["tunnel"]))).ok();
    let ran = lab.net_with(&["apply"], plan.stdout.as_bytes()).exits(75).says("h2: the host has changed");
    let changed: Vec<Value> =
        ran.json()["hosts"].as_array().unwrap().iter().map(|h| h["changed"].clone()).collect();
    assert_eq!(changed, [0, 0, 0], "{}", ran.stdout);
    let blue = text(&all.network("blue")["bridge"]);
    assert!(!names(&links(lab, "h3")).contains(&blue), "h3 was left alone");
    lab.net(&["up", &file]).ok();
    lab.net(&["down", &file]).ok();
}

fn what_every_host_failed_of_is_in_the_report(lab: &Lab) {
    let file = stack(lab);
    let path = lab.folder.path().join("all.json");
    lab.verb(&["cut", "h3"]);
    held(lab, "h1", 600);
    let ran = lab.net(&["up", &file, "--report", path.to_str().unwrap()]);
    lab.verb(&["heal", "h3"]);
    lab.script("h1", "pkill -f '[s]leep 600'").ok();
    ran.exits(75).says("h3: ");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let exits: Vec<&Value> = report["hosts"].as_array().unwrap().iter().map(|h| &h["exit"]).collect();
    assert_eq!(exits, [75, 75, 69], "{report}");
    lab.net(&["down", &file]).ok();
}
