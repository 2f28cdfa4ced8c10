//! What is allowed and what is not, tested with real packets between namespaces in place of instances.

use crate::peer::{self, Server, answer, ask_here, tries};
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
];

const OPERATOR: &str = "198.18.0.1";

struct World {
    stack: Stack,
    _servers: Vec<Server>,
}

static WORLD: OnceLock<World> = OnceLock::new();

pub(crate) fn servers(lab: &Lab, stack: &Stack) -> Vec<Server> {
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

pub(crate) fn world(lab: &Lab) -> &'static Stack {
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
#[track_caller]
pub(crate) fn ask(lab: &Lab, stack: &Stack, instance: &str, wanted: &[(&str, &str)]) {
    tries(lab, (&stack.host_of(instance), &stack.space(instance)), wanted);
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
        // The server sees the gateway's host, on whatever host the instance is.
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
        // h2 is not the gateway: replies must come back through it, so the server sees its leg.
        ("198.18.0.12:8080", by_leg("web-2")),
        ("198.18.0.11:8100", format!("traffic/web-1 {OPERATOR}")),
        ("198.18.0.12:8101", by_leg("web-2")),
        ("198.18.0.11:8102", String::new()),
        ("198.18.0.12:5353/udp", by_leg("db")),
        ("198.18.0.12:9000", by_leg("db")),
        ("198.18.0.11:80", String::new()),
        ("198.18.0.11:9000", String::new()),
        ("198.18.0.12:10022", String::new()),
    ];
    let wanted = wanted.each_ref().map(|(t, a)| (*t, a.as_str()));
    tries(lab, ("", ""), &wanted);
    // A neighbour of the hosts may send anything to them; they must not route it into the stack.
    lab.run(&["ip", "route", "add", "10.104.0.0/16", "via", "198.18.0.11"]).ok();
    let inside = ["10.104.0.80:80", "10.104.0.80/icmp", "10.104.0.50:80"];
    let got = ask_here(lab, &inside);
    lab.run(&["ip", "route", "del", "10.104.0.0/16", "via", "198.18.0.11"]).ok();
    assert!(got.values().all(String::is_empty), "{got:?}");
}

fn published_ports_serve_peers_the_host_itself_and_hairpins(lab: &Lab) {
    let stack = world(lab);
    let from_h2 = [("198.18.0.11:8080", "traffic/web-1 198.18.0.12"), ("198.18.0.12:9000", "")];
    tries(lab, ("h2", ""), &from_h2);
    let from_h3 = [("198.18.0.11:8080", "traffic/web-1 198.18.0.13"), ("198.18.0.12:9000", "")];
    tries(lab, ("h3", ""), &from_h3);
    for target in ["198.18.0.11:8080", "198.18.0.11:10022"] {
        let own = answer(lab, ("h1", ""), target);
        assert!(own.starts_with("traffic/"), "{target}: {own}");
    }
    for instance in ["web-1", "db", "admin"] {
        let got = answer(lab, (&stack.host_of(instance), &stack.space(instance)), "198.18.0.11:8080");
        assert!(got.starts_with("traffic/web-1 "), "{instance}: {got}");
    }
}
