//! The reserve of a host's disk, where the kernel freezes control groups in another way than on the machines that the tests run on.

use crate::Case;
use crate::host::Host;
use lsx_tests::lab::until;

/// Longer than anything takes on an emulated processor that others use, too.
const LONG: u64 = 300;

pub(crate) const CASES: &[Case] = &[("who_fills_the_disk_is_held", who_fills_the_disk_is_held)];

const INSTANCES: &str = "instances:
  fills: { image: bb, host: h1, volumes: { data: /data },
           command: [sh, -c, \"while :; do test -e /data/go && dd if=/dev/zero bs=1M count=2 2>/dev/null >>/data/f; sleep 0.2; done\"] }
";

fn who_fills_the_disk_is_held(host: &Host) {
    let sh = |text: &str| host.run("sh", &["-ec", text]).ok().stdout.trim().to_owned();
    let number = |text: &str| sh(text).parse::<u64>().unwrap();
    let file = host.stack("room", INSTANCES);
    host.comes_up(&file);
    let said = || std::fs::read_to_string("/run/lsx/ct/room/fills/state.json").unwrap_or_default();
    let is = |state: &str| said().contains(&format!("\"state\":\"{state}\""));
    let data = "/var/lib/lsx/volumes/room/data";
    // So much is left that it soon writes below the reserve.
    let (free, all) =
        (number("df --output=avail -B1M /mnt | tail -n 1"), number("df --output=size -B1M /mnt | tail -n 1"));
    sh(&format!("fallocate -l {}M /mnt/filler; touch {data}/go", free - all / 20 - 20));
    assert!(until(LONG, || is("waiting")), "{}", said());
    let size = || number(&format!("stat -c %s {data}/f"));
    let before = size();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(size(), before, "it writes no more");
    let seen = host.ct(&["observe", &file]).ok().stdout;
    assert!(seen.contains("ct.room") && seen.contains("frozen, because it writes"), "{seen}");
    sh("rm /mnt/filler");
    assert!(until(LONG, || is("running") && size() > before), "{}", said());
    host.ct(&["down", "-q", &file, "--destroy-data", "room"]).ok();
}
