//! Whatever is killed at any time: the next `up` repairs it, and `down` leaves nothing.

use crate::depot::Depot;
use lsx_tests::Dice;

pub(crate) const CASES: &[crate::Case] = &[
    (
        "a_run_killed_before_any_step_is_finished_by_the_next",
        a_run_killed_before_any_step_is_finished_by_the_next,
    ),
    ("a_run_killed_at_any_moment_leaves_nothing", a_run_killed_at_any_moment_leaves_nothing),
];

const INSTANCES: &str = "  db: { image: bb, host: h1, networks: [lan], volumes: { db: /var/db } }";
const STORE: &str = "root: /data/c, volumes: { db: {}, here: { host: h1 }, far: { host: h2 } }";

fn a_run_killed_before_any_step_is_finished_by_the_next(depot: &Depot) {
    let file = depot.stack("crash", INSTANCES, STORE);
    let before = ["h1", "h2"].map(|host| depot.there(host));
    let mut most = 0;
    for n in 0..12 {
        let point = n.to_string();
        let ran = depot.store(&["up", "-q", &file, "--failpoint", &point]);
        if ran.code == 0 {
            most = n;
            break;
        }
        // What a step was making that ran beside the killed one: the folder of volumes, before it has its name.
        depot.lab.script("h1", "mkdir -p /data/.lsx-root-crash-c").ok();
        depot.store(&["up", "-q", &file]).ok();
        assert_eq!(depot.changes(&file), 0, "{n}");
        depot.lab.script("h1", "echo own >/var/lib/lsx/volumes/crash/here/own; cat /data/c/here/own").ok();
        // What a step was writing that ran beside the killed one.
        depot.lab.script("h1", "touch /var/lib/lsx/store/crash/.lsx-4294967295-abc").ok();
        let _ = depot.store(&["down", "-q", &file, "--destroy-data", "crash", "--failpoint", &point]);
        depot.store(&["down", "-q", &file, "--destroy-data", "crash"]).ok();
        assert_eq!(["h1", "h2"].map(|host| depot.there(host)), before, "{n}");
    }
    assert!(most > 2, "{most}");
    depot.store(&["down", "-q", &file, "--destroy-data", "crash"]).ok();
    assert_eq!(["h1", "h2"].map(|host| depot.there(host)), before);
}

/// Not only before steps: between any two calls of the system, on the host itself, where nothing finishes the run.
fn a_run_killed_at_any_moment_leaves_nothing(depot: &Depot) {
    let text = "stack: shot\nhosts: { h1: 198.18.0.11 }\nnetworks: { lan: { cidr: 10.161.0.0/24 } }\n\
        store: { root: /data/k, volumes: { one: { host: h1 }, two: { host: h1 }, three: { host: h1 } } }\n";
    let write = ["sh", "-ec", "cat >/root/shot.yaml; ls -t /var/lib/lsx/bin/*/lsx-store | head -1"];
    // The tool comes to the host by a first run from outside.
    depot.store(&["up", "-q", &depot.lab.file("shot.yaml", text)]).ok();
    let tool = depot.lab.exec_with("h1", &write, text.as_bytes()).ok().stdout.trim().to_owned();
    let end = format!("{tool} down -q /root/shot.yaml --destroy-data shot >/dev/null");
    depot.lab.script("h1", &end).ok();
    let before = depot.there("h1");
    let up = format!("{tool} up -q /root/shot.yaml");
    let mut dice = Dice(20_261_127);
    let (mut killed, mut ended) = (0, 0);
    for round in 0..15 {
        for run in [&up, &end] {
            let shot = format!("timeout -s KILL 0.{:03} {run} >/dev/null", 3 + dice.below(60));
            match depot.lab.exec("h1", &["sh", "-c", &format!("{shot}; echo $?")]).stdout.trim() {
                "0" => ended += 1,
                _ => killed += 1,
            }
            if run == &up {
                depot.lab.script("h1", &format!("{up} >/dev/null")).ok();
                let mounted = "grep -c ' /var/lib/lsx/volumes/shot/' /proc/mounts; ls -A /data/k";
                let seen = depot.lab.script("h1", mounted).ok().stdout;
                assert_eq!(seen, "3\none\nthree\ntwo\n", "round {round} after {shot}");
            }
        }
        depot.lab.script("h1", &end).ok();
        assert_eq!(depot.there("h1"), before, "round {round}, {killed} killed, {ended} ended");
    }
    assert!(killed > 0, "all {ended} runs were faster");
    depot.lab.script("h1", "rm /root/shot.yaml").ok();
}
