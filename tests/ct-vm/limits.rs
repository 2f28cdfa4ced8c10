//! Limits of the document, in the control groups and in effect.

use crate::Case;
use crate::host::Host;
use lsx_tests::lab::until;

/// Longer than anything takes on an emulated processor that others use, too.
const LONG: u64 = 300;

pub(crate) const INSTANCES: &str = "instances:
  web: { image: bb, host: h1, user: nobody, env: { COLOUR: blue }, command: [sleep, \"1000\"], ready: { command: [test, -d, /proc/1] },
         limits: { memory: 64M, cpus: 0.5, processes: 50 } }
  hungry: { image: bb, host: h1, restart: no, command: [sh, -c, \"until test -e /go; do sleep 1; done; exec tail /dev/zero\"], limits: { memory: 24M } }
  bomb: { image: bb, host: h1, command: [sh, -c, \"sh -c 'while :; do sleep 1000 & done'; exec sleep 1000\"],
          limits: { processes: 20, cpus: 0.2 } }
  busy: { image: bb, host: h1, command: [sh, -c, \"while :; do :; done\"], limits: { cpus: 0.1 } }
";

pub(crate) const CASES: &[Case] = &[
    ("limits_are_in_the_control_groups", limits_are_in_the_control_groups),
    ("one_that_is_out_of_memory_says_so", one_that_is_out_of_memory_says_so),
    ("too_many_processes_are_kept_inside", too_many_processes_are_kept_inside),
    ("a_processor_is_rationed", a_processor_is_rationed),
    ("a_command_has_its_own_variables_and_the_instances", a_command_has_its_own_variables_and_the_instances),
    ("limits_change_while_it_runs", limits_change_while_it_runs),
];

/// Where a better runtime comes later.
pub(crate) const LATER: &[Case] =
    &[("a_runtime_that_comes_later_takes_over", a_runtime_that_comes_later_takes_over)];

pub(crate) const END: &[Case] = &[("down_leaves_nothing", down_leaves_nothing)];

/// Whether a case is about the stack of [`INSTANCES`], which takes minutes to come up on a busy machine.
pub(crate) fn uses_the_stack(case: &str) -> bool {
    [CASES, LATER, END].iter().copied().flatten().any(|(name, _)| *name == case)
}

fn limits_are_in_the_control_groups(host: &Host) {
    let maker = host.maker("web");
    assert!(maker["path"].as_str().unwrap().ends_with(host.runtime), "{maker}");
    assert_eq!(maker["ids"], true, "ids of its own: {maker}");
    let swap = if host.cgroups == "v2" { "0" } else { "67108864" };
    assert_eq!(host.limits("web"), ["67108864", swap, "50000", "50"]);
    let pid = host.pid("web");
    let inside = host.group(pid, ("pids", "cgroup.procs"), "cgroup.procs");
    assert!(inside.lines().count() >= 2 && inside.lines().any(|p| p == pid.to_string()), "{inside}");
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert!(!map.split_whitespace().eq(["0", "0", "4294967295"]), "{map}");
    // The tool says the same.
    let seen = host.seen("web");
    assert_eq!(
        (&seen["state"], &seen["processes"]),
        (&"running".into(), &inside.lines().count().into()),
        "{seen}"
    );
    assert!(
        seen["memory_bytes"].as_u64() > Some(100_000) && seen["memory_bytes"].as_u64() < Some(64 << 20),
        "{seen}"
    );
    assert!(seen["cpu_ms"].as_u64() > Some(0), "{seen}");
}

fn one_that_is_out_of_memory_says_so(host: &Host) {
    host.ct(&["exec", "--on", "vm/hungry", "--", "touch", "/go"]).ok();
    assert!(until(LONG, || host.said("hungry")["state"] == "exited"), "{}", host.said("hungry"));
    let seen = host.seen("hungry");
    assert_eq!((&seen["exit"]["oom"], &seen["exit"]["code"]), (&true.into(), &137.into()), "{seen}");
    assert_eq!((&seen["state"], &seen["restarts"]), (&"exited".into(), &0.into()), "{seen}");
}

fn too_many_processes_are_kept_inside(host: &Host) {
    let pid = host.pid("bomb");
    assert!(until(LONG, || host.count(pid, "pids", "pids.events", "max ") > 0));
    let now: u64 = host.group(pid, ("pids", "pids.current"), "pids.current").parse().unwrap();
    assert!((15..=20).contains(&now), "{now}");
    let seen = host.seen("bomb")["processes"].as_u64().unwrap();
    assert!((15..=20).contains(&seen), "{seen}");
    host.ct(&["stop", "vm/bomb", "--grace", "500ms"]).ok();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(host.said("bomb")["state"], "stopped");
}

fn a_processor_is_rationed(host: &Host) {
    let pid = host.pid("busy");
    assert!(until(LONG, || host.count(pid, "cpu", "cpu.stat", "nr_throttled ") > 3));
    host.ct(&["stop", "vm/busy", "--grace", "500ms"]).ok();
}

fn a_command_has_its_own_variables_and_the_instances(host: &Host) {
    let words = ["exec", "--on", "vm/web", "-e", "A=b", "--user", "5:6", "--workdir", "/tmp", "--"];
    let ran =
        host.ct(&[&words[..], &["sh", "-c", "echo $A $COLOUR $(id -u) $(id -g) $PWD; exit 3"]].concat());
    let ran = ran.exits(1).json();
    assert_eq!((&ran["stdout"], &ran["code"]), (&"b blue 5 6 /tmp\n".into(), &3.into()), "{ran}");
    let ran = host.ct(&["exec", "--on", "vm/web", "--", "sh", "-c", "echo $COLOUR $(id -u)"]).ok().json();
    assert_eq!(ran["stdout"], "blue 65534\n", "{ran}");
}

fn limits_change_while_it_runs(host: &Host) {
    const BEFORE: &str = "limits: { memory: 64M, cpus: 0.5, processes: 50 }";
    assert!(INSTANCES.contains(BEFORE));
    let web = |limits: &str| host.stack("vm", &INSTANCES.replace(BEFORE, limits));
    let up = |file: &str| {
        host.ct(&["up", "-q", "--only", "instances.web", file]).ok().json()["status"]["ct"]["changed"].clone()
    };
    let pid = host.pid("web");
    up(&web("limits: { memory: 96M, cpus: 0.25 }"));
    let (swap, none) = if host.cgroups == "v2" { ("0", "max") } else { ("100663296", "-1") };
    assert_eq!(host.limits("web"), ["100663296", swap, "25000", "max"]);
    let file = web("limits: {}");
    up(&file);
    let unlimited = if host.cgroups == "v2" { "max" } else { "9223372036854771712" };
    assert_eq!(host.limits("web"), [unlimited, unlimited, none, "max"]);
    assert_eq!(host.pid("web"), pid, "it was not restarted");
    assert_eq!(up(&file), 0);
    host.ct(&["check", "--only", "instances.web", &file]).ok();
}

fn a_runtime_that_comes_later_takes_over(host: &Host) {
    let file = host.stack("vm", INSTANCES);
    host.install_crun();
    // A running container keeps runc.
    let ran = host.ct(&["exec", "--on", "vm/web", "--", "echo", "here"]).ok().json();
    assert_eq!(ran["stdout"], "here\n", "{ran}");
    let (before, pid) = (host.said("web"), host.pid("web"));
    host.run("kill", &["-9", &before["supervisor"].to_string()]).ok();
    assert!(until(LONG, || host.seen("web")["state"] == "stopped"));
    host.ct(&["up", "-q", "--only", "instances.web", &file]).ok();
    let after = host.maker("web");
    assert!(after["path"].as_str().unwrap().ends_with("crun"), "{after}");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the old one has gone");
    assert_eq!(host.limits("web")[0], "67108864");
}

fn down_leaves_nothing(host: &Host) {
    let file = host.stack("vm", INSTANCES);
    host.ct(&["down", "-q", &file]).ok();
    host.same();
}
