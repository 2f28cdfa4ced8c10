//! Faults in the middle: a folder that is exchanged after the plan was made, and disks without space.

use crate::depot::Depot;
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_folder_exchanged_after_the_plan_stays_as_it_is", a_folder_exchanged_after_the_plan_stays_as_it_is),
    ("a_full_disk_makes_half_of_no_volume", a_full_disk_makes_half_of_no_volume),
];

const INSTANCES: &str = "  db: { image: bb, host: h1, networks: [lan], volumes: { db: /var/db } }";

/// Carries a plan out on its host, as after all questions that are asked before the first step.
fn steps(depot: &Depot, file: &str, plan: &Value) -> Value {
    // The last stack of a host takes the tool with it; this brings it back.
    depot.store(&["observe", file]).ok();
    let mut plan = plan.clone();
    plan["hosts"].as_array_mut().unwrap().iter_mut().for_each(|host| host["base"] = "".into());
    let ask = json!({"op": "apply", "host": "h1", "plan": plan, "undo": true});
    // The end of its input would interrupt it.
    let script = "cat >/root/ask; mkfifo /root/in; $(ls -t /var/lib/lsx/bin/*/lsx-store | head -1) agent </root/in >/root/out & exec 3>/root/in
        cat /root/ask >&3; until grep -q -e '^{\"ok\"' -e '^{\"failures\"' /root/out; do sleep 0.1; done; exec 3>&-; wait; cat /root/out; rm /root/ask /root/in /root/out";
    let said = depot.lab.exec_with("h1", &["sh", "-ec", script], format!("{ask}\n").as_bytes()).ok();
    let report = said.lines().into_iter().find_map(|line| line.get("ok").cloned());
    report.unwrap_or_else(|| panic!("no report: {}{}", said.stdout, said.stderr))
}

fn a_folder_exchanged_after_the_plan_stays_as_it_is(depot: &Depot) {
    let of = |mode: &str| {
        depot.stack("swap", INSTANCES, &format!("root: /data/w, volumes: {{ db: {{ mode: \"{mode}\" }} }}"))
    };
    // So the tool is on the host.
    let file = of("0710");
    let before = depot.there("h1");
    depot.store(&["up", "-q", &file]).ok();
    depot.store(&["down", "-q", &file, "--destroy-data", "swap"]).ok();
    assert_eq!(depot.there("h1"), before);
    let make = depot.store(&["plan", &file]).ok().json();
    depot.store(&["up", "-q", &file]).ok();
    depot.lab.script("h1", "echo own >/data/w/db/own").ok();
    let other = of("0750");
    let alter = depot.store(&["plan", &other]).ok().json();
    assert!(alter["steps"].to_string().contains("volume.change:db"), "{alter}");
    let theirs = "mkdir /data/w/db; chmod 701 /data/w/db; echo theirs >/data/w/db/file";
    let exchanges = [
        (format!("{theirs}; chown 5:6 /data/w/db"), "that lsx-store has not made"),
        (format!("{theirs}; setfattr -n trusted.lsx.volume -v else/db /data/w/db"), "of volume else/db"),
        (
            "mkdir /opt/out; chmod 701 /opt/out; ln -s /opt/out /data/w/db".to_owned(),
            "that lsx-store has not made",
        ),
        ("echo theirs >/data/w/db; chmod 701 /data/w/db".to_owned(), "that lsx-store has not made"),
    ];
    let look = "stat -L -c '%a %u %g' /data/w/db; cat /data/w/db/file /data/w/db 2>/dev/null || true";
    for (exchange, told) in &exchanges {
        depot.lab.script("h1", "umount /var/lib/lsx/volumes/swap/db; mv /data/w/db /data/w/lost").ok();
        depot.lab.script("h1", exchange).ok();
        let was = depot.lab.script("h1", look).ok().stdout;
        let report = steps(depot, &file, &alter);
        let said = report.to_string();
        assert!(
            report["ok"] == false && said.contains("store.foreign") && said.contains(told),
            "{exchange}: {said}"
        );
        let now = depot.lab.script("h1", look).ok().stdout;
        assert_eq!(now, was, "{exchange}");
        assert_eq!(depot.lab.script("h1", "grep -c volumes/swap /proc/mounts || true").ok().stdout, "0\n");
        depot.lab.script("h1", "rm -rf /data/w/db /opt/out; mv /data/w/lost /data/w/db").ok();
        depot.store(&["up", "-q", &file]).ok();
        depot.lab.script("h1", "grep -x own /var/lib/lsx/volumes/swap/db/own").ok();
    }
    // The same with one that is to be made.
    depot.store(&["down", "-q", &file, "--destroy-data", "swap"]).ok();
    for (exchange, told) in &exchanges {
        depot.lab.script("h1", &format!("mkdir -p /data/w; {exchange}")).ok();
        let was = depot.lab.script("h1", look).ok().stdout;
        let report = steps(depot, &file, &make);
        let said = report.to_string();
        assert!(
            report["ok"] == false && said.contains("store.foreign") && said.contains(told),
            "{exchange}: {said}"
        );
        assert_eq!(depot.lab.script("h1", look).ok().stdout, was, "{exchange}");
        let down = depot.store(&["down", "-q", &file, "--destroy-data", "swap"]);
        assert_eq!(down.code, 0, "{}", down.stderr);
        assert_eq!(depot.lab.script("h1", look).ok().stdout, was, "{exchange}");
        depot.lab.script("h1", "rm -rf /data/w /opt/out").ok();
        assert_eq!(depot.there("h1"), before, "{exchange}");
    }
}

fn a_full_disk_makes_half_of_no_volume(depot: &Depot) {
    let file = depot.stack("full", INSTANCES, "root: /tiny, volumes: { db: {}, more: { host: h1 } }");
    let before = depot.there("h1");
    // No block is left, or no inode; or what is known of volumes has no space.
    let disks = [
        "mkdir /tiny; truncate -s 2M /var/lib/containers/tiny.img; mkfs.ext4 -q -m 0 -O ^has_journal /var/lib/containers/tiny.img
         mount -o loop /var/lib/containers/tiny.img /tiny; dd if=/dev/zero of=/tiny/fill bs=1k 2>/dev/null || true; sync",
        "mkdir /tiny; mount -t tmpfs -o size=1M,nr_inodes=2,mode=755 t /tiny; touch /tiny/fill",
        "mkdir /tiny; mkdir -p /var/lib/lsx/store; mount -t tmpfs -o size=64k t /var/lib/lsx/store; dd if=/dev/zero of=/var/lib/lsx/store/fill bs=1k 2>/dev/null || true",
    ];
    let empty = "umount /var/lib/lsx/store 2>/dev/null || true; rm -f /tiny/fill";
    for disk in disks {
        depot.lab.script("h1", disk).ok();
        let up = depot.store(&["up", &file]);
        assert!(
            up.code == 1 && up.stderr.contains("No space left on device"),
            "{disk}: {} {}",
            up.code,
            up.stderr
        );
        // Nothing looks like a volume, and nothing is at its place.
        let left = "ls /tiny | grep -v -x -e fill -e 'lost+found' || true; ls /var/lib/lsx/volumes/full 2>/dev/null || true; grep -c volumes/full /proc/mounts || true";
        assert_eq!(depot.lab.script("h1", left).ok().stdout, "0\n", "{disk}");
        depot.store(&["check", &file]).exits(2);
        // With space the next run makes it.
        depot.lab.script("h1", empty).ok();
        if disk.contains("nr_inodes") {
            depot.lab.script("h1", "mount -o remount,nr_inodes=100 /tiny").ok();
        }
        depot.store(&["up", "-q", &file]).ok();
        assert_eq!(depot.changes(&file), 0, "{disk}");
        depot
            .lab
            .script(
                "h1",
                "getfattr --only-values -n trusted.lsx.volume /var/lib/lsx/volumes/full/db | grep -x full/db",
            )
            .ok();
        depot.store(&["down", "-q", &file, "--destroy-data", "full"]).ok();
        depot
            .lab
            .script("h1", "umount /tiny 2>/dev/null || true; rm -rf /tiny /var/lib/containers/tiny.img")
            .ok();
        assert_eq!(depot.there("h1"), before, "{disk}");
    }
}
