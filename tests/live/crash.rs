//! A run killed anywhere: the next `up` converges and the next `down` leaves nothing.

use crate::kernel::{difference, snapshot};
use crate::stack::{Stack, text};
use lsx_tests::lab::{Lab, finish};
use std::collections::BTreeSet;
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    ("up_killed_before_any_step_is_finished_by_the_next", up_killed_before_any_step_is_finished_by_the_next),
    ("up_killed_before_any_step_is_taken_away_by_down", up_killed_before_any_step_is_taken_away_by_down),
    (
        "down_killed_before_any_step_is_finished_by_the_next",
        down_killed_before_any_step_is_finished_by_the_next,
    ),
    ("two_runs_at_once_do_not_mix", two_runs_at_once_do_not_mix),
    ("a_saved_plan_is_applied_once", a_saved_plan_is_applied_once),
    ("a_stale_plan_is_refused", a_stale_plan_is_refused),
    (
        "what_a_power_cut_left_half_made_is_replaced_or_removed",
        what_a_power_cut_left_half_made_is_replaced_or_removed,
    ),
];

pub(crate) const HOSTS: [&str; 2] = ["h1", "h2"];
/// More changes than any host makes for the small stack.
const MANY: usize = 30;

pub(crate) static BEFORE: OnceLock<[BTreeSet<String>; 2]> = OnceLock::new();

pub(crate) fn small(lab: &Lab) -> String {
    let file = lab.file("small.yaml", include_str!("small.yaml"));
    BEFORE.get_or_init(|| HOSTS.map(|h| snapshot(lab, h)));
    file
}

#[track_caller]
pub(crate) fn nothing_left(lab: &Lab, when: &str) {
    for (host, before) in HOSTS.iter().zip(BEFORE.get().unwrap()) {
        let left = difference(before, &snapshot(lab, host));
        assert!(left.is_empty(), "{when}, on {host}\n{left}");
    }
}

#[track_caller]
pub(crate) fn converges(lab: &Lab, file: &str, when: &str) {
    let up = lab.net(&["up", file]);
    assert_eq!(up.code, 0, "{when}: {}", up.stderr);
    let again = lab.net(&["up", file]).ok();
    assert_eq!(again.json()["status"]["net"]["changed"], 0, "{when}: {}", again.stderr);
}

/// Runs a verb that is killed before its nth change, for every n until none is reached; returns their number.
fn every_step(lab: &Lab, verb: &str, file: &str, after: impl Fn(&str)) -> usize {
    for n in 0..MANY {
        let ran = lab.net(&[verb, file, "--failpoint", &n.to_string()]);
        let when = format!("{verb} killed before change {n}");
        if ran.code == 0 {
            after(&format!("{verb} of {n} changes, not killed"));
            return n;
        }
        assert_eq!(ran.stdout, "", "{when}");
        after(&when);
    }
    panic!("{verb} has more than {MANY} changes");
}

fn up_killed_before_any_step_is_finished_by_the_next(lab: &Lab) {
    let file = small(lab);
    let steps = every_step(lab, "up", &file, |when| {
        converges(lab, &file, when);
        lab.net(&["down", &file]).ok();
    });
    assert!(steps > 8, "{steps}");
    nothing_left(lab, "after all of them");
}

fn up_killed_before_any_step_is_taken_away_by_down(lab: &Lab) {
    let file = small(lab);
    every_step(lab, "up", &file, |when| {
        lab.net(&["down", &file]).ok();
        nothing_left(lab, when);
    });
}

fn down_killed_before_any_step_is_finished_by_the_next(lab: &Lab) {
    let file = small(lab);
    lab.net(&["up", &file]).ok();
    every_step(lab, "down", &file, |when| {
        lab.net(&["down", &file]).ok();
        nothing_left(lab, when);
        lab.net(&["up", &file]).ok();
    });
    lab.net(&["down", &file]).ok();
}

fn two_runs_at_once_do_not_mix(lab: &Lab) {
    let file = small(lab);
    for _ in 0..3 {
        let both = || finish(&mut lab.net_command(&["up", &file]), b"");
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(both);
            (both(), other.join().unwrap())
        });
        assert!(one.code == 0 || other.code == 0, "never both: {} {}", one.stderr, other.stderr);
        for ran in [&one, &other] {
            assert!([0, 75].contains(&ran.code), "{}: {}", ran.code, ran.stderr);
            if ran.code == 75 {
                assert!(
                    ran.stderr.contains("is changing stack small") && ran.stdout.is_empty(),
                    "{}",
                    ran.stderr
                );
            }
        }
        converges(lab, &file, "after two at once");
        lab.net(&["down", &file]).ok();
    }
    nothing_left(lab, "after two at once");
}

fn a_saved_plan_is_applied_once(lab: &Lab) {
    let file = small(lab);
    let saved = lab.folder.path().join("plan.json");
    let saved = saved.to_str().unwrap();
    lab.net(&["plan", &file, "-o", saved]).ok();
    assert!(lab.exec("h1", &["ip", "netns"]).ok().stdout.is_empty(), "a plan changes nothing");
    let report = lab.net(&["apply", saved]).ok().json();
    assert_eq!((&report["schema"], &report["ok"]), (&"lsx.net.report/1".into(), &true.into()));
    let steps = report["hosts"][0]["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|s| s["outcome"] == "done"), "{steps:?}");
    lab.net(&["plan", "--exit-code", &file]).ok();
    let again = lab.net(&["apply", saved]).exits(75);
    assert_eq!(again.json()["ok"], false, "a report, always");
    let down = lab.net(&["plan", "--down", &file]).ok();
    lab.net_with(&["apply"], down.stdout.as_bytes()).ok();
    nothing_left(lab, "after a saved plan and its opposite");
}

fn a_stale_plan_is_refused(lab: &Lab) {
    let file = small(lab);
    let stack = Stack::up(lab, &file, &[]);
    let bridge = text(&stack.network("lan")["bridge"]);
    lab.script("h2", &format!("ip link set {bridge} mtu 1300")).ok();
    let plan = lab.net(&["plan", &file]).ok();
    lab.script("h2", &format!("ip link set {bridge} mtu 1280")).ok();
    let ran = lab.net_with(&["apply"], plan.stdout.as_bytes()).exits(75).says("the host has changed");
    assert_eq!(ran.json()["hosts"][1]["failure"]["kind"], "again");
    let found = lab.json("h2", &format!("ip -j link show {bridge}"));
    assert_eq!(found[0]["mtu"], 1280, "and nothing was done");
    converges(lab, &file, "after a stale plan");
    stack.down(lab, &[]);
}

fn what_a_power_cut_left_half_made_is_replaced_or_removed(lab: &Lab) {
    let file = small(lab);
    let resolved = Stack::of(&file, &lab.net(&["resolve", &file]).ok().json());
    let lan = resolved.network("lan");
    let (bridge, tunnel) = (text(&lan["bridge"]), text(&lan["tunnel"]));
    // 0x6c7378 is the group in which every link of lsx is created; the mark is set a moment later.
    let (vni, port) = (&lan["vni"], &resolved.resolved["tunnel_port"]);
    let remnants = format!(
        "ip link add {bridge} mtu 1300 group 7107448 type bridge
         ip link add {tunnel} group 7107448 type vxlan id {vni} dstport {port} local 198.18.0.12"
    );
    lab.script("h2", &remnants).ok();
    // A name of a namespace without its mount: a run died in between.
    lab.script("h1", "mkdir -p /run/netns; touch /run/netns/lsx-small").ok();
    let ran = lab.net(&["up", &file]).ok();
    assert!(ran.stderr.contains("remnant"), "{}", ran.stderr);
    for name in [&bridge, &tunnel] {
        let link = lab.json("h2", &format!("ip -j link show {name}"));
        assert!(link[0]["altnames"][0].as_str().is_some_and(|a| a.starts_with("lsx:small:lan:")), "{link}");
        assert_eq!(link[0]["mtu"], lan["mtu"]);
    }
    converges(lab, &file, "after a remnant");
    lab.net(&["down", &file]).ok();
    lab.script("h2", &remnants).ok();
    // Or the folder of names is mounted already, and still is at the removal.
    let folder = "mount -n --bind /run/netns /run/netns; mount -n --make-shared /run/netns";
    for half in ["touch /run/netns/lsx-small", &format!("{folder}; touch /run/netns/lsx-small")] {
        lab.script("h1", half).ok();
        lab.net(&["down", &file]).ok();
        nothing_left(lab, "after remnants");
    }
}
