//! Damaged or missing records of a host: `up` writes them again, and `down` still removes everything.

use crate::held::{settled, small};
use crate::kernel::{difference, snapshot};
use crate::stack::Stack;
use lsx_tests::lab::Lab;
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("damaged_notes_are_written_anew", damaged_notes_are_written_anew),
    ("what_run_forgot_is_found_by_looking", what_run_forgot_is_found_by_looking),
];

/// The differences on a host, except the mount of /run/netns: iproute2, used by the tests, leaves it.
fn left(before: &BTreeSet<String>, lab: &Lab, host: &str) -> String {
    let lines = difference(before, &snapshot(lab, host));
    lines.lines().filter(|line| !line.contains("/run/netns")).map(|line| format!("{line}\n")).collect()
}

fn damaged_notes_are_written_anew(lab: &Lab) {
    let before = ["h1", "h2"].map(|h| snapshot(lab, h));
    let stack = small(lab);
    for damage in [
        "printf '\\377\\376' >/etc/lsx/small/net.json",
        "echo '{}' >/etc/lsx/small/net.json",
        "head -c 300 /etc/lsx/small/net.json >/etc/lsx/half; cat /etc/lsx/half >/etc/lsx/small/net.json; rm /etc/lsx/half",
        "for e in /etc/lsx/boot.d/*; do printf '\\377' >$e; done",
        "printf '\\377' >/run/lsx/small/host.nft",
        "printf '\\377' >/run/lsx/small/router.nft",
        "printf 'maybe\\377' >/run/lsx/routing/prior",
        "rm -rf /run/lsx",
    ] {
        lab.script("h1", damage).ok();
        let plan = lab.net(&["plan", "--exit-code", &stack.file]);
        assert_eq!(plan.code, 2, "{damage}: {}", plan.stderr);
        lab.net(&["check", &stack.file]).exits(2);
        let up = lab.net(&["up", &stack.file]);
        assert_eq!(up.code, 0, "{damage}: {}", up.stderr);
        settled(lab, &stack, damage);
        lab.net(&["check", &stack.file]).ok();
    }
    stack.detach(lab);
    lab.script("h1", "printf '\\377' >/etc/lsx/small/net.json; printf '\\377' >/run/lsx/small/host.nft").ok();
    stack.down(lab, &[]);
    for (host, before) in ["h1", "h2"].iter().zip(&before) {
        assert_eq!(left(before, lab, host), "", "{host}");
    }
}

fn what_run_forgot_is_found_by_looking(lab: &Lab) {
    // h2 forwarded before, h1 did not.
    lab.script("h2", "echo 1 >/proc/sys/net/ipv4/ip_forward").ok();
    for host in ["h1", "h2"] {
        // The folder of names is a mount of its own until the last name goes.
        lab.script(host, "ip netns | grep -q . || umount /run/netns 2>/dev/null || true").ok();
    }
    let before: Vec<BTreeSet<String>> = ["h1", "h2"].map(|h| snapshot(lab, h)).into();
    let text = include_str!("small.yaml").replace(
        "ports: [\"8080:80\"] }",
        "ports: [\"8080:80\"] }\n  three: { image: none, host: h2, networks: [lan], ports: [\"8081:80\"] }",
    );
    let file = lab.file("ports.yaml", &text);
    let nothing_left = |when: &str| {
        for (host, before) in ["h1", "h2"].iter().zip(&before) {
            assert_eq!(left(before, lab, host), "", "{when}: {host}");
        }
    };
    let stack = Stack::up(lab, &file, &[]);
    for host in ["h1", "h2"] {
        lab.script(host, "rm -rf /run/lsx").ok();
    }
    stack.down(lab, &[]);
    nothing_left("down after all notes have gone");
    // Killed before each step of such a down.
    for n in [0, 2, 4, 6, 8, 11] {
        Stack::up(lab, &file, &[]);
        lab.script("h1", "rm -rf /run/lsx").ok();
        lab.net(&["down", &file, "--failpoint", &n.to_string()]);
        lab.net(&["down", &file]).ok();
        nothing_left(&format!("killed before step {n}"));
    }
    // Another stack that still needs it.
    let other = lab.file(
        "other.yaml",
        &include_str!("small.yaml")
            .replace("stack: small", "stack: other")
            .replace("8080", "8090")
            .replace("10.120", "10.121"),
    );
    Stack::up(lab, &file, &[]);
    lab.net(&["up", &other]).ok();
    lab.script("h1", "rm -rf /run/lsx").ok();
    lab.net(&["down", &file]).ok();
    assert_eq!(lab.script("h1", "cat /proc/sys/net/ipv4/ip_forward").ok().stdout, "1\n");
    lab.net(&["down", &other]).ok();
    nothing_left("after the last of two");
    lab.script("h2", "echo 0 >/proc/sys/net/ipv4/ip_forward").ok();
}
