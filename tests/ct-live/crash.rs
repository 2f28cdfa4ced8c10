//! Whatever is killed at any time: the next `up` repairs it, and `down` leaves nothing.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub(crate) const CASES: &[crate::Case] = &[
    (
        "a_run_killed_before_any_step_is_finished_by_the_next",
        a_run_killed_before_any_step_is_finished_by_the_next,
    ),
    ("a_killed_controller_leaves_nothing_half_done", a_killed_controller_leaves_nothing_half_done),
    ("a_killed_supervisor_is_replaced", a_killed_supervisor_is_replaced),
    ("a_supervisor_killed_in_any_phase_is_replaced", a_supervisor_killed_in_any_phase_is_replaced),
    ("a_runtime_killed_in_the_middle_is_no_end", a_runtime_killed_in_the_middle_is_no_end),
    ("two_runs_at_once_do_not_mix", two_runs_at_once_do_not_mix),
    ("a_verb_waits_for_another_run_and_never_ends_it", a_verb_waits_for_another_run_and_never_ends_it),
    ("a_remnant_is_swept", a_remnant_is_swept),
    ("after_a_power_cut_all_come_back_in_order", after_a_power_cut_all_come_back_in_order),
];

const HOSTS: [&str; 2] = ["h1", "h2"];
const STACK: &str = "
  app: { image: bb, host: h1, networks: [lan], restart: always, needs: [base], command: [sleep, \"1000\"], volumes: { data: /data } }
  base: { image: bb, host: h2, networks: [lan], restart: always, ready: { tcp: 80 }, command: [httpd, -f, -p, \"80\"] }
  side: { image: bb, host: h1, networks: [lan], restart: always, command: [sleep, \"1000\"] }";

struct Start {
    file: String,
    /// Of the hosts with the networks, and no instance.
    before: [BTreeSet<String>; 2],
}

/// Networks are up, instances are not.
fn start(cloud: &Cloud) -> Start {
    let file = cloud.stack("crash", STACK);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["down", &file, "--destroy-data", "crash"]).ok();
    Start { before: HOSTS.map(|h| cloud.snapshot(h)), file }
}

impl Start {
    #[track_caller]
    fn converges(&self, cloud: &Cloud, when: &str) {
        let up = cloud.ct(&["up", &self.file]);
        assert_eq!(up.code, 0, "{when}: {}", up.stderr);
        assert_eq!(cloud.changed(&self.file), 0, "{when}");
        let running = |h: &str| cloud.runtime(h).iter().filter(|c| c.ends_with(" running")).count();
        assert_eq!(HOSTS.map(running), [2, 1], "{when}");
        for (host, number) in [("h1", "2"), ("h2", "1")] {
            let count = format!("test $(pgrep -fc '[s]upervise crash') = {number}");
            assert!(until(30, || cloud.lab.script(host, &count).code == 0), "{number} supervisors on {host}");
        }
    }

    /// Except images: those sent for a run that died before its first change are unused until `images gc`.
    #[track_caller]
    fn ends(&self, cloud: &Cloud, when: &str) {
        cloud.ct(&["down", &self.file, "--destroy-data", "crash"]).ok();
        for (host, before) in HOSTS.iter().zip(&self.before) {
            cloud.same_but(host, before, when, "/var/lib/lsx/images");
        }
    }
}

fn a_run_killed_before_any_step_is_finished_by_the_next(cloud: &Cloud) {
    let start = start(cloud);
    for n in 0..10 {
        let when = format!("killed before change {n}");
        let ran = cloud.ct(&["up", &start.file, "--failpoint", &n.to_string()]);
        if ran.code == 0 {
            assert!(n > 2, "{n}");
            break;
        }
        if n % 2 == 0 {
            start.converges(cloud, &when);
            cloud.ct(&["down", &start.file, "--destroy-data", "crash", "--failpoint", &n.to_string()]);
        }
        start.ends(cloud, &when);
    }
    start.ends(cloud, "at the end");
}

fn a_killed_controller_leaves_nothing_half_done(cloud: &Cloud) {
    let start = start(cloud);
    let mut command = cloud.command(&["up", &start.file]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut story = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while story.read_line(&mut line).unwrap() > 0 && !line.contains("  ok  ") {
        line.clear();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let busy =
        |h: &str| !cloud.lab.script(h, "ls /run/lsx/*.lock 2>/dev/null || true").ok().stdout.is_empty();
    // An instance that waits for one of the other host, which nobody creates any more, waits for its limit of a minute.
    assert!(until(200, || !HOSTS.iter().any(|h| busy(h))), "a host still works on it");
    start.converges(cloud, "after a killed controller");
    start.ends(cloud, "after a killed controller");
}

fn a_killed_supervisor_is_replaced(cloud: &Cloud) {
    let start = start(cloud);
    start.converges(cloud, "at first");
    let first = cloud.pid("h1", "crash/app");
    cloud.inside("h1", "crash/app", "echo mine >/data/note; echo mine >/srv/note").ok();
    cloud.lab.script("h1", "pkill -9 -f '[s]upervise crash app'").ok();
    // A killed process needs a moment to end.
    assert!(until(30, || cloud.seen(&start.file, "app")["state"] == "stopped"));
    cloud.ct(&["plan", "--exit-code", &start.file]).exits(2);
    start.converges(cloud, "after a killed supervisor");
    assert_ne!(cloud.pid("h1", "crash/app"), first);
    cloud.lab.script("h1", &format!("! test -e /proc/{first}")).ok();
    assert_eq!(cloud.inside("h1", "crash/app", "cat /data/note /srv/note").ok().stdout, "mine\nmine\n");
    // Also if nothing repairs it first.
    cloud.lab.script("h1", "pkill -9 -f '[s]upervise crash'").ok();
    start.ends(cloud, "after two killed supervisors");
}

/// One instance for each operation during which a supervisor may be killed.
fn a_supervisor_killed_in_any_phase_is_replaced(cloud: &Cloud) {
    let text = |go: &str, time: &str| {
        format!(
            "
  away: {{ image: bb, host: h2, networks: [lan], ready: {{ tcp: 80, timeout: {time} }}, command: [sh, -c, \"{go}; exec httpd -f -p 80\"] }}
  waits: {{ image: bb, host: h1, networks: [lan], needs: [away], command: [sleep, \"1000\"] }}
  starts: {{ image: bb, host: h1, networks: [lan], volumes: {{ d: /d }}, ready: {{ command: [test, -e, /d/ok], timeout: 2s }}, command: [sleep, \"1000\"] }}
  pauses: {{ image: bb, host: h1, networks: [lan], volumes: {{ e: /e }}, command: [sh, -c, \"test -e /e/ok || exit 1; exec sleep 1000\"] }}
  deaf: {{ image: bb, host: h1, networks: [lan], limits: {{ processes: 30 }}, command: [sh, -c, \"trap '' TERM HUP INT; sleep 9000 & for n in $(seq 20); do sleep 1000 & done; while :; do sleep 0.2; done\"] }}
  runs: {{ image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }}"
        )
    };
    let file = cloud.stack("phases", &text("sleep 1000", "2s"));
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let before = cloud.snapshot("h1");
    cloud.ct(&["up", &file]).exits(1);
    let tool = cloud.tool_on("h1");
    let state =
        |name: &str| cloud.said("h1", &format!("phases/{name}"))["state"].as_str().unwrap_or("-").to_owned();
    for (name, wanted) in
        [("waits", "waiting"), ("starts", "starting"), ("runs", "running"), ("deaf", "running")]
    {
        assert!(until(60, || state(name) == wanted), "{name} is {}", state(name));
    }
    cloud.lab.script("h1", &format!("{tool} stop phases/deaf --grace 60s >/dev/null 2>&1 &")).ok();
    assert!(until(30, || cloud.said("h1", "phases/deaf")["why"]
        .as_str()
        .is_some_and(|w| w.contains("stopping"))));
    cloud.lab.script("h1", "pkill -9 -f '[s]upervise phases'").ok();
    cloud.lab.script("h1", "touch /var/lib/lsx/volumes/phases/d/ok /var/lib/lsx/volumes/phases/e/ok").ok();
    let file = cloud.stack("phases", &text("true", "60s"));
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.changed(&file), 0);
    for name in ["waits", "starts", "pauses", "deaf", "runs"] {
        assert_eq!(state(name), "running", "{name}");
    }
    assert_eq!(cloud.runtime("h1").len(), 5);
    assert!(until(30, || cloud.lab.script("h1", "test $(pgrep -fcx 'sleep 9000') = 1").code == 0));
    // Many processes that ignore all signals are killed after their grace, completely.
    cloud.lab.exec("h1", &[&tool, "stop", "phases/deaf", "--grace", "1s"]).ok();
    cloud.lab.script("h1", "! pgrep -fx 'sleep 9000'").ok();
    cloud.ct(&["down", &file, "--destroy-data", "phases"]).ok();
    cloud.same_but("h1", &before, "after supervisors killed in every phase", "/var/lib/lsx/images");
    cloud.end(&file);
}

fn a_runtime_killed_in_the_middle_is_no_end(cloud: &Cloud) {
    let start = start(cloud);
    start.converges(cloud, "at first");
    let tool = cloud.tool_on("h1");
    for victim in ["[r]unc .*create", "[r]unc init", "[r]unc .*start", "[l]sx-net --quiet attach"] {
        cloud.lab.exec("h1", &[&tool, "stop", "crash/side"]).ok();
        let script = format!(
            "{tool} start crash/side >/dev/null 2>&1 & n=0
             until pkill -9 -f '{victim}' || test $n -gt 3000; do n=$((n+1)); done; wait || true"
        );
        cloud.lab.script("h1", &script).ok();
        let back = || cloud.said("h1", "crash/side")["state"] == "running";
        assert!(until(60, back), "after {victim}: {}", cloud.said("h1", "crash/side"));
        start.converges(cloud, victim);
    }
    start.ends(cloud, "after killed runtimes");
}

fn two_runs_at_once_do_not_mix(cloud: &Cloud) {
    let start = start(cloud);
    let both = || cloud.ct(&["up", &start.file]);
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(both);
        (both(), other.join().unwrap())
    });
    for ran in [&one, &other] {
        assert!([0, 75].contains(&ran.code), "{}: {}", ran.code, ran.stderr);
    }
    start.converges(cloud, "after two at once");
    start.ends(cloud, "after two at once");
}

/// The other run is a lock of lsx-ct on one of the hosts, held until its program is told to end.
fn a_verb_waits_for_another_run_and_never_ends_it(cloud: &Cloud) {
    let start = start(cloud);
    start.converges(cloud, "at first");
    let lock = "/run/lsx/crash.ct.lock";
    let hold = format!("mkdir -p /run/lsx; exec flock {lock} cat");
    let mut holder = cloud.lab.start("h1", &["sh", "-c", &hold]);
    assert!(until(30, || cloud.lab.script("h1", &format!("! flock -n {lock} true")).code == 0));
    let before = cloud.pid("h1", "crash/side");
    for verb in ["stop", "start", "restart"] {
        cloud.ct(&[verb, "side", "--stack", &start.file]).exits(75).says("is changing stack crash");
    }
    assert_eq!(cloud.pid("h1", "crash/side"), before, "it runs on");
    assert!(holder.try_wait().unwrap().is_none(), "and so does the other run");
    let mut command = cloud.command(&["stop", "side", "--stack", &start.file]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut story = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while story.read_line(&mut line).unwrap() > 0 && !line.contains("waiting up to") {}
    // Within the few seconds that a run waits.
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{line}");
    assert_eq!(cloud.said("h1", "crash/side")["state"], "stopped", "{}", cloud.said("h1", "crash/side"));
    start.ends(cloud, "after verbs that waited");
}

fn a_remnant_is_swept(cloud: &Cloud) {
    let start = start(cloud);
    let half = "mkdir -p /var/lib/lsx/ct/crash/side/upper/etc /run/lsx/ct/crash/side/root; touch /run/lsx/ct/crash/side.ct.lock /run/lsx/ct/all.ids.lock
        mkdir -p /var/lib/lsx/trial/9999999/root; for h in /sys/fs/cgroup/*/; do mkdir -p $h/lsx/crash/side/deeper 2>/dev/null || true; done";
    cloud.lab.script("h1", half).ok();
    start.converges(cloud, "over a remnant");
    start.ends(cloud, "over a remnant");
    cloud.lab.script("h1", half).ok();
    start.ends(cloud, "a remnant alone");
    for half in ["/var/lib/lsx/ct", "/var/lib/lsx/ct/crash /run/lsx/ct/crash"] {
        cloud.lab.script("h1", &format!("mkdir -m 700 -p {half}")).ok();
        start.ends(cloud, "folders before the first object");
    }
}

fn after_a_power_cut_all_come_back_in_order(cloud: &Cloud) {
    let start = start(cloud);
    start.converges(cloud, "at first");
    cloud.inside("h1", "crash/app", "echo mine >/data/note; echo mine >/srv/note").ok();
    HOSTS.iter().for_each(|h| _ = cloud.lab.verb(&["kill", h]));
    let running = |h: &str, of: &str| cloud.said(h, of)["state"] == "running";
    // The dependent one is first, and waits.
    std::thread::scope(|scope| {
        scope.spawn(|| cloud.lab.verb(&["boot", "h1", "--wait"]));
        let alone = until(60, || running("h1", "crash/side"));
        cloud.lab.verb(&["boot", "h2", "--wait"]);
        assert!(alone, "what needs nobody does not wait");
    });
    let log = || cloud.lab.script("h1", "cat /var/log/lsx-boot.log").stdout;
    assert!(
        until(60, || running("h1", "crash/app")
            && running("h1", "crash/side")
            && running("h2", "crash/base")),
        "{}",
        log()
    );
    let at = |h: &str, of: &str| cloud.said(h, of)["started_at"].as_str().unwrap().to_owned();
    assert!(
        at("h2", "crash/base") < at("h1", "crash/app") && at("h1", "crash/side") < at("h2", "crash/base")
    );
    assert_eq!(cloud.inside("h1", "crash/app", "cat /data/note /srv/note").ok().stdout, "mine\nmine\n");
    assert_eq!(cloud.changed(&start.file), 0, "nobody had to do anything");
    start.converges(cloud, "after a power cut");
    cloud.end(&start.file);
    for host in HOSTS {
        cloud
            .lab
            .script(
                host,
                "! test -e /run/lsx/ct && ! test -e /etc/lsx && test -z \"$(find /sys/fs/cgroup -name lsx)\"",
            )
            .ok();
    }
}
