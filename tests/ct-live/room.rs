//! The reserve of a host's disk: an instance that continues to write below it is frozen, and continues when there is space.

use crate::cloud::Cloud;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] =
    &[("who_fills_the_disk_is_held_and_nobody_else", who_fills_the_disk_is_held_and_nobody_else)];

/// One writes by short-lived programs, the other writes nothing.
const INSTANCES: &str = "
  fills: { image: bb, host: h1, networks: [lan], volumes: { data: /data }, command: [sh, -c, \"while :; do test -e /data/go && dd if=/dev/zero bs=1M count=4 2>/dev/null >>/data/f; sleep 0.05; done\"] }
  quiet: { image: bb, host: h1, networks: [lan], volumes: { more: /more }, command: [sleep, \"1000\"] }";

const DATA: &str = "/var/lib/lsx/volumes/room/data";

fn who_fills_the_disk_is_held_and_nobody_else(cloud: &Cloud) {
    let sh = |text: &str| cloud.lab.script("h1", text).ok().stdout.trim().to_owned();
    let number = |text: &str| sh(text).parse::<u64>().unwrap();
    let file = cloud.stack("room", INSTANCES);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let before = cloud.snapshot("h1");
    cloud.ct(&["up", &file]).ok();
    let free = || number("df --output=avail -B1M /var/lib/lsx | tail -n 1");
    let fill = || {
        // So much is left that filling it takes a while.
        sh(&format!(
            "dd if=/dev/zero of=/var/lib/lsx/filler bs=1M count={} 2>/dev/null; touch {DATA}/go",
            free() - 200
        ))
    };
    let state = |name: &str| cloud.said("h1", &format!("room/{name}"))["state"].clone();
    fill();
    assert!(until(60, || state("fills") == "waiting"), "{}", cloud.said("h1", "room/fills"));
    let left = (free(), sh(&format!("stat -c %s {DATA}/f")));
    assert!(left.0 > 0);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!((free(), sh(&format!("stat -c %s {DATA}/f"))), left, "it writes no more");
    assert_eq!(state("quiet"), "running");
    let seen = cloud.seen(&file, "fills");
    assert!(seen["why"].as_str().unwrap().contains("frozen, because it writes"), "{seen}");
    let said = cloud.ct(&["observe", &file]).ok().lines();
    assert!(said.iter().any(|host| host["warnings"].to_string().contains("ct.room")), "{said:?}");
    assert!(
        cloud
            .ct(&["check", &file])
            .exits(2)
            .says("less than the reserve of")
            .stdout
            .contains("frozen, because")
    );
    // It can still be stopped and started: then it writes again, and is frozen again.
    cloud.ct(&["stop", "fills", "--stack", &file]).ok();
    assert_eq!(state("fills"), "stopped");
    cloud.ct(&["start", "fills", "--stack", &file]);
    assert!(until(60, || state("fills") == "waiting"));
    // With space it continues by itself, as the same process.
    let pid = cloud.pid("h1", "room/fills");
    sh("rm /var/lib/lsx/filler");
    assert!(until(60, || state("fills") == "running"));
    sh(&format!("rm {DATA}/go {DATA}/f"));
    assert_eq!((cloud.changed(&file), cloud.pid("h1", "room/fills")), (0, pid));
    // After its supervisor was killed it is not resumed by itself.
    fill();
    assert!(until(60, || state("fills") == "waiting"));
    sh("pkill -9 -f '[s]upervise room fills'");
    cloud.ct(&["down", &file, "--destroy-data", "room"]).ok();
    sh("rm /var/lib/lsx/filler");
    cloud.same_but("h1", &before, "after one was frozen", "/var/lib/lsx/images");
    cloud.lab.net(&["down", "--quiet", &file]).ok();
}
