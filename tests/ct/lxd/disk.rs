//! `limits.disk` on a storage pool that enforces it.

use crate::host::{Host, furnish};
use crate::jobs::{changed, ct, seen, stack};

pub(crate) const CASES: &[crate::Case] =
    &[("a_full_disk_of_a_btrfs_pool_ends_there", a_full_disk_of_a_btrfs_pool_ends_there)];

fn a_full_disk_of_a_btrfs_pool_ends_there(host: &Host) {
    furnish(host);
    let lab = &host.lab;
    host.script("rmdir /var/lib/lsx/images 2>/dev/null || true; $CLI storage create bt btrfs size=1GiB");
    let before = host.picture();
    let it = |size: &str| {
        let text = format!(
            "\n  it: {{ image: bb, networks: [lan], limits: {{ disk: {size} }}, command: [sleep, \"1000\"] }}"
        );
        stack(lab, host.engine.driver, "bound", 1, &text)
    };
    let file = it("128M");
    lab.net(&["up", "--quiet", &file]).ok();
    let up = ct(lab, &["up", &file]).ok();
    assert!(!up.stderr.contains("not enforced"), "{}", up.stderr);
    let fill = "dd if=/dev/zero of=/srv/big bs=1M count=300 2>&1; stat -c %s /srv/big";
    let write = || host.script(&format!("$CLI exec bound-it -- sh -c '{fill}'"));
    let size = |said: &str| said.lines().last().unwrap().parse::<u64>().unwrap() >> 20;
    let said = write();
    assert!(said.contains("quota exceeded") && (100..=140).contains(&size(&said)), "{said}");
    // A full instance gets a larger limit, and can be removed.
    let larger = it("192M");
    ct(lab, &["up", &larger]).ok();
    let said = write();
    assert!(said.contains("quota exceeded") && (170..=210).contains(&size(&said)), "{said}");
    assert_eq!(seen(lab, &file, "it")["state"], "running");
    assert_eq!(changed(lab, &larger), 0);
    ct(lab, &["down", &file, "--destroy-data", "bound"]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
    assert_eq!(host.picture(), before);
    host.script("$CLI storage delete bt");
    host.empty();
}
