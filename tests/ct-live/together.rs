//! Simultaneous runs, and runs whose dependencies disappear.

use crate::cloud::Cloud;
use lsx_tests::lab::{finish, until, wait};
use std::process::{Child, Stdio};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_killed_controller_gives_its_locks_back_at_once", a_killed_controller_gives_its_locks_back_at_once),
    ("an_interrupt_ends_a_wait_and_says_what_stands", an_interrupt_ends_a_wait_and_says_what_stands),
    ("stop_during_up_does_not_end_it", stop_during_up_does_not_end_it),
    ("a_move_has_both_hosts_or_none", a_move_has_both_hosts_or_none),
    ("a_move_that_is_killed_is_finished_by_the_next", a_move_that_is_killed_is_finished_by_the_next),
    ("a_saved_plan_takes_the_secret_it_was_made_with", a_saved_plan_takes_the_secret_it_was_made_with),
    (
        "an_image_that_left_the_store_fails_before_any_host",
        an_image_that_left_the_store_fails_before_any_host,
    ),
];

/// It never becomes ready, and is waited for much longer than a test.
const SLOW: &str = "
  slow: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"], ready: { tcp: 9, timeout: 900s } }
  quick: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";

fn slow(cloud: &Cloud) -> String {
    let file = cloud.stack("meet", SLOW);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    file
}

/// An `up` that waits for `slow`.
fn waiting(cloud: &Cloud, file: &str) -> Child {
    let mut command = cloud.command(&["up", file, "--deadline", "15m"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let starts = || cloud.said("h1", "meet/slow")["state"] == "starting";
    assert!(until(60, starts), "{}", cloud.said("h1", "meet/slow"));
    child
}

fn free(cloud: &Cloud) -> bool {
    cloud.lab.script("h1", "! test -e /run/lsx/meet.ct.lock").code == 0
}

fn a_killed_controller_gives_its_locks_back_at_once(cloud: &Cloud) {
    let file = slow(cloud);
    let mut child = waiting(cloud, &file);
    assert!(!free(cloud), "the run holds the lock while it waits");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(until(30, || free(cloud)), "the host still waits for an instance that nobody asks about");
    let sessions = || cloud.lab.script("h1", "! pgrep -f '[l]sx-ct serve'").code == 0;
    assert!(until(30, sessions), "and its session has ended");
    cloud.ct(&["down", &file, "--destroy-data", "meet"]).ok();
    cloud.lab.net(&["down", &file]).ok();
}

fn an_interrupt_ends_a_wait_and_says_what_stands(cloud: &Cloud) {
    let file = slow(cloud);
    let child = waiting(cloud, &file);
    finish(std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]), b"").ok();
    let ran = wait(child, "up".to_owned());
    assert_eq!(ran.code, 128 + 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted while slow"), "{}", ran.stderr);
    assert!(until(30, || free(cloud)));
    cloud.ct(&["down", &file, "--destroy-data", "meet"]).ok();
    cloud.lab.net(&["down", &file]).ok();
}

fn stop_during_up_does_not_end_it(cloud: &Cloud) {
    let file = slow(cloud);
    let mut child = waiting(cloud, &file);
    let ran = cloud.ct(&["stop", "slow", "--stack", &file]).exits(75);
    assert!(ran.stderr.contains("is changing stack meet"), "{}", ran.stderr);
    let here = cloud.tool_on("h1");
    cloud.lab.exec("h1", &[&here, "restart", "meet/slow"]).exits(75);
    assert_eq!(cloud.said("h1", "meet/slow")["state"], "starting", "nothing was stopped");
    assert!(child.try_wait().unwrap().is_none(), "the run goes on");
    // Read-only verbs need no lock.
    assert_eq!(cloud.inside("h1", "meet/slow", "echo there").ok().stdout, "there\n");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(until(30, || free(cloud)));
    cloud.ct(&["stop", "slow", "--stack", &file]).ok();
    cloud.ct(&["down", &file, "--destroy-data", "meet"]).ok();
    cloud.lab.net(&["down", &file]).ok();
}

const MOVED: &str = "
  web: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  side: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";

/// The running instances of each host, according to the runtime.
fn places(cloud: &Cloud) -> [Vec<String>; 2] {
    let names = |host: &str| -> Vec<String> {
        let all = cloud.runtime(host).into_iter();
        all.filter_map(|c| Some(c.strip_prefix("meet.")?.strip_suffix(" running")?.to_owned())).collect()
    };
    ["h1", "h2"].map(names)
}

/// A plan needs no lock, also during an `up`; `apply` takes the locks of all hosts.
fn a_move_has_both_hosts_or_none(cloud: &Cloud) {
    let file = cloud.stack("meet", MOVED);
    cloud.start(&file);
    let before = places(cloud);
    let plan = |args: &[&str]| cloud.ct(&[args, &["--stack", &file]].concat()).ok().stdout;
    let apply = |plan: &str| finish(&mut cloud.command(&["apply"]), plan.as_bytes());
    let go = plan(&["move", "web", "h2"]);
    // While another run holds the lock of one host only, neither host is changed.
    let held = cloud.stack("meet", &format!("{MOVED}{}", SLOW.replace("quick", "fast")));
    cloud.lab.net(&["up", "--quiet", &held]).ok();
    let mut run = waiting(cloud, &held);
    let beside = cloud.ct(&["move", "web", "h2", "--stack", &file]).ok();
    assert!(beside.stdout.contains("instance.create:web"), "{}", beside.stdout);
    assert!(apply(&go).exits(75).stderr.contains("is changing stack meet"));
    assert_eq!(places(cloud)[0].iter().filter(|n| *n == "web").count(), 1);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(until(30, || free(cloud)));
    cloud.ct(&["down", &held, "--only", "instances.slow,instances.fast"]).ok();
    cloud.stack("meet", MOVED);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(places(cloud), before);
    // Of two concurrent plans one is applied; the other finds the hosts changed or locked.
    let (go, back) = (plan(&["move", "web", "h2"]), plan(&["drain", "h2"]));
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| apply(&back));
        (apply(&go), other.join().unwrap())
    });
    let mut codes = [one.code, other.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 75], "{}\n{}", one.stderr, other.stderr);
    let all = places(cloud).concat();
    assert!(all.len() == 2 && all.contains(&"web".to_owned()) && all.contains(&"side".to_owned()), "{all:?}");
    assert!(free(cloud) && cloud.lab.script("h2", "! test -e /run/lsx/meet.ct.lock").code == 0);
    cloud.end(&file);
}

/// After a kill before any of its changes, the next run moves each instance to its host, exactly once, and no lock is left.
fn a_move_that_is_killed_is_finished_by_the_next(cloud: &Cloud) {
    let file = cloud.stack("meet", MOVED);
    cloud.start(&file);
    for n in 0..6 {
        let to = if n % 2 == 0 { "h2" } else { "h1" };
        let set = format!("instances.web.host={to}");
        let moved = ["up", "--quiet", &file, "--allow-move", "--set", &set];
        cloud.lab.net(&moved).ok();
        cloud.ct(&[&moved[..], &["--failpoint", &n.to_string()]].concat());
        // A killed run leaves its lock file, which no process holds.
        let locks = "! test -e /run/lsx/meet.ct.lock || flock -n /run/lsx/meet.ct.lock true";
        assert!(until(30, || ["h1", "h2"].iter().all(|host| cloud.lab.script(host, locks).code == 0)), "{n}");
        cloud.ct(&moved).ok();
        let places = places(cloud);
        let own = usize::from(to == "h2");
        assert!(places[own].contains(&"web".to_owned()) && places.concat().len() == 2, "{n}: {places:?}");
        let left = ["h2", "h1"][own];
        cloud.lab.script(left, "! test -e /var/lib/lsx/ct/meet/web && ! test -e /run/lsx/ct/meet/web").ok();
    }
    cloud.end(&file);
}

const SECRET: &str = "
  safe: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"], secrets: [word] }
  side: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }
secrets: { word: \"file:meet-word.txt\" }";

fn a_saved_plan_takes_the_secret_it_was_made_with(cloud: &Cloud) {
    let path = cloud.lab.file("meet-word.txt", "first");
    let file = cloud.stack("meet", SECRET);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file]).ok();
    let held = || cloud.inside("h1", "meet/safe", "cat /run/secrets/word").ok().stdout;
    assert_eq!(held(), "first");
    cloud.lab.file("meet-word.txt", "second");
    let more = SECRET.replace("1000", "1001");
    let plan = cloud.ct(&["plan", &cloud.stack("meet", &more)]).ok();
    let apply = || finish(&mut cloud.command(&["apply"]), plan.stdout.as_bytes());
    for (change, exit) in [(Some("third"), 75), (None, 65)] {
        match change {
            Some(text) => drop(cloud.lab.file("meet-word.txt", text)),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let ran = apply().exits(exit);
        assert!(ran.stderr.contains("secret word") && ran.stderr.contains(&path), "{}", ran.stderr);
        assert!(!ran.stderr.contains("third") && !ran.stderr.contains("  ok  "), "{}", ran.stderr);
        assert_eq!(held(), "first");
        cloud.lab.script("h2", "! pgrep -f '[s]leep 1001'").ok();
    }
    cloud.lab.file("meet-word.txt", "second");
    apply().ok();
    assert_eq!(held(), "second");
    cloud.ct(&["down", &file, "--destroy-data", "meet"]).ok();
    cloud.lab.net(&["down", &file]).ok();
}

fn an_image_that_left_the_store_fails_before_any_host(cloud: &Cloud) {
    let file = slow(cloud);
    let plan = cloud.ct(&["plan", &file]).ok();
    let ran =
        finish(&mut cloud.lab.tool(1, &["--store", "/nonexistent/store", "apply"]), plan.stdout.as_bytes())
            .exits(65);
    assert!(ran.stderr.contains("image bb") && ran.stderr.contains("/nonexistent/store"), "{}", ran.stderr);
    assert!(cloud.runtime("h1").iter().all(|c| !c.contains("meet")) && free(cloud));
    cloud.lab.net(&["down", &file]).ok();
}
