//! After a power cut a host restores its networks by itself.

use crate::kernel::{links, names};
use crate::peer::{self, tries};
use crate::stack::{Stack, text};
use lsx_tests::lab::Lab;
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_host_comes_back_by_itself", a_host_comes_back_by_itself),
    ("the_gateways_host_comes_back_by_itself", the_gateways_host_comes_back_by_itself),
    ("two_stacks_come_back_together", two_stacks_come_back_together),
    ("after_down_nothing_comes_back", after_down_nothing_comes_back),
    ("what_a_dead_run_was_writing_is_swept", what_a_dead_run_was_writing_is_swept),
];

fn small(lab: &Lab) -> String {
    lab.file("small.yaml", include_str!("small.yaml"))
}

/// The links of ours with what they are, and the rules; handles and counters left out.
fn ours(lab: &Lab, host: &str) -> BTreeSet<String> {
    let script = "ip -j -d link | jq -c '.[] | select(.altnames) | {ifname, altnames, mtu, master, group, flags, i: .linkinfo.info_kind, d: .linkinfo.info_data.id}'
        nft -s list ruleset; ip netns; cat /proc/sys/net/ipv4/ip_forward
        for n in $(ip netns | sed 's/ .*//'); do ip -n $n -4 -br addr | sed 's/@if[0-9]*//'; ip -n $n route; ip netns exec $n nft -s list ruleset; done
        for d in $(ls /sys/class/net | grep '^lt'); do bridge fdb show dev $d; done";
    lab.script(host, script)
        .ok()
        .stdout
        .lines()
        .map(|l| l.split(" (id").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn power_cut(lab: &Lab, host: &str) {
    lab.verb(&["kill", host]);
    lab.verb(&["boot", host, "--wait"]);
}

#[track_caller]
fn same(before: &BTreeSet<String>, after: &BTreeSet<String>, lab: &Lab, host: &str) {
    let left = crate::kernel::difference(before, after);
    let log = lab.script(host, "cat /var/log/lsx-boot.log").stdout;
    assert!(left.is_empty(), "{left}\n{log}");
}

fn a_host_comes_back_by_itself(lab: &Lab) {
    peer::install(lab, &["h1", "h2"]);
    let stack = Stack::up(lab, &small(lab), &[]);
    stack.attach(lab);
    let target = format!("{}/icmp", stack.address("one", "lan"));
    let works = |lab: &Lab| tries(lab, ("h2", &stack.space("two")), &[(&target, "echo")]);
    works(lab);
    let before = ours(lab, "h2");
    power_cut(lab, "h2");
    let bridge = text(&stack.network("lan")["bridge"]);
    assert!(names(&links(lab, "h2")).contains(&bridge));
    let up = lab.net(&["up", &stack.file]).ok();
    assert_eq!(up.json()["status"]["net"]["changed"], 0, "{}", up.stderr);
    stack.attach_on(lab, "h2");
    works(lab);
    same(&before, &ours(lab, "h2"), lab, "h2");
}

fn the_gateways_host_comes_back_by_itself(lab: &Lab) {
    peer::install(lab, &["h1", "h2"]);
    let stack = Stack::up(lab, &small(lab), &[]);
    stack.attach(lab);
    let before = ours(lab, "h1");
    power_cut(lab, "h1");
    stack.attach_on(lab, "h1");
    same(&before, &ours(lab, "h1"), lab, "h1");
    let _server = peer::serve_in(lab, "h1", &stack.space("one"), "one", &["80"]);
    tries(lab, ("", ""), &[("198.18.0.11:8080", "one 198.18.0.1")]);
    tries(lab, ("h2", &stack.space("two")), &[("198.18.0.1/icmp", "echo")]);
    let up = lab.net(&["up", &stack.file]).ok();
    assert_eq!(up.json()["status"]["net"]["changed"], 0, "{}", up.stderr);
}

fn two_stacks_come_back_together(lab: &Lab) {
    let first = Stack::up(lab, &small(lab), &[]);
    let text = include_str!("small.yaml")
        .replace("stack: small", "stack: other")
        .replace("10.120", "10.121")
        .replace("8080", "8081");
    let second = Stack::up(lab, &lab.file("other.yaml", &text), &[]);
    first.detach(lab);
    let before = ours(lab, "h1");
    power_cut(lab, "h1");
    same(&before, &ours(lab, "h1"), lab, "h1");
    for stack in [&first, &second] {
        lab.net(&["plan", "--exit-code", &stack.file]).ok();
    }
    // The forwarding state before the first stack is known to the second one even after a reboot.
    second.down(lab, &[]);
    assert_eq!(lab.script("h1", "cat /proc/sys/net/ipv4/ip_forward").ok().stdout, "1\n");
    first.down(lab, &[]);
    assert_eq!(lab.script("h1", "cat /proc/sys/net/ipv4/ip_forward").ok().stdout, "0\n");
}

fn after_down_nothing_comes_back(lab: &Lab) {
    let stack = Stack::up(lab, &small(lab), &[]);
    stack.detach(lab);
    stack.down(lab, &[]);
    power_cut(lab, "h1");
    let left = ours(lab, "h1");
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["0"], "ip_forward alone");
}

fn what_a_dead_run_was_writing_is_swept(lab: &Lab) {
    let file = small(lab);
    // No process has that number (PID_MAX_LIMIT).
    let half = "mkdir -p /etc/lsx/small /etc/cron.d
        touch /etc/lsx/small/.lsx-4194304-a /etc/cron.d/.lsx-4194304-a";
    lab.script("h2", half).ok();
    lab.net(&["up", &file]).ok();
    lab.script("h2", "! ls /etc/lsx/*/.lsx-* /etc/cron.d/.lsx-*").ok();
    lab.net(&["down", &file]).ok();
    lab.script("h1", "mkdir -p /etc/lsx/small /etc/lsx/boot.d").ok();
    lab.net(&["down", &file]).ok();
    for host in ["h1", "h2"] {
        lab.script(host, "! test -e /etc/lsx && test -d /etc/cron.d").ok();
    }
}
