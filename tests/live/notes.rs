//! Damaged or missing records of a host: `up` writes them again, and `down` still removes everything.

use crate::held::{settled, small};
use crate::kernel::{difference, snapshot};
use crate::stack::Stack;
use lsx_tests::lab::Lab;
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("damaged_notes_are_written_anew", damaged_notes_are_written_anew),
    ("what_lies_at_the_place_of_a_note_is_told", what_lies_at_the_place_of_a_note_is_told),
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

/// None of it is waited for, followed, or read without a limit; after its removal, everything works as before.
fn what_lies_at_the_place_of_a_note_is_told(lab: &Lab) {
    let before = ["h1", "h2"].map(|h| snapshot(lab, h));
    let stack = small(lab);
    let (lock, intent) = ("/run/lsx/small.net.lock", "/etc/lsx/small/net.json");
    lab.script("h1", "echo theirs >/opt/theirs").ok();
    for make in ["mkdir", "mkfifo", "ln -s /opt/theirs", "ln -s /opt/nowhere"] {
        lab.script("h1", &format!("{make} {lock}")).ok();
        for verb in ["up", "down"] {
            lab.net(&[verb, &stack.file]).exits(1).says(&format!("rm -r {lock}"));
        }
        lab.script("h1", &format!("rm -r {lock}")).ok();
        settled(lab, &stack, make);
    }
    lab.script("h1", &format!("head -c 1000 /dev/urandom >{lock}")).ok();
    lab.net(&["up", &stack.file]).ok();
    settled(lab, &stack, "a file is a lock, whatever is in it");
    for make in [
        "mkdir NOTE",
        "mkfifo NOTE",
        "ln -s /dev/zero NOTE",
        "truncate -s 1G NOTE",
        "printf '%0200000d' 0 | tr 0 '[' >NOTE",
        "(echo '{\"schema\":'; yes '[1,[2],{\"a\":[3]}],' | head -c 60000000) >NOTE",
    ] {
        lab.script("h1", &format!("rm {intent}; {}", make.replace("NOTE", intent))).ok();
        lab.net(&["plan", "--exit-code", &stack.file]).exits(2);
        lab.net(&["check", &stack.file]).exits(2);
        let up = lab.net(&["up", &stack.file]);
        // A folder is kept, since it may have something in it.
        if make.starts_with("mkdir") {
            up.exits(1).says(intent).says("a folder is there instead of a file");
            lab.script("h1", &format!("rmdir {intent}")).ok();
            lab.net(&["up", &stack.file]).ok();
        } else {
            assert_eq!(up.code, 0, "{make}: {}", up.stderr);
        }
        settled(lab, &stack, make);
    }
    assert_eq!(
        lab.script("h1", "cat /opt/theirs; rm /opt/theirs; ls /opt/nowhere 2>&1 || true")
            .ok()
            .stdout
            .lines()
            .next(),
        Some("theirs")
    );
    stack.detach(lab);
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
    for n in 0..12 {
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
