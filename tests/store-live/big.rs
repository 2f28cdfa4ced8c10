//! Volumes on btrfs: their size is enforced, changes while they are used, and what is removed stays as it was.

use crate::depot::Depot;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("on_btrfs_the_size_is_enforced_and_grows", on_btrfs_the_size_is_enforced_and_grows),
    ("a_killed_run_on_btrfs_is_finished_by_the_next", a_killed_run_on_btrfs_is_finished_by_the_next),
    ("an_instance_cannot_pass_its_size_by_subvolumes", an_instance_cannot_pass_its_size_by_subvolumes),
];

const INSTANCES: &str = "  db: { image: bb, host: h1, networks: [lan], restart: always, volumes: { db: /var/db }, command: [sleep, \"1000\"] }";

/// A disk with btrfs at /big of h1, mounted at boot.
fn disk(depot: &Depot) {
    let make = "test ! -e /big || exit 0; mkdir /big; truncate -s 500M /var/lib/containers/big.img
        mkfs.btrfs -q /var/lib/containers/big.img; printf '#!/bin/sh\\nexec mount -o loop /var/lib/containers/big.img /big\\n' >/etc/lsx/boot.d/06-big
        chmod 755 /etc/lsx/boot.d/06-big; /etc/lsx/boot.d/06-big";
    depot.lab.script("h1", make).ok();
}

fn on_btrfs_the_size_is_enforced_and_grows(depot: &Depot) {
    disk(depot);
    let of = |size: &str| {
        depot.stack("big", INSTANCES, &format!("root: /big, volumes: {{ db: {{ size: {size} }} }}"))
    };
    let file = of("60M");
    depot.start(&file);
    assert_eq!(depot.changes(&file), 0);
    let seen = depot.seen(&file, "h1", "db");
    assert_eq!((&seen["driver"], &seen["size_bytes"]), (&"btrfs".into(), &(60 << 20).into()));
    let limit = || {
        let show = "btrfs subvolume show /big/db >/dev/null; btrfs qgroup show --raw -re -f /big/db | tail -1 | awk '{ print $4 }'";
        depot.lab.script("h1", show).ok().stdout.trim().to_owned()
    };
    assert_eq!(limit(), (60 << 20).to_string());
    assert_eq!(depot.inside("h1", "big/db", "cat /var/db/seed").ok().stdout, "seed\n");
    // Writers are stopped there, and `check` tells it.
    let fill = |to: &str| {
        depot.inside(
            "h1",
            "big/db",
            &format!("dd if=/dev/zero of=/var/db/{to} bs=1M count=90 conv=fsync 2>&1"),
        )
    };
    let filled = fill("fill");
    assert!(filled.code != 0 && filled.stdout.contains("uota exceeded"), "{}", filled.stdout);
    let size =
        || depot.lab.script("h1", "stat -c %s /big/db/fill").ok().stdout.trim().parse::<u64>().unwrap();
    assert!((50 << 20..=60 << 20).contains(&size()), "{}", size());
    let check = depot.store(&["check", &file]).exits(2);
    assert!(check.stdout.contains("of its size"), "{}", check.stdout);
    // It grows under the running instance; it does not become smaller than its content.
    let pid = || depot.lab.script("h1", "jq .pid /run/lsx/ct/big/db/state.json").ok().stdout;
    let before = pid();
    assert_eq!(depot.changes(&of("150M")), 2);
    assert_eq!((limit(), pid()), ((150 << 20).to_string(), before));
    fill("fill").ok();
    assert_eq!(size(), 90 << 20);
    let small = depot.store(&["up", &of("30M")]).exits(1);
    assert!(small.stderr.contains("more than the new size"), "{}", small.stderr);
    assert_eq!(depot.changes(&of("150M")), 0);
    // A limit that somebody has changed is set again.
    depot.lab.script("h1", "btrfs qgroup limit none /big/db").ok();
    depot.store(&["check", &of("150M")]).exits(2);
    assert_eq!(depot.changes(&of("150M")), 1);
    assert_eq!(limit(), (150 << 20).to_string());
    // After a power cut all of it is there.
    depot.lab.script("h1", "sync").ok();
    depot.lab.verb(&["kill", "h1"]);
    depot.lab.verb(&["boot", "h1"]);
    assert!(until(60, || depot.inside("h1", "big/db", "cat /var/db/seed").stdout == "seed\n"));
    assert_eq!((depot.changes(&of("150M")), limit()), (0, (150 << 20).to_string()));
    // A copy in a plain folder would have no limit.
    depot.ct(&["down", "-q", &file]).ok();
    depot.store(&["down", "-q", &file]).ok();
    depot
        .lab
        .script("h1", "mv /big/db /big/sub; mkdir /big/db; setfattr -n trusted.lsx.volume -v big/db /big/db")
        .ok();
    assert!(depot.store(&["up", &file]).exits(65).stderr.contains("no longer what is at /big/db"));
    depot.lab.script("h1", "rmdir /big/db; mv /big/sub /big/db").ok();
    removed_stays(depot, &file);
}

/// What is removed stays as it was, read-only, until somebody deletes it.
fn removed_stays(depot: &Depot, file: &str) {
    let down = depot.store(&["down", file, "--destroy-data", "big"]).ok();
    assert!(down.stderr.contains("stays, read-only, in /big/.lsx-removed"), "{}", down.stderr);
    let kept = "test ! -e /big/db; cd /big/.lsx-removed/big-db-*; cat seed; if touch x 2>/dev/null; then exit 9; fi; stat -c %a /big/.lsx-removed";
    assert_eq!(depot.lab.script("h1", kept).ok().stdout, "seed\n700\n");
    depot.lab.script("h1", "btrfs subvolume delete /big/.lsx-removed/big-db-*; rmdir /big/.lsx-removed").ok();
    depot.end(file, Some("big"));
}

fn a_killed_run_on_btrfs_is_finished_by_the_next(depot: &Depot) {
    disk(depot);
    let file =
        depot.stack("sub", INSTANCES, "root: /big/s, volumes: { db: { size: 60M }, two: { host: h1 } }");
    let before = depot.there("h1");
    let mut most = 0;
    for n in 0..12 {
        let point = n.to_string();
        let ran = depot.store(&["up", "-q", &file, "--failpoint", &point]);
        most = n;
        if ran.code == 0 {
            break;
        }
        depot.store(&["up", "-q", &file]).ok();
        assert_eq!(depot.changes(&file), 0, "{n}");
        depot
            .lab
            .script("h1", "btrfs subvolume show /big/s/db >/dev/null; btrfs subvolume show /big/s/two")
            .ok();
        let _ = depot.store(&["down", "-q", &file, "--destroy-data", "sub", "--failpoint", &point]);
        depot.store(&["down", "-q", &file, "--destroy-data", "sub"]).ok();
        assert_eq!(depot.there("h1"), before, "{n}");
        let left =
            "cd /big/s; ls -A; btrfs subvolume delete .lsx-removed/*; rmdir .lsx-removed; rmdir /big/s";
        assert!(depot.lab.script("h1", left).ok().stdout.starts_with(".lsx-removed\n"));
    }
    assert!(most > 2, "{most}");
    depot.store(&["down", "-q", &file, "--destroy-data", "sub"]).ok();
    depot.lab.script("h1", "btrfs subvolume delete /big/s/.lsx-removed/*; rm -r /big/s").ok();
}

fn an_instance_cannot_pass_its_size_by_subvolumes(depot: &Depot) {
    disk(depot);
    let file = depot.stack("parts", INSTANCES, "root: /big/p, volumes: { db: { size: 60M } }");
    depot.start(&file);
    // The host's own program, with its libraries, since the image has none.
    let copy = "mkdir /big/p/db/tool; cd /big/p/db/tool; cp -L $(which btrfs) .; chmod 755 . btrfs
        for f in $(ldd btrfs | grep -o '/[^ ]*'); do cp -L $f .; done; mv ld-linux* ld; chmod 755 ld";
    depot.lab.script("h1", copy).ok();
    let there = || depot.lab.script("h1", "btrfs subvolume list -o /big/p/db").ok().stdout;
    let words = |what: &'static str| {
        let mut words = vec!["/var/db/tool/ld", "--library-path", "/var/db/tool", "/var/db/tool/btrfs"];
        words.extend(what.split(' '));
        words
    };
    let makes = ["subvolume create /var/db/own", "subvolume snapshot /var/db /var/db/own"];
    for what in makes {
        let ran = depot.ct(&[&["exec", "--stack", &file, "db", "--"], &words(what)[..]].concat());
        assert!(ran.code != 0 && ran.stdout.contains("not permitted"), "{}{}", ran.stdout, ran.stderr);
        assert_eq!(there(), "", "{what}");
        // Nothing else than the filter stops it; what is made is found.
        depot.inside("h1", "parts/db", &words(what).join(" ")).ok();
        assert!(there().contains("own"), "{}", there());
        let found = depot.store(&["check", &file]).exits(2);
        assert!(found.stdout.contains("store.subvolumes"), "{}", found.stdout);
        depot.lab.script("h1", "btrfs subvolume delete /big/p/db/own").ok();
        assert_eq!(depot.store(&["check", &file]).ok().json()["ok"], true);
    }
    // Other requests pass: copies without blocks of their own are what a file system like this is for.
    let clone = "head -c 1M /dev/zero >/var/db/a; cat /var/db/a >/var/db/b; ls -l /var/db/b; stty size </dev/null 2>&1 || true";
    depot.ct(&["exec", "--stack", &file, "db", "--", "sh", "-c", clone]).ok();
    depot.end(&file, Some("parts"));
    depot.lab.script("h1", "btrfs subvolume delete /big/p/.lsx-removed/*; rm -r /big/p").ok();
}
