//! The reserve of a host's disk: an instance that continues to write below it is frozen by the server, and continues when there
//! is space; the process that sees to it is replaced.

use crate::host::{Host, furnish};
use crate::jobs::{changed, ct, seen, stack};
use lsx_tests::lab::until;
use serde_json::json;

pub(crate) const CASES: &[crate::Case] = &[
    ("who_fills_the_disk_is_frozen_and_nobody_else", who_fills_the_disk_is_frozen_and_nobody_else),
    ("who_fills_the_disk_before_it_is_ready_is_frozen", who_fills_the_disk_before_it_is_ready_is_frozen),
];

/// One writes to a volume, one to its own root, both by short-lived programs; the third writes nothing.
const INSTANCES: &str = "
  fills: { image: bb, networks: [lan], volumes: { data: /data }, command: [sh, -c, \"while :; do test -e /data/go && dd if=/dev/zero bs=1M count=1 2>/dev/null >>/data/f; sleep 0.1; done\"] }
  own: { image: bb, networks: [lan], volumes: { flag: /flag }, command: [sh, -c, \"while :; do test -e /flag/go && dd if=/dev/zero bs=1M count=1 2>/dev/null >>/f; sleep 0.1; done\"] }
  quiet: { image: bb, networks: [lan], volumes: { more: /more }, command: [sleep, \"1000\"] }";

const VOLUMES: &str = "/var/lib/lsx/volumes/room";

fn who_fills_the_disk_is_frozen_and_nobody_else(host: &Host) {
    furnish(host);
    let lab = &host.lab;
    let file = stack(lab, host.engine.driver, "room", 1, INSTANCES);
    // An earlier case may have left the folder of images, empty; `down` removes it.
    host.script("rmdir /var/lib/lsx/images 2>/dev/null || true");
    let before = host.picture();
    lab.net(&["up", "--quiet", &file]).ok();
    ct(lab, &["up", &file]).ok();
    // A process that is just being started looks like its parent for a moment.
    let watched = || host.script("pgrep -fc '[s]upervise room [a-z]* --beside'") == "3\n";
    assert!(until(30, watched));
    let status = |name: &str| host.query(&format!("/1.0/instances/room-{name}"))["status"].clone();
    let pid = |name: &str| host.query(&format!("/1.0/instances/room-{name}/state"))["pid"].clone();
    let free =
        || host.script("df --output=avail -B1M /var/lib/lsx | tail -n 1").trim().parse::<u64>().unwrap();
    let fill = |flag: &str| {
        // So much is left that filling it takes a while.
        let filler =
            format!("dd if=/dev/zero of=/var/lib/lsx/filler bs=1M count={} 2>/dev/null", free() - 200);
        host.script(&format!("{filler}; touch {VOLUMES}/{flag}"))
    };
    let root = pid("own");
    let files = [format!("{VOLUMES}/data/f"), format!("/proc/{root}/root/f")];
    for ((name, flag), path) in [("fills", "data/go"), ("own", "flag/go")].into_iter().zip(files) {
        let first = pid(name);
        fill(flag);
        assert!(until(60, || status(name) == "Frozen"), "{name}: {}", status(name));
        let size = || host.script(&format!("stat -c %s {path}"));
        let (left, written) = (free(), size());
        assert!(left > 0);
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert_eq!((free(), size()), (left, written), "{name} writes no more");
        assert_eq!(status("quiet"), "Running");
        let told = seen(lab, &file, name);
        assert_eq!(told["state"], "waiting", "{told}");
        assert!(told["why"].as_str().unwrap().contains("frozen, because it writes"), "{told}");
        let check = ct(lab, &["check", &file]).exits(2).says("less than the reserve of").stdout;
        assert!(check.contains("frozen, because"), "{check}");
        // With space it continues by itself, as the same process.
        host.script("rm /var/lib/lsx/filler");
        assert!(until(60, || status(name) == "Running"), "{name}: {}", status(name));
        assert_eq!(pid(name), first);
        host.script(&format!("rm {VOLUMES}/{flag}; rm {path}"));
    }
    assert_eq!(changed(lab, &file), 0);
    // Frozen, it can be stopped and started; without its process it stays frozen until the next `up`.
    fill("data/go");
    assert!(until(60, || status("fills") == "Frozen"));
    ct(lab, &["stop", "fills", "--stack", &file]).ok();
    assert_eq!(status("fills"), "Stopped");
    ct(lab, &["start", "fills", "--stack", &file]).ok();
    assert!(until(60, || status("fills") == "Frozen"));
    host.script("pkill -9 -f '[s]upervise room'; rm /var/lib/lsx/filler");
    let told = ct(lab, &["observe", &file]).ok().stdout;
    assert!(told.contains("ct.unwatched") && told.contains("quiet runs, but nothing stops it"), "{told}");
    ct(lab, &["check", &file]).exits(2);
    assert_eq!(status("fills"), "Frozen");
    assert_eq!(changed(lab, &file), 3);
    assert_eq!((status("fills"), changed(lab, &file)), (json!("Running"), 0));
    assert!(until(30, watched));
    ct(lab, &["down", &file, "--destroy-data", "room"]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
    assert_eq!(host.picture(), before);
}

/// It writes from its first moment, and is not ready while it does.
fn who_fills_the_disk_before_it_is_ready_is_frozen(host: &Host) {
    furnish(host);
    let lab = &host.lab;
    let text = "
  early: { image: bb, networks: [lan], volumes: { data: /data }, ready: { command: [test, \"!\", -e, /data/go], timeout: 30s }, command: [sh, -c, \"while :; do test -e /data/go && dd if=/dev/zero bs=1M count=1 2>/dev/null >>/data/f; sleep 0.1; done\"] }";
    let file = stack(lab, host.engine.driver, "early", 1, text);
    host.script("rmdir /var/lib/lsx/images 2>/dev/null || true");
    let before = host.picture();
    lab.net(&["up", "--quiet", &file]).ok();
    ct(lab, &["up", &file]).ok();
    let status = || host.query("/1.0/instances/early-early")["status"].clone();
    let data = "/var/lib/lsx/volumes/early/data";
    let fill = || {
        let free = host.script("df --output=avail -B1M /var/lib/lsx | tail -n 1");
        let most = free.trim().parse::<u64>().unwrap() - 200;
        host.script(&format!(
            "dd if=/dev/zero of=/var/lib/lsx/filler bs=1M count={most} 2>/dev/null; touch {data}/go"
        ))
    };
    // Started by a run that waits for it.
    ct(lab, &["stop", "early", "--stack", &file]).ok();
    fill();
    std::thread::scope(|scope| {
        let start = scope.spawn(|| ct(lab, &["start", "early", "--stack", &file]));
        assert!(until(60, || status() == "Frozen"), "{}", status());
        start.join().unwrap().exits(1).says("frozen, because it writes");
    });
    assert_eq!(status(), "Frozen");
    let free = || host.script("df --output=avail -B1M /var/lib/lsx | tail -n 1");
    let left = free();
    assert_ne!(left.trim(), "0");
    // It continues, but a run does not take it for ready before it is.
    host.script(&format!("rm /var/lib/lsx/filler {data}/f"));
    assert!(until(60, || status() == "Running"), "{}", status());
    assert_eq!(seen(lab, &file, "early")["state"], "starting");
    ct(lab, &["check", &file]).exits(2);
    host.script(&format!("rm {data}/go {data}/f"));
    assert_eq!((changed(lab, &file), changed(lab, &file)), (1, 0));
    assert_eq!(seen(lab, &file, "early")["state"], "running");
    // Started by the run at boot, which does not wait.
    host.script("pkill -9 -f '[s]upervise early'; $CLI stop -f early-early");
    fill();
    host.script("sh /etc/lsx/boot.d/50-early-ct");
    assert!(until(60, || status() == "Frozen"), "{}", status());
    host.script(&format!("rm /var/lib/lsx/filler {data}/go {data}/f"));
    assert!(until(60, || seen(lab, &file, "early")["state"] == "running"), "{}", seen(lab, &file, "early"));
    assert_eq!(changed(lab, &file), 0);
    ct(lab, &["down", &file, "--destroy-data", "early"]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
    assert_eq!(host.picture(), before);
}
