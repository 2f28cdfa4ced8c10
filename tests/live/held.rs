//! Changes on a host between two runs: routes, names, settings and processes changed by others; what is repaired, what is
//! reported, and what is kept.

use crate::kernel::{difference, links, snapshot};
use crate::stack::{Stack, text, tool_on};
use lsx_tests::lab::{Lab, finish};
use serde_json::Value;
use std::io::{BufRead, BufReader};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_route_that_came_later_stops_nothing_that_runs", a_route_that_came_later_stops_nothing_that_runs),
    ("renamed_links_get_their_names_back", renamed_links_get_their_names_back),
    ("a_move_is_refused_before_anything_changes", a_move_is_refused_before_anything_changes),
    ("processes_in_the_router_are_named", processes_in_the_router_are_named),
    ("forwarding_of_single_interfaces_is_seen", forwarding_of_single_interfaces_is_seen),
    ("a_mesh_that_carries_nothing_is_not_ok", a_mesh_that_carries_nothing_is_not_ok),
    ("a_strict_check_of_the_way_back_is_told", a_strict_check_of_the_way_back_is_told),
];

fn file(lab: &Lab) -> String {
    lab.file("small.yaml", include_str!("small.yaml"))
}

pub(crate) fn small(lab: &Lab) -> Stack {
    let stack = Stack::up(lab, &file(lab), &[]);
    stack.attach(lab);
    stack
}

fn gone(lab: &Lab, stack: &Stack) {
    stack.detach(lab);
    stack.down(lab, &[]);
}

#[track_caller]
pub(crate) fn settled(lab: &Lab, stack: &Stack, when: &str) {
    let plan = lab.net(&["plan", "--exit-code", &stack.file]);
    assert_eq!(plan.code, 0, "{when}: {}{}", plan.stdout, plan.stderr);
}

#[track_caller]
fn reaches(lab: &Lab, stack: &Stack, when: &str) {
    for to in [stack.address("one", "lan"), "198.18.0.1".to_owned()] {
        let ping = ["ip", "netns", "exec", &stack.space("two"), "ping", "-n", "-c3", "-i0.2", "-W2", &to];
        let ran = lab.exec("h2", &ping);
        assert_eq!(ran.code, 0, "{when}: {to}: {}", ran.stdout);
    }
}

fn a_route_that_came_later_stops_nothing_that_runs(lab: &Lab) {
    let file = file(lab);
    let stack = Stack::up(lab, &file, &[]);
    lab.script("h2", "ip route add 10.0.0.0/8 dev eth0").ok();
    let plan = lab.net(&["plan", "--exit-code", &file]).ok();
    assert!(plan.json()["warnings"].to_string().contains("overlaps the route 10.0.0.0/8"), "{}", plan.stdout);
    lab.net(&["up", &file]).ok();
    let bridge = text(&stack.network("lan")["bridge"]);
    lab.script("h2", &format!("ip link del {bridge}; for e in /etc/lsx/boot.d/*-small-net; do sh $e; done"))
        .ok();
    assert!(links(lab, "h2").iter().any(|l| l["ifname"] == *bridge), "it comes back at boot");
    stack.down(lab, &[]);
    lab.net(&["up", &file]).exits(65).says("--allow-overlap");
    lab.net(&["up", &file, "--allow-overlap"]).ok();
    lab.net(&["up", &file]).ok();
    stack.down(lab, &[]);
    // Another table, to which a rule refers; it is not used before.
    lab.script("h2", "ip route del 10.0.0.0/8 dev eth0; ip route add 10.120.0.0/25 dev eth0 table 77").ok();
    lab.net(&["plan", &file]).ok();
    lab.script("h2", "ip rule add from all lookup 77").ok();
    lab.net(&["up", &file]).exits(65).says("10.120.0.0/25");
    lab.script("h2", "ip rule del from all lookup 77; ip route flush table 77").ok();
    // A default route in two halves, as VPNs push it.
    lab.script("h2", "ip route add 0.0.0.0/1 via 198.18.0.1; ip route add 128.0.0.0/1 via 198.18.0.1").ok();
    lab.net(&["plan", &file]).ok();
    lab.script("h2", "ip route del 0.0.0.0/1; ip route del 128.0.0.0/1").ok();
}

fn renamed_links_get_their_names_back(lab: &Lab) {
    let stack = small(lab);
    let network = stack.network("lan");
    let leg = text(&network["legs"][0]["link"]);
    let host = &stack.resolved["hosts"][0];
    for (host, name) in [
        ("h2", text(&network["bridge"])),
        ("h2", text(&network["tunnel"])),
        ("h1", text(&network["bridge"])),
        ("h1", leg),
        ("h1", text(&host["world_link"])),
        ("h1", text(&stack.nic("one", "lan")["link"])),
    ] {
        let mark = |links: &[Value]| {
            let link = links.iter().find(|l| l["ifname"] == *name || l["ifname"] == "renamed0");
            link.map(|l| (text(&l["ifname"]), l["altnames"].clone())).unwrap()
        };
        let before = mark(&links(lab, host));
        lab.script(
            host,
            &format!("ip link set {name} down; ip link set {name} name renamed0; ip link set renamed0 up"),
        )
        .ok();
        let plan = lab.net(&["plan", "--exit-code", &stack.file]).exits(2);
        let up = lab.net(&["up", &stack.file]);
        assert_eq!(up.code, 0, "{name}: {}\n{}", up.stderr, plan.stdout);
        assert_eq!(mark(&links(lab, host)), before, "{name}");
        settled(lab, &stack, &name);
        reaches(lab, &stack, &name);
    }
    // The name is in use meanwhile: this is reported, and nothing is left incomplete.
    let bridge = text(&network["bridge"]);
    lab.script("h2", &format!("ip link set {bridge} name renamed0; ip link add {bridge} type bridge")).ok();
    let up = lab.net(&["up", &stack.file]).exits(1).says("was not created by lsx");
    assert!(!up.stderr.contains("could not be undone"), "{}", up.stderr);
    lab.script("h2", &format!("ip link del {bridge}")).ok();
    lab.net(&["up", &stack.file]).ok();
    reaches(lab, &stack, "after a stranger");
    gone(lab, &stack);
}

fn a_move_is_refused_before_anything_changes(lab: &Lab) {
    let stack = small(lab);
    let moved =
        include_str!("small.yaml").replace("two: { image: none, host: h2", "two: { image: none, host: h1");
    let moved = lab.file("moved.yaml", &moved);
    let before = ["h1", "h2"].map(|h| snapshot(lab, h));
    lab.net(&["up", &moved]).exits(65).says("two runs on h2 and would move to h1").says("--allow-move");
    for (host, before) in ["h1", "h2"].iter().zip(&before) {
        assert_eq!(difference(before, &snapshot(lab, host)), "", "{host}");
    }
    reaches(lab, &stack, "refused");
    lab.net(&["up", &moved, "--allow-move"]).ok();
    let bridge = text(&stack.network("lan")["bridge"]);
    assert!(links(lab, "h2").iter().any(|l| l["ifname"] == *bridge), "until it has moved");
    lab.exec_with("h2", &[&tool_on(lab, "h2"), "detach"], stack.batch("h2").as_bytes()).ok();
    lab.net(&["up", &moved]).ok();
    assert!(!links(lab, "h2").iter().any(|l| l["ifname"] == *bridge));
    stack.detach(lab);
    lab.net(&["down", &moved]).ok();
}

fn processes_in_the_router_are_named(lab: &Lab) {
    let stack = small(lab);
    stack.detach(lab);
    let sleeper = || lab.start("h1", &["ip", "netns", "exec", "lsx-small", "sh", "-c", "echo $$; read x"]);
    let number = |child: &mut std::process::Child| {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let mut inside = sleeper();
    let pid = number(&mut inside);
    let down = lab.net(&["down", &stack.file]).exits(1).says("running in the stack's router");
    assert!(
        down.stderr.contains(&format!("{pid} (sh)")) && down.stderr.contains(&format!("kill {pid}")),
        "{}",
        down.stderr
    );
    settled(lab, &stack, "refused, and nothing was changed");
    // The namespace is replaced.
    lab.script("h1", "ip netns del lsx-small; ip netns add lsx-small").ok();
    let plan = lab.net(&["plan", &stack.file]).ok();
    let warnings = plan.json()["warnings"].to_string();
    assert!(warnings.contains("was replaced") && warnings.contains(&pid), "{}", plan.stdout);
    lab.net(&["up", &stack.file]).ok();
    settled(lab, &stack, "recreated");
    drop(inside.stdin.take());
    inside.wait().unwrap();
    stack.down(lab, &[]);
}

fn forwarding_of_single_interfaces_is_seen(lab: &Lab) {
    lab.script(
        "h1",
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/eth0/forwarding",
    )
    .ok();
    let before = snapshot(lab, "h1");
    let stack = small(lab);
    reaches(lab, &stack, "at once");
    for off in [
        "echo 0 >/proc/sys/net/ipv4/conf/eth0/forwarding".to_owned(),
        format!(
            "echo 0 >/proc/sys/net/ipv4/conf/{}/forwarding",
            text(&stack.resolved["hosts"][0]["world_link"])
        ),
        "ip netns exec lsx-small sh -c 'echo 0 >/proc/sys/net/ipv4/conf/world/forwarding'".to_owned(),
        format!(
            "ip netns exec lsx-small sh -c 'echo 0 >/proc/sys/net/ipv4/conf/{}/forwarding'",
            text(&stack.network("lan")["legs"][0]["link"])
        ),
    ] {
        lab.script("h1", &off).ok();
        let plan = lab.net(&["plan", "--exit-code", &stack.file]);
        assert_eq!(plan.code, 2, "{off}: {}", plan.stdout);
        lab.net(&["check", &stack.file]).exits(2).says("forward");
        lab.net(&["up", &stack.file]).ok();
        settled(lab, &stack, &off);
        reaches(lab, &stack, &off);
    }
    gone(lab, &stack);
    assert_eq!(difference(&before, &snapshot(lab, "h1")), "");
    lab.script("h1", "echo 0 >/proc/sys/net/ipv4/ip_forward").ok();
}

fn a_mesh_that_carries_nothing_is_not_ok(lab: &Lab) {
    let file = file(lab);
    let resolved = lab.net(&["resolve", &file]).ok().json();
    let port = &resolved["resolved"]["tunnel_port"];
    let wall = format!(
        "nft add table inet wall
         nft 'add chain inet wall pre {{ type filter hook prerouting priority -310; }}'
         nft add rule inet wall pre udp dport {port} drop"
    );
    lab.script("h2", &wall).ok();
    let up = finish(&mut lab.net_command(&["up", &file]), b"").exits(1).says("h2: ").says("0 of 1 probes");
    assert!(up.stdout.is_empty() && up.stderr.contains(&format!("UDP port {port}")), "{}", up.stderr);
    assert!(!up.stderr.contains("h1: network"), "the other direction is open: {}", up.stderr);
    lab.script("h2", "nft delete table inet wall").ok();
    lab.net(&["down", &file]).ok();
    lab.net(&["up", &file]).ok();
    // Nothing of the probes is left.
    for host in lab.hosts() {
        let left = lab.script(&host, "ip -4 neigh | grep ^192.0.2. || true").ok().stdout;
        assert_eq!(left, "", "{host}");
    }
    lab.net(&["down", &file]).ok();
}

fn a_strict_check_of_the_way_back_is_told(lab: &Lab) {
    let file = file(lab);
    lab.script(
        "h2",
        "ip link add detour type bridge; ip link set detour up; ip addr add 198.19.0.1/24 dev detour
         ip route add 198.18.0.11/32 dev detour; echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter",
    )
    .ok();
    let plan = lab.net(&["plan", &file]).ok().json();
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("rp_filter is strict") && warnings.contains("198.18.0.11"), "{warnings}");
    lab.script("h2", "ip link del detour; echo 0 >/proc/sys/net/ipv4/conf/eth0/rp_filter").ok();
    let plan = lab.net(&["plan", &file]).ok().json();
    assert!(!plan["warnings"].to_string().contains("rp_filter"), "{plan}");
}
