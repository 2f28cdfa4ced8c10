//! Whatever is killed at any time: the next `up` repairs it, and `down` leaves nothing.

use crate::depot::Depot;

pub(crate) const CASES: &[crate::Case] = &[(
    "a_run_killed_before_any_step_is_finished_by_the_next",
    a_run_killed_before_any_step_is_finished_by_the_next,
)];

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
