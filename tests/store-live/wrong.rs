//! What is not the volume is never used, mounted or removed.

use crate::depot::Depot;

pub(crate) const CASES: &[crate::Case] = &[
    ("what_is_not_the_volume_is_not_used", what_is_not_the_volume_is_not_used),
    ("something_else_in_its_place_is_left_alone", something_else_in_its_place_is_left_alone),
    ("hostile_content_is_removed_and_nothing_else", hostile_content_is_removed_and_nothing_else),
];

const INSTANCES: &str =
    "  db: { image: bb, host: h1, networks: [lan], volumes: { db: /var/db }, command: [sleep, \"1000\"] }";

fn what_is_not_the_volume_is_not_used(depot: &Depot) {
    let file = depot.stack("absent", INSTANCES, "root: /data/a, volumes: { db: {} }");
    depot.start(&file);
    depot.inside("h1", "absent/db", "echo own >/var/db/own").ok();
    // Not mounted: lsx-ct starts nothing that would write elsewhere.
    depot.ct(&["stop", "db", "--stack", &file]).ok();
    depot.lab.script("h1", "umount /var/lib/lsx/volumes/absent/db").ok();
    let started = depot.ct(&["start", "db", "--stack", &file]);
    assert!(
        started.code != 0 && started.stderr.contains("volume db is not mounted at"),
        "{}",
        started.stderr
    );
    assert_eq!(depot.lab.script("h1", "ls -A /var/lib/lsx/volumes/absent/db").ok().stdout, "");
    assert_eq!(depot.store(&["check", &file]).exits(2).json()["ok"], false);
    assert_eq!(depot.changes(&file), 1);
    // Its supervisor has a view of its own of what is mounted; where the host's root is shared, as systemd has it, it sees this, too.
    depot.ct(&["restart", "db", "--stack", &file]).ok();
    assert_eq!(depot.inside("h1", "absent/db", "cat /var/db/own").ok().stdout, "own\n");
    depot.ct(&["stop", "db", "--stack", &file]).ok();
    // Its disk is gone: nothing is made in its stead, an empty folder neither; a reboot brings the rest back.
    depot.lab.script("h1", "umount /var/lib/lsx/volumes/absent/db; mv /data/a/db /data/a/lost").ok();
    for make in
        ["true", "mkdir /data/a/db", "touch /data/a/db/x", "rm -r /data/a/db; ln -s /data/a/lost /data/a/db"]
    {
        depot.lab.script("h1", make).ok();
        let up = depot.store(&["up", &file]).exits(65);
        assert!(
            up.stderr.contains("/data/a/db") && up.stderr.contains("absent/db.json"),
            "{make}: {}",
            up.stderr
        );
        let boot = "$(ls -t /var/lib/lsx/bin/*/lsx-store | head -1) up --self h1 /etc/lsx/absent/store.json";
        let boot = depot.lab.script("h1", boot);
        assert!(boot.code == 0 && boot.stderr.contains("is not at /data/a/db"), "{make}: {}", boot.stderr);
        assert_eq!(depot.lab.script("h1", "grep -c volumes/absent /proc/mounts || true").ok().stdout, "0\n");
    }
    depot.lab.script("h1", "rm /data/a/db; mv /data/a/lost /data/a/db").ok();
    assert_eq!(depot.changes(&file), 1);
    // What is in its place when it is to be destroyed stays, and nothing says that the volume was removed.
    depot.ct(&["down", "-q", &file]).ok();
    depot.store(&["down", "-q", &file]).ok();
    depot.lab.script("h1", "mv /data/a/db /opt/lost; mkdir /data/a/db; echo theirs >/data/a/db/file").ok();
    let destroy = ["down", &file, "--destroy-data", "absent"];
    let down = depot.store(&destroy).ok();
    assert!(down.stderr.contains("something else than volume db is at /data/a/db"), "{}", down.stderr);
    assert_eq!(depot.lab.script("h1", "cat /data/a/db/file /opt/lost/own").ok().stdout, "theirs\nown\n");
    depot.lab.script("h1", "rm -r /data/a/db; mv /opt/lost /data/a/db").ok();
    depot.store(&["up", "-q", &file]).ok();
    assert_eq!(depot.store(&["check", &file]).ok().json()["ok"], true);
    depot.lab.script("h1", "grep -x own /var/lib/lsx/volumes/absent/db/own").ok();
    depot.end(&file, Some("absent"));
    depot.lab.script("h1", "test ! -e /data/a/db; test ! -e /var/lib/lsx/store").ok();
}

fn something_else_in_its_place_is_left_alone(depot: &Depot) {
    let file = depot.stack("other", INSTANCES, "root: /data/o, volumes: { db: {} }");
    let refused = |words: &str| {
        let up = depot.store(&["up", &file]);
        assert!(up.code == 1 && up.stderr.contains(words), "{words}: {}", up.stderr);
        depot.lab.script("h1", "test ! -e /var/lib/lsx/store; test ! -e /etc/lsx/other/store.json").ok();
    };
    for (make, words) in [
        ("mkdir -p /data/o/db; echo precious >/data/o/db/file", "there is something else at /data/o/db"),
        ("rm -r /data/o/db; echo precious >/data/o/db", "there is something else at /data/o/db"),
        ("rm /data/o/db; mkdir /opt/db; ln -s /opt/db /data/o/db", "there is something else at /data/o/db"),
        ("rm /data/o/db; chmod 777 /data/o", "/data/o can be changed by others than root"),
        ("chmod 755 /data/o; chown 1000 /data/o", "/data/o can be changed by others than root"),
        ("mv /data/o /data/p; chown 0 /data/p; ln -s /data/p /data/o", "a link leads there"),
    ] {
        depot.lab.script("h1", make).ok();
        refused(words);
    }
    depot
        .lab
        .script("h1", "rm /data/o; mv /data/p /data/o; mkdir /data/o/db; echo precious >/data/o/db/file")
        .ok();
    // Two stacks with one root: the second one does not get the first one's volume.
    depot.lab.script("h1", "setfattr -n trusted.lsx.volume -v else/db /data/o/db").ok();
    refused("of volume else/db");
    // A folder of the administrator is taken over when he says so.
    depot.lab.script("h1", "setfattr -n trusted.lsx.volume -v other/db /data/o/db").ok();
    depot.start(&file);
    assert_eq!(depot.inside("h1", "other/db", "cat /var/db/file").ok().stdout, "precious\n");
    // Something is mounted over it.
    depot.ct(&["down", "-q", &file]).ok();
    depot
        .lab
        .script("h1", "umount /var/lib/lsx/volumes/other/db; mount -t tmpfs t /var/lib/lsx/volumes/other/db")
        .ok();
    assert!(depot.store(&["up", &file]).exits(1).stderr.contains("something else is mounted"));
    depot
        .lab
        .script("h1", "umount /var/lib/lsx/volumes/other/db; echo x >/var/lib/lsx/volumes/other/db/x")
        .ok();
    assert!(depot.store(&["up", &file]).exits(1).stderr.contains("there are files"));
    depot.lab.script("h1", "rm /var/lib/lsx/volumes/other/db/x").ok();
    assert_eq!(depot.changes(&file), 1);
    depot.end(&file, Some("other"));
    depot.lab.script("h1", "test ! -e /data/o/db; rmdir /data/o /opt/db").ok();
}

fn hostile_content_is_removed_and_nothing_else(depot: &Depot) {
    let file = depot.stack("evil", INSTANCES, "root: /data/e, volumes: { db: {} }");
    depot.start(&file);
    let make = "cd /var/db; ln -s /etc out; ln -s ../../etc/passwd up; mkfifo pipe; mkdir -p a/b/c; chmod 0 a
        i=0; while [ $i -lt 2000 ]; do mkdir d; cd d; i=$((i + 1)); done";
    depot.inside("h1", "evil/db", make).ok();
    let names = "import os
os.chdir(b'/data/e/db')
for n in range(1, 256):
    if n != 47: open(b'n' + bytes([n]), 'w').close()
os.mkdir(b'.lsx-1'); os.mkdir(b'.lsx-2'); open(b'.lsx-3', 'w').close(); open(b'x' * 255, 'w').close()";
    depot.lab.exec("h1", &["python3", "-c", names]).ok();
    assert_eq!(depot.store(&["check", &file]).ok().json()["ok"], true);
    // A mount in it is a way out, and stops the removal.
    depot.lab.script("h1", "mkdir -p /opt/keep /data/e/db/in/deep; echo precious >/opt/keep/file; mount --bind /opt/keep /data/e/db/in/deep").ok();
    depot.ct(&["down", "-q", &file]).ok();
    let down = depot.store(&["down", "-q", &file, "--destroy-data", "evil"]);
    assert!(down.code == 1 && down.stderr.contains("something is mounted in it"), "{}", down.stderr);
    depot.lab.script("h1", "grep precious /opt/keep/file; umount /data/e/.lsx-removed-db-evil/*/deep || umount /data/e/.lsx-removed-db-evil/*").ok();
    depot.store(&["down", "-q", &file, "--destroy-data", "evil"]).ok();
    depot.lab.script("h1", "grep precious /opt/keep/file; rm -r /opt/keep; test -s /etc/passwd; test ! -e /data/e/db; test ! -e /var/lib/lsx/store").ok();
    depot.end(&file, None);
}
