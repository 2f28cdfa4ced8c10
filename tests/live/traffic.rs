//! What may pass and what may not, tried with real packets between namespaces that stand in for instances.

use crate::kernel::{difference, snapshot};
use crate::peer::{self, Server, ask_from, ask_here, expect};
use crate::stack::{Stack, text};
use lsx_tests::lab::Lab;
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    ("one_network_spans_the_hosts", one_network_spans_the_hosts),
    ("networks_are_closed_but_for_what_is_allowed", networks_are_closed_but_for_what_is_allowed),
    ("a_jump_box_carries_no_packets_of_others", a_jump_box_carries_no_packets_of_others),
    ("egress_leaves_by_the_gateway_where_it_is_open", egress_leaves_by_the_gateway_where_it_is_open),
    ("hosts_answer_instances_by_icmp_alone", hosts_answer_instances_by_icmp_alone),
    ("the_world_comes_in_by_published_ports_alone", the_world_comes_in_by_published_ports_alone),
    (
        "published_ports_serve_peers_the_host_itself_and_hairpins",
        published_ports_serve_peers_the_host_itself_and_hairpins,
    ),
    ("spoofed_sources_go_nowhere", spoofed_sources_go_nowhere),
    ("arp_lies_go_nowhere", arp_lies_go_nowhere),
    ("ipv6_between_instances_is_impossible", ipv6_between_instances_is_impossible),
    ("tunnel_packets_from_strangers_are_dropped", tunnel_packets_from_strangers_are_dropped),
    (
        "an_unknown_destination_puts_nothing_on_the_underlay",
        an_unknown_destination_puts_nothing_on_the_underlay,
    ),
    ("packets_of_exactly_the_mtu_pass", packets_of_exactly_the_mtu_pass),
    ("a_stack_does_not_reach_another_by_their_host", a_stack_does_not_reach_another_by_their_host),
    ("two_stacks_with_the_same_addresses_do_not_meet", two_stacks_with_the_same_addresses_do_not_meet),
];

const OPERATOR: &str = "198.18.0.1";

struct World {
    stack: Stack,
    _servers: Vec<Server>,
}

static WORLD: OnceLock<World> = OnceLock::new();

fn servers(lab: &Lab, stack: &Stack) -> Vec<Server> {
    let serve = |instance: &str, ports: &[&str]| {
        let name = format!("{}/{instance}", stack.name());
        peer::serve_in(lab, &stack.host_of(instance), &stack.space(instance), &name, ports)
    };
    vec![
        serve("jump", &["22"]),
        serve("admin", &["80"]),
        serve("probe", &["80"]),
        serve("web-1", &["80", "81"]),
        serve("web-2", &["80", "81"]),
        serve("db", &["80", "53/udp"]),
        serve("left", &["80"]),
        serve("right", &["80"]),
    ]
}

fn world(lab: &Lab) -> &'static Stack {
    let world = WORLD.get_or_init(|| {
        peer::install(lab, &["h1", "h2", "h3"]);
        let stack = Stack::up(lab, &lab.file("traffic.yaml", include_str!("traffic.yaml")), &[]);
        stack.attach(lab);
        let mut servers = servers(lab, &stack);
        servers.push(peer::serve_here(lab, "operator", &["7000"]));
        World { stack, _servers: servers }
    });
    &world.stack
}

/// Tries targets from an instance.
fn ask(lab: &Lab, stack: &Stack, instance: &str, wanted: &[(&str, &str)]) {
    let targets: Vec<&str> = wanted.iter().map(|(target, _)| *target).collect();
    expect(&ask_from(lab, &stack.host_of(instance), &stack.space(instance), &targets), wanted);
}

fn one_network_spans_the_hosts(lab: &Lab) {
    let stack = world(lab);
    let web = [
        ("10.104.0.80/icmp", "echo"),
        ("10.104.0.80:80", "traffic/web-1 10.104.0.50"),
        ("10.104.0.80:81", "traffic/web-1 10.104.0.50"),
        ("10.104.0.81:80", "traffic/web-2 10.104.0.50"),
    ];
    ask(lab, stack, "db", &web);
    ask(
        lab,
        stack,
        "web-1",
        &[("10.104.0.50:80", "traffic/db 10.104.0.80"), ("10.104.0.50:53/udp", "traffic/db 10.104.0.80")],
    );
    ask(lab, stack, "left", &[("10.105.0.20:80", "traffic/right 10.105.0.10"), ("10.105.0.20/icmp", "echo")]);
}

fn networks_are_closed_but_for_what_is_allowed(lab: &Lab) {
    let stack = world(lab);
    let (admin, probe) = (stack.address("admin", "management"), stack.address("probe", "test"));
    let from_probe = format!("traffic/web-1 {probe}");
    let (admin_http, probe_http) = (format!("{admin}:80"), format!("{probe}:80"));
    let (admin_icmp, probe_icmp) = (format!("{admin}/icmp"), format!("{probe}/icmp"));
    let tried = [
        ("10.104.0.80:80", from_probe.as_str()),
        ("10.104.0.80:81", ""),
        ("10.104.0.80/icmp", "echo"),
        ("10.104.0.50:53/udp", ""),
        (admin_http.as_str(), ""),
        (admin_icmp.as_str(), ""),
        ("10.105.0.10/icmp", ""),
    ];
    ask(lab, stack, "probe", &tried);
    let from_admin = [
        ("10.104.0.80:81", format!("traffic/web-1 {admin}")),
        ("10.104.0.50:53/udp", format!("traffic/db {admin}")),
        (probe_http.as_str(), format!("traffic/probe {admin}")),
        (probe_icmp.as_str(), "echo".to_owned()),
        ("10.105.0.10:80", String::new()),
    ];
    ask(lab, stack, "admin", &from_admin.each_ref().map(|(t, a)| (*t, a.as_str())));
    ask(
        lab,
        stack,
        "web-2",
        &[
            (admin_http.as_str(), ""),
            (admin_icmp.as_str(), ""),
            (probe_http.as_str(), ""),
            (probe_icmp.as_str(), ""),
        ],
    );
    ask(lab, stack, "right", &[("10.104.0.50:80", ""), ("10.104.0.50/icmp", "")]);
}

fn a_jump_box_carries_no_packets_of_others(lab: &Lab) {
    let stack = world(lab);
    let admin = stack.address("admin", "management");
    lab.script("h1", &format!("ip netns exec {} sysctl -qw net.ipv4.ip_forward=1", stack.space("jump"))).ok();
    let (via, space) = (stack.address("jump", "test"), stack.space("probe"));
    lab.script("h2", &format!("ip -n {space} route add {admin}/32 via {via}")).ok();
    let neighbour = format!("{via}:22");
    ask(lab, stack, "probe", &[(&neighbour, &format!("traffic/jump {}", stack.address("probe", "test")))]);
    let target = format!("{admin}:80");
    ask(lab, stack, "probe", &[(&target, "")]);
    lab.script("h2", &format!("ip -n {space} route del {admin}/32 via {via}")).ok();
}

fn egress_leaves_by_the_gateway_where_it_is_open(lab: &Lab) {
    let stack = world(lab);
    for instance in ["admin", "web-1", "web-2"] {
        // Whoever answers sees the gateway's host, on whatever host the instance is.
        ask(
            lab,
            stack,
            instance,
            &[("198.18.0.1:7000", "operator 198.18.0.11"), ("198.18.0.1/icmp", "echo")],
        );
    }
    ask(lab, stack, "probe", &[("198.18.0.1:7000", ""), ("198.18.0.1/icmp", "")]);
    ask(lab, stack, "left", &[("198.18.0.1:7000", ""), ("198.18.0.1/icmp", "")]);
}

fn hosts_answer_instances_by_icmp_alone(lab: &Lab) {
    let stack = world(lab);
    let leg = text(&stack.resolved["leg"]);
    let leg: std::net::Ipv4Addr = leg.split('/').next().unwrap().parse().unwrap();
    let (by_leg, router) =
        (format!("{leg}:22"), format!("{}:22", std::net::Ipv4Addr::from(u32::from(leg) | 1)));
    let closed = [
        ("198.18.0.11:22", ""),
        ("198.18.0.12:22", ""),
        (by_leg.as_str(), ""),
        (router.as_str(), ""),
        ("10.104.0.1:22", ""),
    ];
    for instance in ["admin", "web-1", "db", "probe"] {
        ask(lab, stack, instance, &closed);
    }
    ask(lab, stack, "web-1", &[("10.104.0.1/icmp", "echo")]);
    assert_eq!(
        lab.run(&["ssh", "-F", &ssh_config(lab), "h1", "true"]).code,
        0,
        "the host itself is open to others"
    );
}

fn ssh_config(lab: &Lab) -> String {
    text(&lab.verb(&["status"]).json()["config"])
}

fn the_world_comes_in_by_published_ports_alone(lab: &Lab) {
    let stack = world(lab);
    let network = stack.network("production");
    let leg = network["legs"].as_array().unwrap().iter().find(|l| l["host"] == "h2").unwrap();
    let by_leg = |name: &str| format!("traffic/{name} {}", text(&leg["address"]));
    let wanted = [
        ("198.18.0.11:10022", format!("traffic/jump {OPERATOR}")),
        ("198.18.0.11:8080", format!("traffic/web-1 {OPERATOR}")),
        // h2 is not the gateway: replies must come back by it, so the server sees its leg.
        ("198.18.0.12:8080", by_leg("web-2")),
        ("198.18.0.12:5353/udp", by_leg("db")),
        ("198.18.0.12:9000", by_leg("db")),
        ("198.18.0.11:80", String::new()),
        ("198.18.0.11:9000", String::new()),
        ("198.18.0.12:10022", String::new()),
    ];
    let wanted = wanted.each_ref().map(|(t, a)| (*t, a.as_str()));
    expect(&ask_here(lab, &wanted.map(|(t, _)| t)), &wanted);
    // A neighbour of the hosts may send anything to them; they must not route it in.
    lab.run(&["ip", "route", "add", "10.104.0.0/16", "via", "198.18.0.11"]).ok();
    let inside = ["10.104.0.80:80", "10.104.0.80/icmp", "10.104.0.50:80"];
    let got = ask_here(lab, &inside);
    lab.run(&["ip", "route", "del", "10.104.0.0/16", "via", "198.18.0.11"]).ok();
    expect(&got, &inside.map(|t| (t, "")));
}

fn published_ports_serve_peers_the_host_itself_and_hairpins(lab: &Lab) {
    let stack = world(lab);
    let from_h2 = [("198.18.0.11:8080", "traffic/web-1 198.18.0.12"), ("198.18.0.12:9000", "")];
    expect(&ask_from(lab, "h2", "", &from_h2.map(|(t, _)| t)), &from_h2);
    let from_h3 = [("198.18.0.11:8080", "traffic/web-1 198.18.0.13"), ("198.18.0.12:9000", "")];
    expect(&ask_from(lab, "h3", "", &from_h3.map(|(t, _)| t)), &from_h3);
    let own = ask_from(lab, "h1", "", &["198.18.0.11:8080", "198.18.0.11:10022"]);
    assert!(own.values().all(|a| a.starts_with("traffic/")), "{own:?}");
    for instance in ["web-1", "db", "admin"] {
        let got = ask_from(lab, &stack.host_of(instance), &stack.space(instance), &["198.18.0.11:8080"]);
        assert!(got["198.18.0.11:8080"].starts_with("traffic/web-1 "), "{instance}: {got:?}");
    }
}

/// Counts packets in a namespace while something happens: one nft rule, and how often it matched.
fn counted(
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

/// Counts until there are as many as wanted: what else is on the wire can only add to one of several tries.
#[track_caller]
fn settles(wanted: u64, what: &str, count: impl Fn() -> u64) {
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(count());
        if seen.last() == Some(&wanted) {
            return;
        }
    }
    panic!("{what}: {seen:?} packets, not {wanted}");
}

const ENTRY: &str = "type filter hook prerouting priority -400";

fn spoofed_sources_go_nowhere(lab: &Lab) {
    let stack = world(lab);
    let (web, db) = (stack.space("web-1"), stack.space("db"));
    let from =
        |source: &str| format!("ip netns exec {web} ping -n -c2 -W1 -i0.2 -I {source} 10.104.0.50 || true");
    let arrived = |rule: &str, script: &str| {
        counted(lab, "h2", &db, "inet", ENTRY, rule, || _ = lab.script("h1", script).ok())
    };
    settles(2, "the honest ping is seen", || arrived("ip saddr 10.104.0.80", &from("10.104.0.80")));
    // An address nobody has, and one of an instance on another host.
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
    assert!(arrived("10.104.0.80", &asks("10.104.0.80")) > 0, "the honest question is seen");
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
    assert_eq!(ping("fe80::1%eth0"), 0, "its own");
    assert_ne!(ping("fe80::2%eth0"), 0, "on the same host");
    assert_ne!(ping("fe80::3%eth0"), 0, "on another host");
}

fn tunnel_packets_from_strangers_are_dropped(lab: &Lab) {
    let stack = world(lab);
    let port = stack.resolved["tunnel_port"].to_string();
    let vni = stack.network("production")["vni"].to_string();
    let mac = text(&stack.nic("web-1", "production")["mac"]);
    let web = stack.space("web-1");
    let to = format!("198.18.0.11:{port}");
    let arrived = |from: Option<&str>| {
        let send = || peer::tunnel_from(lab, from, &[&to, &vni, &mac, "10.104.0.80"]);
        counted(lab, "h1", &web, "inet", ENTRY, "udp dport 9999", send)
    };
    settles(1, "a peer may speak for the network", || arrived(Some("h2")));
    assert_eq!(arrived(Some("h3")), 0, "another host of the lab");
    assert_eq!(arrived(None), 0, "the operator's machine");
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
    let ping = |instance: &str, to: &str, bytes: u64| {
        let size = (bytes - 28).to_string(); // 20 of IP (RFC 791), 8 of ICMP (RFC 792)
        let argv = [
            "ip",
            "netns",
            "exec",
            &stack.space(instance),
            "ping",
            "-n",
            "-c1",
            "-W1",
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
        assert!(ping(instance, to, mtu), "{instance} to {to}: {mtu}");
        assert!(!ping(instance, to, mtu + 1), "{instance} to {to}: {}", mtu + 1);
    }
}

fn a_stack_does_not_reach_another_by_their_host(lab: &Lab) {
    let first = world(lab);
    // A stack whose network the host itself may enter has a route there, which is there for everyone on the host.
    let text = include_str!("small.yaml").replace("8080:80", "8888:80")
        + "\nallow:\n  - { from: host/h1, to: lan }\n";
    let other = Stack::up(lab, &lab.file("small.yaml", &text), &[]);
    other.attach(lab);
    let one = format!("{}:80", other.address("one", "lan"));
    {
        let _server = peer::serve_in(lab, "h1", &other.space("one"), "small/one", &["80"]);
        let own = ask_from(lab, "h1", "", &[&one]);
        assert!(own[&one].starts_with("small/one "), "the host may: {own:?}");
        for instance in ["web-1", "db", "admin"] {
            ask(lab, first, instance, &[(&one, "")]);
        }
        expect(&ask_from(lab, "h2", "", &[&one]), &[(&one, "")]);
    }
    other.detach(lab);
    other.down(lab, &[]);
}

/// The same document under another name: the same addresses, other ports to the world.
fn second(lab: &Lab) -> String {
    let text = include_str!("traffic.yaml").replace("10022:22", "20022:22").replace("8080:80", "18080:80");
    lab.file("second.yaml", &text.replace("5353:53", "15353:53").replace("listen: 9000", "listen: 19000"))
}

fn two_stacks_with_the_same_addresses_do_not_meet(lab: &Lab) {
    let first = world(lab);
    let file = second(lab);
    let port = format!("tunnel_port={}", first.resolved["tunnel_port"]);
    lab.net(&["up", &file, "--set", "stack=b", "--set", &port]).exits(65).says("stack traffic");
    lab.net(&["up", &first.file, "--set", "stack=b"]).exits(65).says("stack traffic");
    let before: Vec<_> = ["h1", "h2"].map(|h| snapshot(lab, h)).into();
    let file =
        lab.file("b.yaml", &std::fs::read_to_string(file).unwrap().replace("stack: traffic", "stack: b"));
    let other = Stack::up(lab, &file, &[]);
    other.attach(lab);
    {
        let _servers = servers(lab, &other);
        assert_eq!(first.address("db", "production"), other.address("db", "production"));
        ask(lab, first, "db", &[("10.104.0.80:80", "traffic/web-1 10.104.0.50")]);
        ask(lab, &other, "db", &[("10.104.0.80:80", "b/web-1 10.104.0.50")]);
        ask(lab, first, "left", &[("10.105.0.20:80", "traffic/right 10.105.0.10")]);
        ask(lab, &other, "left", &[("10.105.0.20:80", "b/right 10.105.0.10")]);
        let wanted =
            [("198.18.0.11:8080", "traffic/web-1 198.18.0.1"), ("198.18.0.11:18080", "b/web-1 198.18.0.1")];
        expect(&ask_here(lab, &wanted.map(|(t, _)| t)), &wanted);
        ask(lab, &other, "web-2", &[("198.18.0.1:7000", "operator 198.18.0.11")]);
        let all = lab.exec("h1", &[&crate::stack::tool_on(lab, "h1"), "observe"]).ok().json();
        let attached: Vec<&str> =
            all["attached"].as_array().unwrap().iter().map(|a| a["stack"].as_str().unwrap()).collect();
        assert!(attached.contains(&"traffic") && attached.contains(&"b"), "{attached:?}");
        let bridges =
            all["objects"].as_array().unwrap().iter().filter(|o| o["object"]["object"] == "bridge").count();
        assert_eq!(bridges, 8, "observe without a stack shows those of all");
    }
    lab.net(&["down", &file]).exits(1).says("still attached");
    other.detach(lab);
    other.down(lab, &[]);
    for (host, before) in ["h1", "h2"].iter().zip(&before) {
        let left = difference(before, &snapshot(lab, host));
        assert!(left.is_empty(), "{host}\n{left}");
    }
    ask(lab, first, "db", &[("10.104.0.80:80", "traffic/web-1 10.104.0.50")]);
    first.detach(lab);
    first.down(lab, &[]);
}
