//! Volumes on btrfs: their size is enforced, changes while they are used, and what is removed stays as it was.

use crate::depot::Depot;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("on_btrfs_the_size_is_enforced_and_grows", on_btrfs_the_size_is_enforced_and_grows),
    ("a_killed_run_on_btrfs_is_finished_by_the_next", a_killed_run_on_btrfs_is_finished_by_the_next),
    ("usage_is_what_the_system_counts", usage_is_what_the_system_counts),
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
    grows_under_a_writer(depot, &of);
    assert_eq!((limit(), size()), ((150 << 20).to_string(), 90 << 20));
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

/// A size below what is there is refused before anything is done. A program that is stopped by the size goes on when it is larger, with the same
/// file open.
fn grows_under_a_writer(depot: &Depot, of: &dyn Fn(&str) -> String) {
    for verb in ["plan", "up"] {
        let small = depot.store(&[verb, &of("30M")]).exits(65);
        let told = "store.volumes.db.size: volume db has 90M, more than its new size of 30M";
        assert!(small.stderr.contains(told), "{}", small.stderr);
    }
    assert_eq!(depot.changes(&of("120M")), 2);
    let write = "i=0; while [ $i -lt 40 ]; do if dd if=/dev/zero bs=1M count=1 conv=fsync 2>/dev/null; then i=$((i + 1)); else echo >/tmp/stopped; sleep 0.1; fi; done >>/var/db/grown; echo >/tmp/whole";
    let begin = format!("rm -f /tmp/stopped /tmp/whole; ( {write} ) </dev/null >/dev/null 2>&1 &");
    depot.inside("h1", "big/db", &begin).ok();
    let seen = |what: &str| depot.inside("h1", "big/db", &format!("test -e /tmp/{what}")).code == 0;
    assert!(until(60, || seen("stopped")), "the writer was not stopped at the size");
    assert!(!seen("whole"));
    assert_eq!(depot.changes(&of("150M")), 2);
    assert!(until(60, || seen("whole")), "the writer did not go on");
    depot.inside("h1", "big/db", "rm /var/db/grown /tmp/stopped /tmp/whole").ok();
    // One that has more than its limit, such as by a hand, can get a larger one.
    depot.lab.script("h1", "cd /big; sync; btrfs qgroup limit 40M $(btrfs qgroup show --raw -re -f db | tail -1 | cut -d' ' -f1) .").ok();
    assert_eq!(depot.changes(&of("150M")), 1);
    depot
        .inside("h1", "big/db", "dd if=/dev/zero of=/var/db/more bs=1M count=1 conv=fsync; rm /var/db/more")
        .ok();
}

/// What is used and left, as btrfs and df(1) have it.
fn usage_is_what_the_system_counts(depot: &Depot) {
    disk(depot);
    let file = depot.stack(
        "used",
        INSTANCES,
        "root: /big/u, volumes: { db: { size: 60M }, plain: { host: h1, driver: directory } }",
    );
    depot.start(&file);
    depot.inside("h1", "used/db", "dd if=/dev/zero of=/var/db/x bs=1M count=20 conv=fsync 2>/dev/null").ok();
    depot.lab.script("h1", "cd /big/u/plain; mkdir -p a/b; head -c 3M /dev/zero >a/x; ln a/x a/b/y; ln -s /etc a/out; mkfifo pipe; sync").ok();
    let usage = |more: &[&str]| {
        let told = depot.store(&[&["usage", &file], more].concat()).ok().json();
        assert_eq!((&told["schema"], &told["stack"]), (&"lsx.store.usage/1".into(), &"used".into()));
        let of = |name: &str| {
            let all = told["volumes"].as_array().unwrap();
            all.iter().find(|one| one["volume"] == name).unwrap_or_else(|| panic!("{told}")).clone()
        };
        (of("db"), of("plain"))
    };
    let number = |script: &str| depot.lab.script("h1", script).ok().stdout.trim().parse::<u64>().unwrap();
    let (db, plain) = usage(&[]);
    let counted = number("btrfs qgroup show --raw -re -f /big/u/db | tail -1 | awk '{ print $2 }'");
    assert!(counted > 20 << 20, "{counted}");
    assert_eq!(db["used_bytes"], counted, "{db}");
    assert_eq!((&db["size_bytes"], &db["enforced"]), (&(60 << 20).into(), &true.into()), "{db}");
    // A folder is not counted unless that is asked for, and then as du(1) counts it.
    assert!(plain.get("used_bytes").is_none() && plain.get("used_inodes").is_none(), "{plain}");
    let disk = number("stat -f -c '%b * %S' /big | xargs expr");
    assert_eq!(plain["disk_bytes"], disk, "{plain}");
    let free = number("df -B1 --output=avail /big | tail -1");
    assert!(plain["free_bytes"].as_u64().unwrap().abs_diff(free) < 32 << 20, "{plain} {free}");
    assert_eq!(plain["reserve_bytes"], disk / 20, "{plain}");
    let (_, plain) = usage(&["--count"]);
    assert_eq!(plain["used_bytes"], number("du -s -B1 /big/u/plain | cut -f1"), "{plain}");
    assert_eq!(plain["used_inodes"], number("du -s --inodes /big/u/plain | cut -f1"), "{plain}");
    let table = depot.store(&["usage", &file, "--only", "store.db", "--table"]).ok().stdout;
    assert!(table.contains("60M") && !table.contains("plain"), "{table}");
    let here = "$(ls -t /var/lib/lsx/bin/*/lsx-store | head -1) usage --count | jq -r '.volumes[] | select(.stack == \"used\") | .volume'";
    assert_eq!(depot.lab.script("h1", here).ok().stdout, "db\nplain\n");
    let wrong = depot.store(&["usage", &file, "--only", "store.dc"]);
    assert!(wrong.code == 64 && wrong.stderr.contains("db"), "{}", wrong.stderr);
    depot.end(&file, Some("used"));
    depot.lab.script("h1", "btrfs subvolume delete /big/u/.lsx-removed/*; rm -r /big/u").ok();
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
