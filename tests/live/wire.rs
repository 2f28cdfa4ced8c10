//! Packets on the wire: forged ones, unrequested ones, and those of maximum size.

use crate::stack::text;
use crate::traffic::{ask, world};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("spoofed_sources_go_nowhere", spoofed_sources_go_nowhere),
    ("arp_lies_go_nowhere", arp_lies_go_nowhere),
    ("ipv6_between_instances_is_impossible", ipv6_between_instances_is_impossible),
    (
        "an_unknown_destination_puts_nothing_on_the_underlay",
        an_unknown_destination_puts_nothing_on_the_underlay,
    ),
    ("packets_of_exactly_the_mtu_pass", packets_of_exactly_the_mtu_pass),
];

/// Counts packets in a namespace while something happens: one nft rule, and how often it matched.
pub(crate) fn counted(
    lab: &Lab,
    host: &str,
    space: &str,
    family: &str,
    chain: &str,
    rule: &str,
    act: impl FnOnce(),
) -> u64 {
    let nft = if space.is_empty() { "nft".to_owned() } else { format!("ip netns exec {space} nft") };
    let table = format!("{family} watch");
    lab.script(host, &format!("{nft} -f - <<'END'\ntable {table} {{\nchain c {{\n{chain}; policy accept;\n{rule} counter\n}}\n}}\nEND")).ok();
    act();
    let list =
        lab.script(host, &format!("{nft} -j list chain {table} c; {nft} delete table {table}")).ok().json();
    let rule = list["nftables"].as_array().unwrap().iter().find_map(|v| v.get("rule")).unwrap();
    rule["expr"].as_array().unwrap().iter().find_map(|e| e["counter"]["packets"].as_u64()).unwrap()
}

/// Counts until the wanted number is reached: other traffic can only add to one of several attempts.
#[track_caller]
pub(crate) fn settles(wanted: u64, what: &str, count: impl Fn() -> u64) {
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(count());
        if seen.last() == Some(&wanted) {
            return;
        }
    }
    panic!("{what}: {seen:?} packets, not {wanted}");
}

pub(crate) const ENTRY: &str = "type filter hook prerouting priority -400";

fn spoofed_sources_go_nowhere(lab: &Lab) {
    let stack = world(lab);
    let (web, db) = (stack.space("web-1"), stack.space("db"));
    let from =
        |source: &str| format!("ip netns exec {web} ping -n -c2 -W1 -i0.2 -I {source} 10.104.0.50 || true");
    let arrived = |rule: &str, script: &str| {
        counted(lab, "h2", &db, "inet", ENTRY, rule, || _ = lab.script("h1", script).ok())
    };
    settles(2, "the honest ping is seen", || arrived("ip saddr 10.104.0.80", &from("10.104.0.80")));
    // An unused address, and one of an instance on another host.
    for source in ["10.104.0.250", "10.104.0.81"] {
        let lie = format!(
            "ip -n {web} addr add {source}/32 dev eth0; {}; ip -n {web} addr del {source}/32 dev eth0",
            from(source)
        );
        assert_eq!(arrived(&format!("ip saddr {source}"), &lie), 0, "{source}");
    }
    let mac = text(&stack.nic("web-1", "production")["mac"]);
    let script = format!(
        "ip -n {web} link set eth0 address 02:00:00:00:00:66; {}; ip -n {web} link set eth0 address {mac}",
        from("10.104.0.80")
    );
    assert_eq!(arrived("ip saddr 10.104.0.80", &script), 0, "a hardware address of its own choice");
    ask(lab, stack, "web-1", &[("10.104.0.50:80", "traffic/db 10.104.0.80")]);
}

fn arp_lies_go_nowhere(lab: &Lab) {
    let stack = world(lab);
    let (web, jump) = (stack.space("web-1"), stack.space("jump"));
    let target = stack.address("jump", "production");
    let arrived = |source: &str, script: &str| {
        let rule = format!("arp saddr ip {source}");
        counted(lab, "h1", &jump, "arp", "type filter hook input priority 0", &rule, || {
            _ = lab.script("h1", script).ok()
        })
    };
    let asks = |source: &str| {
        format!(
            "ip -n {web} neigh flush dev eth0; ip netns exec {web} ping -n -c1 -W1 -I {source} {target} || true"
        )
    };
    let honest = || arrived("10.104.0.80", &asks("10.104.0.80")) > 0;
    assert!(until(30, honest), "the honest question is seen");
    let lie = format!(
        "ip -n {web} addr add 10.104.0.1/32 dev eth0; {}; ip -n {web} addr del 10.104.0.1/32 dev eth0",
        asks("10.104.0.1")
    );
    assert_eq!(arrived("10.104.0.1", &lie), 0, "nobody is told that web-1 is the gateway");
}

fn ipv6_between_instances_is_impossible(lab: &Lab) {
    let stack = world(lab);
    for (instance, last) in [("web-1", 1), ("jump", 2), ("db", 3)] {
        let space = stack.space(instance);
        let device = text(&stack.nic(instance, "production")["name"]);
        let script = format!(
            "ip netns exec {space} sysctl -qw net.ipv6.conf.{device}.disable_ipv6=0
             ip -n {space} addr add fe80::{last}/64 dev {device} nodad"
        );
        lab.script(&stack.host_of(instance), &script).ok();
    }
    let web = stack.space("web-1");
    let ping = |to: &str| {
        lab.exec("h1", &["ip", "netns", "exec", &web, "ping", "-6", "-n", "-c2", "-i0.2", "-W1", to]).code
    };
    assert!(until(30, || ping("fe80::1%eth0") == 0), "its own");
    assert_ne!(ping("fe80::2%eth0"), 0, "on the same host");
    assert_ne!(ping("fe80::3%eth0"), 0, "on another host");
}

fn an_unknown_destination_puts_nothing_on_the_underlay(lab: &Lab) {
    let stack = world(lab);
    let rule = format!("udp dport {}", stack.resolved["tunnel_port"]);
    let web = stack.space("web-1");
    let sent = |options: &str| {
        let script = format!(
            "ip -n {web} neigh flush dev eth0; ip netns exec {web} ping -n -c2 -i0.2 -W1 {options} || true"
        );
        counted(lab, "h1", "", "inet", "type filter hook output priority 0", &rule, || {
            _ = lab.script("h1", &script).ok()
        })
    };
    settles(2, "two echoes, and not one question", || sent("10.104.0.50"));
    settles(0, "an address nobody has", || sent("10.104.77.77"));
    settles(0, "broadcast", || sent("-b 10.104.255.255"));
    settles(0, "multicast", || sent("224.0.0.1"));
}

fn packets_of_exactly_the_mtu_pass(lab: &Lab) {
    let stack = world(lab);
    let mtu = stack.network("production")["mtu"].as_u64().unwrap();
    let ping = |instance: &str, to: &str, bytes: u64, limit: &str| {
        let size = (bytes - 28).to_string(); // 20 of IP (RFC 791), 8 of ICMP (RFC 792)
        let argv = [
            "ip",
            "netns",
            "exec",
            &stack.space(instance),
            "ping",
            "-n",
            "-c1",
            limit,
            "-M",
            "do",
            "-s",
            &size,
            to,
        ];
        lab.exec(&stack.host_of(instance), &argv).code == 0
    };
    for (instance, to) in
        [("web-1", "10.104.0.50"), ("db", "10.104.0.80"), ("db", "10.104.0.1"), ("admin", "10.104.0.80")]
    {
        assert!(ping(instance, to, mtu, "-w30"), "{instance} to {to}: {mtu}");
        assert!(!ping(instance, to, mtu + 1, "-w1"), "{instance} to {to}: {}", mtu + 1);
    }
}
