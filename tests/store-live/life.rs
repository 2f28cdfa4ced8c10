//! The life of a volume: made, used, kept, found again, removed.

use crate::depot::Depot;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_volume_outlives_its_stack", a_volume_outlives_its_stack),
    ("a_volume_of_lsx_ct_is_taken_over", a_volume_of_lsx_ct_is_taken_over),
    ("after_a_power_cut_volumes_come_before_instances", after_a_power_cut_volumes_come_before_instances),
];

const INSTANCES: &str =
    "  db: { image: bb, host: h1, networks: [lan], volumes: { db: /var/db }, command: [sleep, \"1000\"] }";
const STORE: &str = "root: /data, pools: { h2: { from: /data/made } }, volumes: { db: { size: 1G }, spare: { host: h2, owner: \"7:9\", mode: \"0710\" } }";

fn a_volume_outlives_its_stack(depot: &Depot) {
    let before = ["h1", "h2"].map(|host| depot.there(host));
    let file = depot.stack("office", INSTANCES, STORE);
    let first = |file: &str| depot.ct(&["plan", file]).ok().stdout.contains("run `lsx-store up` first");
    assert!(first(&file));
    depot.start(&file);
    assert!(!first(&file));
    assert_eq!(depot.changes(&file), 0);
    let seen = depot.seen(&file, "h1", "db");
    assert_eq!(
        (&seen["driver"], &seen["path"], &seen["state"]),
        (&"directory".into(), &"/data/db".into(), &"ready".into())
    );
    // It has what the image has at its place, on the disk by the instance's own numbers.
    let read = depot.inside(
        "h1",
        "office/db",
        "stat -c '%a %u %g' /var/db; cat /var/db/seed; echo own >/var/db/own",
    );
    assert_eq!(read.ok().stdout, "750 1000 2000\nseed\n");
    let host = "stat -c '%a %u %g' /data/db; cat /data/db/own; cat /var/lib/lsx/volumes/office/db/own
        grep -c ' /var/lib/lsx/volumes/office/db ' /proc/mounts";
    assert_eq!(depot.lab.script("h1", host).ok().stdout, "750 1000 2000\nown\nown\n1\n");
    assert_eq!(
        depot.lab.script("h2", "stat -c '%a %u %g' /data/made/spare /data/made").ok().stdout,
        "710 7 9\n700 0 0\n"
    );
    let check = depot.store(&["check", &file]).ok().json();
    assert_eq!(check["rows"].as_array().unwrap().len(), 2, "{check}");

    // Down keeps it, also when lsx-ct is to destroy what is its own.
    depot.ct(&["down", "-q", &file, "--destroy-data", "office"]).ok();
    let down = depot.store(&["down", &file]).ok();
    assert!(down.stderr.contains("volume db"), "{}", down.stderr);
    let gone = "cat /data/db/own; ! grep -q /var/lib/lsx/volumes /proc/mounts || exit 9; test ! -e /var/lib/lsx/volumes; test ! -e /etc/lsx/office/store.json; test -z \"$(ls /etc/lsx/boot.d | grep office-store)\"";
    assert_eq!(depot.lab.script("h1", gone).ok().stdout, "own\n");
    assert_eq!(depot.seen(&file, "h1", "db")["state"], "unmounted");
    assert_eq!(depot.store(&["down", &file]).ok().json()["status"]["store"]["changed"], 0);

    // Up finds it again, and the image does not fill it again.
    depot.lab.script("h1", "rm /data/db/seed").ok();
    depot.start(&file);
    assert_eq!(depot.inside("h1", "office/db", "ls /var/db").ok().stdout, "own\n");

    // Another owner and mode by number are set once; what a program changes later stays.
    let other = depot.stack("office", INSTANCES, &STORE.replace("7:9", "8:9").replace("0710", "0750"));
    assert_eq!(depot.changes(&other), 2);
    assert_eq!(
        depot.lab.script("h2", "stat -c '%a %u %g' /data/made/spare; chmod 700 /data/made/spare").ok().stdout,
        "750 8 9\n"
    );
    assert_eq!(depot.changes(&other), 0);
    assert_eq!(depot.lab.script("h2", "stat -c %a /data/made/spare").ok().stdout, "700\n");

    // What the document does not name is kept, by --prune, too.
    let without = depot.stack(
        "office",
        INSTANCES,
        "root: /data, pools: { h2: { from: /data/made } }, volumes: { db: {} }",
    );
    assert!(depot.store(&["up", "--prune", &without]).ok().stderr.contains("volume spare"));
    assert_eq!(depot.seen(&file, "h2", "spare")["state"], "ready");
    let mistaken = depot.store(&["down", &file, "--destroy-data", "other"]);
    assert_eq!(mistaken.code, 64, "{}", mistaken.stderr);
    depot.end(&file, Some("office"));
    assert_eq!(["h1", "h2"].map(|host| depot.there(host)), before);
}

fn a_volume_of_lsx_ct_is_taken_over(depot: &Depot) {
    let file = depot.stack("taken", INSTANCES, "volumes: { db: {} }");
    lsx_tests::lab::finish(&mut depot.lab.tool(0, &["up", "-q", &file]), b"").ok();
    depot.ct(&["up", "-q", &file]).ok();
    depot.inside("h1", "taken/db", "echo own >/var/db/own").ok();
    let plan = depot.store(&["plan", &file]).ok().json();
    assert_eq!(plan["steps"][0]["why"], "the document names it; its content is taken over");
    assert!(depot.changes(&file) > 0);
    assert_eq!(depot.changes(&file), 0);
    assert_eq!(depot.ct(&["up", &file]).ok().json()["status"]["ct"]["changed"], 0);
    depot.ct(&["restart", "db", "--stack", &file]).ok();
    assert_eq!(depot.inside("h1", "taken/db", "cat /var/db/own").ok().stdout, "own\n");
    depot.end(&file, None);
    depot.lab.script("h1", "grep -x own /var/lib/lsx/volumes/taken/db/own").ok();
    depot.end(&file, Some("taken"));
    depot.lab.script("h1", "test ! -e /var/lib/lsx/volumes; test ! -e /var/lib/lsx/store").ok();
}

fn after_a_power_cut_volumes_come_before_instances(depot: &Depot) {
    let store = STORE.replace("volumes: {", "volumes: { idle: { host: h1 },");
    let file =
        depot.stack("power", &INSTANCES.replace("db: { image", "db: { restart: always, image"), &store);
    depot.start(&file);
    depot.inside("h1", "power/db", "echo own >/var/db/own; sync").ok();
    // One that is down is not there for the boot, and stays.
    depot.lab.script("h1", "echo own >/data/idle/own; sync").ok();
    depot.store(&["down", "-q", &file, "--only", "store.idle"]).ok();
    depot.lab.verb(&["kill", "h1"]);
    depot.lab.verb(&["boot", "h1"]);
    assert!(until(60, || depot.inside("h1", "power/db", "cat /var/db/own").stdout == "own\n"));
    depot.lab.script("h1", "grep -x own /data/idle/own; ! grep -q volumes/power/idle /proc/mounts").ok();
    assert_eq!(depot.seen(&file, "h1", "idle")["state"], "unmounted");
    assert!(depot.changes(&file) > 0);
    assert_eq!(depot.changes(&file), 0);
    depot.lab.script("h1", "grep -x own /var/lib/lsx/volumes/power/idle/own").ok();
    depot.end(&file, Some("power"));
}
