//! Forged tunnel packets. VXLAN does not authenticate its sender (RFC 7348, section 7), so all places that could send with
//! a peer's address are tested: instances, other stacks, other namespaces of a host, its users.

use crate::peer::tunnel_from;
use crate::stack::{Stack, text};
use crate::traffic::world;
use crate::wire::{ENTRY, counted, settles};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("tunnel_packets_from_strangers_are_dropped", tunnel_packets_from_strangers_are_dropped),
    ("tunnels_send_from_ports_of_their_own", tunnels_send_from_ports_of_their_own),
    ("users_of_a_host_cannot_forge_tunnel_packets", users_of_a_host_cannot_forge_tunnel_packets),
    ("instances_cannot_forge_tunnel_packets", instances_cannot_forge_tunnel_packets),
    (
        "other_namespaces_of_a_host_cannot_forge_tunnel_packets",
        other_namespaces_of_a_host_cannot_forge_tunnel_packets,
    ),
    ("a_tunnel_without_ports_of_its_own_is_made_anew", a_tunnel_without_ports_of_its_own_is_made_anew),
];

/// A source port reserved for tunnels, and one that anybody may use.
const OWN: &str = "62001";
const OTHER: &str = "40001";

/// Forged packets that reach an instance: `from` a host (and words before the command), from `source`, to the tunnels of the
/// instance's host.
fn arrived(lab: &Lab, instance: &str, from: (&str, &str), source: &str) -> u64 {
    let stack = world(lab);
    let host = stack.host_of(instance);
    let to = format!("{}:{}", stack.host_address(&host), stack.resolved["tunnel_port"]);
    let vni = stack.network("production")["vni"].to_string();
    let (mac, address) =
        (text(&stack.nic(instance, "production")["mac"]), stack.address(instance, "production"));
    let send = || tunnel_from(lab, from, &[&to, &vni, &mac, &address, source]);
    counted(lab, &host, &stack.space(instance), "inet", ENTRY, "udp dport 9999", send)
}

/// Any address, this port.
fn any(port: &str) -> String {
    format!("0.0.0.0:{port}")
}

fn tunnel_packets_from_strangers_are_dropped(lab: &Lab) {
    // The rules against the host's own users are removed there, to show that the packet is valid.
    let stack = world(lab);
    let lift = "nft insert rule inet lsx-traffic sent udp sport { 62001, 40001 } accept";
    let back = "nft delete rule inet lsx-traffic sent handle $(nft -a list chain inet lsx-traffic sent | sed -n 's/.*62001.*handle //p')";
    lab.script("h2", lift).ok();
    settles(1, "a peer may speak for the network", || arrived(lab, "web-1", ("h2", ""), &any(OWN)));
    let other = arrived(lab, "web-1", ("h2", ""), &any(OTHER));
    lab.script("h2", back).ok();
    assert_eq!(other, 0, "a peer, but not from a tunnel's port");
    let steps = lab.net(&["plan", &stack.file]).ok().json()["steps"].to_string();
    assert!(!steps.contains("firewall"), "the rules are as they were: {steps}");
    for port in [OWN, OTHER] {
        assert_eq!(arrived(lab, "web-1", ("h3", ""), &any(port)), 0, "another host of the lab");
        assert_eq!(arrived(lab, "web-1", ("", ""), &any(port)), 0, "the operator's machine");
    }
}

fn tunnels_send_from_ports_of_their_own(lab: &Lab) {
    let stack = world(lab);
    let (web, port) = (stack.space("web-1"), &stack.resolved["tunnel_port"]);
    let sent = |rule: &str| {
        let ping = format!("ip netns exec {web} ping -n -c3 -i0.2 -W1 10.104.0.50 || true");
        let act = || _ = lab.script("h1", &ping).ok();
        counted(lab, "h1", "", "inet", "type filter hook postrouting priority 300", rule, act)
    };
    settles(3, "from their own", || sent(&format!("udp dport {port} udp sport 61000-65535")));
    assert_eq!(sent(&format!("udp dport {port} udp sport 1-60999")), 0, "from no other");
    for host in ["h1", "h2"] {
        let links = lab.json(host, "ip -d -j link show type vxlan");
        let ranges: Vec<String> = links
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["linkinfo"]["info_data"]["port_range"].to_string())
            .collect();
        assert!(!ranges.is_empty() && ranges.iter().all(|r| r.contains("61000")), "{ranges:?}");
    }
}

fn users_of_a_host_cannot_forge_tunnel_packets(lab: &Lab) {
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    for who in ["", nobody] {
        for port in [OWN, OTHER] {
            assert_eq!(arrived(lab, "web-1", ("h2", who), &any(port)), 0, "{who} {port} to a peer");
            // To the tunnels of the host itself, with its address.
            let own = format!("198.18.0.11:{port}");
            assert_eq!(arrived(lab, "web-1", ("h1", who), &own), 0, "{who} {port} to its own host");
        }
    }
}

fn instances_cannot_forge_tunnel_packets(lab: &Lab) {
    let stack = world(lab);
    let enter = |stack: &Stack, instance: &str| format!("ip netns exec {}", stack.space(instance));
    let other = Stack::up(lab, &lab.file("forger.yaml", include_str!("forger.yaml")), &[]);
    other.attach(lab);
    let mut passed = Vec::new();
    for port in [OWN, OTHER] {
        for (from, instance) in
            [(stack, "web-1"), (stack, "web-2"), (stack, "admin"), (&other, "one"), (&other, "two")]
        {
            for target in ["db", "web-1"] {
                let host = from.host_of(instance);
                let own = from.name() == stack.name() && (instance, target) == ("web-1", "web-1");
                if !own && arrived(lab, target, (&host, &enter(from, instance)), &any(port)) != 0 {
                    passed.push(format!("{}/{instance} from {port} to {target}", from.name()));
                }
            }
        }
    }
    // The source ports chosen by instances are translated away from those of tunnels.
    let one = enter(&other, "one");
    let translated = |rule: &str| {
        let send = || {
            tunnel_from(
                lab,
                ("h1", &one),
                &["198.18.0.1:7999", "1", "02:00:00:00:00:01", "10.0.0.1", &any(OWN)],
            )
        };
        counted(lab, "h1", "", "inet", "type filter hook postrouting priority 300", rule, send)
    };
    let theirs = translated("ip saddr 198.18.0.11 udp dport 7999 udp sport 61000-65535");
    // What was sent may be counted a moment later.
    let ours = || translated("ip saddr 198.18.0.11 udp dport 7999 udp sport 1024-60999") == 1;
    let ours = until(30, ours);
    other.detach(lab);
    other.down(lab, &[]);
    assert_eq!(passed, Vec::<String>::new());
    assert_eq!((theirs, ours), (0, true), "masquerade keeps clear of the ports of tunnels");
}

fn other_namespaces_of_a_host_cannot_forge_tunnel_packets(lab: &Lab) {
    // As a container: a namespace behind a veth, whose packets leave with the host's address and the same ports.
    let make = "ip netns add theirs
        ip link add their0 type veth peer name eth0 netns theirs
        ip addr add 172.31.9.1/24 dev their0; ip link set their0 up
        ip -n theirs addr add 172.31.9.2/24 dev eth0; ip -n theirs link set eth0 up
        ip -n theirs addr add 198.18.0.12/32 dev eth0
        ip -n theirs route add default via 172.31.9.1
        nft add table ip theirs
        nft add chain ip theirs post '{ type nat hook postrouting priority srcnat; }'
        nft add rule ip theirs post ip saddr 172.31.9.0/24 masquerade
        sysctl -qw net.ipv4.conf.their0.rp_filter=0 net.ipv4.conf.all.rp_filter=0";
    lab.script("h1", make).ok();
    let from = ("h1", "ip netns exec theirs");
    let mut passed = Vec::new();
    for port in [OWN, OTHER] {
        if arrived(lab, "db", from, &format!("172.31.9.2:{port}")) != 0 {
            passed.push(format!("by a masquerade, {port}"));
        }
        // With the address of a peer, to the host that it runs on.
        if arrived(lab, "web-1", from, &format!("198.18.0.12:{port}")) != 0 {
            passed.push(format!("with a peer's address, {port}"));
        }
    }
    lab.script("h1", "nft delete table ip theirs; ip link del their0; ip netns del theirs").ok();
    assert_eq!(passed, Vec::<String>::new());
}

/// As an older lsx-net made it.
fn a_tunnel_without_ports_of_its_own_is_made_anew(lab: &Lab) {
    let stack = world(lab);
    let network = stack.network("production");
    let (link, vni) = (text(&network["tunnel"]), network["vni"].to_string());
    let (port, bridge) = (&stack.resolved["tunnel_port"], text(&network["bridge"]));
    let old = format!(
        "ip link del {link}
        ip link add {link} group 7107448 type vxlan id {vni} dstport {port} local 198.18.0.12 nolearning
        ip link property add dev {link} altname lsx:traffic:production:tunnel
        ip link set {link} master {bridge} up"
    );
    lab.script("h2", &old).ok();
    let steps = lab.net(&["plan", &stack.file]).ok().json()["steps"].to_string();
    assert!(steps.contains("source_ports"), "{steps}");
    lab.net(&["up", &stack.file]).ok();
    let made = lab.json("h2", &format!("ip -d -j link show {link}"))[0]["linkinfo"]["info_data"].clone();
    assert!(made["port_range"].to_string().contains("61000"), "{made}");
    crate::traffic::ask(lab, stack, "db", &[("10.104.0.80:80", "traffic/web-1 10.104.0.50")]);
}
