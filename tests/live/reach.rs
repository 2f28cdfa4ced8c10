//! Reachability: addresses of hosts, published ports from everywhere, special ranges, gateways, and the world if an `allow`
//! permits it. The table is in lsx-stack(5); each cell is tested here.

use crate::peer::{self, Server, answer, ask_from, ask_here, tries};
use crate::stack::Stack;
use crate::wire::{ENTRY, counted};
use lsx_tests::lab::{Lab, until};
use std::collections::BTreeMap;
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    (
        "every_address_of_every_host_is_closed_to_instances",
        every_address_of_every_host_is_closed_to_instances,
    ),
    ("published_ports_answer_alike_on_every_host", published_ports_answer_alike_on_every_host),
    ("load_balancers_answer_alike_on_every_host", load_balancers_answer_alike_on_every_host),
    ("a_port_of_one_address_is_closed_on_the_others", a_port_of_one_address_is_closed_on_the_others),
    ("special_ranges_never_leave_the_router", special_ranges_never_leave_the_router),
    (
        "a_gateway_answers_its_own_network_and_who_may_reach_it",
        a_gateway_answers_its_own_network_and_who_may_reach_it,
    ),
];

pub(crate) const FILE: &str = include_str!("reach.yaml");

struct World {
    stack: Stack,
    _servers: Vec<Server>,
}

static WORLD: OnceLock<World> = OnceLock::new();

/// The stack, on hosts with a second address each.
pub(crate) fn world(lab: &Lab) -> &'static Stack {
    let world = WORLD.get_or_init(|| {
        peer::install(lab, &["h1", "h2", "h3"]);
        for (host, address) in [("h1", "198.18.0.111"), ("h2", "198.18.0.112")] {
            lab.script(host, &format!("ip addr add {address}/32 dev eth0")).ok();
        }
        let stack = Stack::up(lab, &lab.file("reach.yaml", FILE), &[]);
        stack.attach(lab);
        let serve = |instance: &str, ports: &[&str]| {
            let name = format!("reach/{instance}");
            peer::serve_in(lab, &stack.host_of(instance), &stack.space(instance), &name, ports)
        };
        let servers = vec![
            serve("web", &["80", "81"]),
            serve("app", &["80"]),
            serve("db", &["80", "81", "82/echo", "53/udp"]),
            serve("two", &["80", "53/udp"]),
            serve("lone", &["80"]),
            peer::serve_in(lab, "h1", "", "host/h1", &["7101"]),
            peer::serve_in(lab, "h2", "", "host/h2", &["7101"]),
            peer::serve_in(lab, "h3", "", "host/h3", &["7101"]),
        ];
        let ready = || !ask_here(lab, &["198.18.0.12:8098"])["198.18.0.12:8098"].is_empty();
        assert!(until(30, ready), "the load balancer has found its replica");
        World { stack, _servers: servers }
    });
    &world.stack
}

pub(crate) fn ask(lab: &Lab, instance: &str, targets: &[&str]) -> BTreeMap<String, String> {
    let stack = world(lab);
    ask_from(lab, &stack.host_of(instance), &stack.space(instance), targets)
}

/// Tries targets from an instance.
#[track_caller]
pub(crate) fn from(lab: &Lab, instance: &str, wanted: &[(&str, &str)]) {
    let stack = world(lab);
    tries(lab, (&stack.host_of(instance), &stack.space(instance)), wanted);
}

fn every_address_of_every_host_is_closed_to_instances(lab: &Lab) {
    world(lab);
    let all = ["198.18.0.11:7101", "198.18.0.111:7101", "198.18.0.12:7101", "198.18.0.112:7101"];
    for target in all {
        let answer = answer(lab, ("h3", ""), target);
        assert!(answer.starts_with("host/"), "{target} answers the world: {answer}");
    }
    // `to: world` does not include the hosts of the stack.
    let wanted: Vec<(&str, &str)> =
        all.iter().map(|t| (*t, "")).chain([("198.18.0.13:7101", "host/h3 198.18.0.11")]).collect();
    for instance in ["web", "app"] {
        from(lab, instance, &wanted);
    }
    let by_h2: Vec<(&str, &str)> =
        all.iter().map(|t| (*t, "")).chain([("198.18.0.13:7101", "host/h3 198.18.0.12")]).collect();
    from(lab, "lone", &by_h2);
    from(lab, "db", &all.map(|t| (t, "")));
    // A new address is a difference, and blocked after the next `up`.
    lab.script("h2", "ip addr add 198.18.0.122/32 dev eth0").ok();
    lab.net(&["plan", "--exit-code", &world(lab).file]).exits(2);
    lab.net(&["up", &world(lab).file]).ok();
    from(lab, "web", &[("198.18.0.122:7101", "")]);
    lab.script("h2", "ip addr del 198.18.0.122/32 dev eth0").ok();
    lab.net(&["up", &world(lab).file]).ok();
}

/// Source addresses as in the table: a client in an instance is seen with its own address if its router forwards it, and as
/// its gateway's host if another host publishes the port.
fn published_ports_answer_alike_on_every_host(lab: &Lab) {
    let stack = world(lab);
    let (db, two) = (stack.address("db", "back"), stack.address("two", "front"));
    let targets = ["198.18.0.11:8090", "198.18.0.12:8091", "198.18.0.12:8093", "198.18.0.111:8094"];
    let foot = stack.leg("front", "h2");
    let table: [(&str, &str, [&str; 4]); 4] = [
        // On the network of web and app: translated to the router, on the gateway's host or not.
        ("h2", "two", ["10.140.0.1", "10.140.0.1", "198.18.0.11", &two]),
        // On another network of the same router, without egress.
        ("h1", "db", [&db, &db, "198.18.0.11", "10.141.0.1"]),
        // Behind the router of another host, which has an address on the network of web and app, but not on that of db.
        ("h2", "lone", [&foot, &foot, "10.142.0.1", "198.18.0.12"]),
        // The world. The host of app is not the gateway of its network: replies must come back through it.
        ("h3", "", ["198.18.0.13", &foot, "198.18.0.13", "198.18.0.13"]),
    ];
    for (host, instance, sources) in &table {
        let space = if instance.is_empty() { String::new() } else { stack.space(instance) };
        let names = ["web", "app", "lone", "db"];
        let wanted: Vec<String> =
            names.iter().zip(sources).map(|(name, source)| format!("reach/{name} {source}")).collect();
        let wanted: Vec<(&str, &str)> = targets.into_iter().zip(wanted.iter().map(String::as_str)).collect();
        tries(lab, (host, &space), &wanted);
    }
    // By every address that a host has.
    let further = ["198.18.0.111:8090", "198.18.0.112:8091", "198.18.0.112:8093"];
    let seen = [format!("reach/web {db}"), format!("reach/app {db}"), "reach/lone 198.18.0.11".to_owned()];
    let wanted: Vec<(&str, &str)> = further.into_iter().zip(seen.iter().map(String::as_str)).collect();
    from(lab, "db", &wanted);
    for (host, target) in ["h1", "h2"].iter().flat_map(|host| targets.map(|target| (host, target))) {
        let answer = answer(lab, (host, ""), target);
        assert!(answer.starts_with("reach/"), "{host} at {target}: {answer}");
    }
}

/// At every address of their host, behind its router or another's; with `from` only where the source is known.
fn load_balancers_answer_alike_on_every_host(lab: &Lab) {
    let stack = world(lab);
    let foot = format!("reach/web {}", stack.leg("front", "h2"));
    let targets = ["198.18.0.12:8098", "198.18.0.112:8098", "198.18.0.12:8099"];
    let all = [foot.as_str(), &foot, ""];
    let table = [
        ("h1", "web", all),                            // the network of the replicas
        ("h1", "db", all),                             // another network of its router, without egress
        ("h2", "app", all), // on the host of the load balancer, with the router of another
        ("h2", "lone", [foot.as_str(), &foot, &foot]), // behind the router of the load balancer
        ("h1", "", all),
        ("h2", "", all),
        ("h3", "", all), // the world
    ];
    for (host, instance, wanted) in table {
        let space = if instance.is_empty() { String::new() } else { stack.space(instance) };
        let wanted: Vec<(&str, &str)> = targets.into_iter().zip(wanted).collect();
        tries(lab, (host, &space), &wanted);
    }
    // The network's own address of the load balancer's host.
    let leg = ["8098", "8099", "8100"].map(|port| format!("{}:{port}", stack.leg("front", "h2")));
    let targets = [leg[0].as_str(), &leg[1], &leg[2], "198.18.0.12:8100"];
    // There the client's own address counts.
    let wanted: Vec<(&str, &str)> = targets.into_iter().zip([foot.as_str(), "", &foot, ""]).collect();
    from(lab, "web", &wanted);
    let plan = lab.net(&["plan", &stack.file]).ok().json()["warnings"].to_string();
    assert!(plan.contains("instances of back come to h2 with the address of h1"), "{plan}");
    let only = format!("they reach it only at {}", stack.leg("front", "h2"));
    assert!(plan.contains(&only), "{plan}");
}

fn a_port_of_one_address_is_closed_on_the_others(lab: &Lab) {
    let stack = world(lab);
    let db = stack.address("db", "back");
    let wanted = [
        ("198.18.0.11:8094", "reach/web"),
        ("198.18.0.111:8094", "reach/db"),
        ("198.18.0.112:8092", "reach/app"),
        ("198.18.0.12:8092", ""),
        ("198.18.0.12:8094", ""),
    ];
    let ports = |host: &str, space: &str| {
        for (target, name) in wanted.iter().filter(|(_, name)| !name.is_empty()) {
            let answer = answer(lab, (host, space), target);
            assert!(answer.starts_with(name), "{host} {space} at {target}: {answer:?}, not {name}");
        }
        let closed: Vec<(&str, &str)> = wanted.into_iter().filter(|(_, name)| name.is_empty()).collect();
        tries(lab, (host, space), &closed);
    };
    ports("", "");
    ports("h3", "");
    for instance in ["web", "two", "db"] {
        ports(&stack.host_of(instance), &stack.space(instance));
    }
    from(lab, "db", &[("198.18.0.11:8094", &format!("reach/web {db}"))]);
    // The addresses between host and router cannot be used to enter.
    let leg = stack.resolved["leg"]
        .as_str()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse::<std::net::Ipv4Addr>()
        .unwrap();
    let router = std::net::Ipv4Addr::from(u32::from(leg) | 1);
    let inner = [format!("{router}:65535"), format!("{router}:65534"), format!("{router}:8090")];
    let got = ask(lab, "web", &inner.each_ref().map(String::as_str));
    assert!(got.values().all(String::is_empty), "{got:?}");
    // An address that the host does not have is reported.
    lab.script("h2", "ip addr del 198.18.0.112/32 dev eth0").ok();
    let plan = lab.net(&["plan", &stack.file]).ok().json()["warnings"].to_string();
    assert!(plan.contains("h2 does not have the address 198.18.0.112"), "{plan}");
    lab.script("h2", "ip addr add 198.18.0.112/32 dev eth0").ok();
}

fn special_ranges_never_leave_the_router(lab: &Lab) {
    let stack = world(lab);
    // A metadata service as seen from a host: an address of its own link.
    lab.script("h1", "ip addr add 169.254.169.254/32 dev lo").ok();
    let metadata = "169.254.169.254:7101";
    assert!(answer(lab, ("h1", ""), metadata).starts_with("host/h1"), "there is one");
    let web = stack.space("web");
    let left = |to: &str| {
        let script = format!(
            "ip netns exec {web} ping -n -c1 -W1 {to} || true; ip netns exec {web} ping -n -b -c1 -W1 {to} || true"
        );
        let rule = format!(
            "iifname \"{}\" ip daddr {to}",
            stack.resolved["hosts"][0]["world_link"].as_str().unwrap()
        );
        counted(lab, "h1", "", "inet", ENTRY, &rule, || _ = lab.script("h1", &script).ok())
    };
    assert!(until(30, || left("198.18.0.13") > 0), "what is the world does");
    let special = [
        "169.254.169.254",
        "169.254.0.1",
        "224.0.0.5",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "0.1.2.3",
    ];
    let passed: Vec<&str> = special.into_iter().filter(|to| left(to) != 0).collect();
    let asked: Vec<String> =
        ["web", "app", "db"].iter().map(|i| ask(lab, i, &[metadata])[metadata].clone()).collect();
    lab.script("h1", "ip addr del 169.254.169.254/32 dev lo").ok();
    assert_eq!(passed, Vec::<&str>::new());
    assert_eq!(asked, ["", "", ""]);
    let file = lab.file("metadata.yaml", &FILE.replace("to: world }", "to: 169.254.169.254/32 }"));
    lab.net(&["plan", &file]).exits(65).says("169.254.169.254/32 is never forwarded");
    let file = lab.file("loopback.yaml", &FILE.replace("address: 198.18.0.111", "address: 127.0.0.1"));
    lab.net(&["plan", &file]).exits(65).says("cannot be published on a loopback address");
}

fn a_gateway_answers_its_own_network_and_who_may_reach_it(lab: &Lab) {
    let gateways = ["10.140.0.1/icmp", "10.141.0.1/icmp", "10.142.0.1/icmp"];
    let answered = |who: &str, wanted: [&str; 3]| {
        let wanted: Vec<(&str, &str)> = gateways.into_iter().zip(wanted).collect();
        from(lab, who, &wanted);
    };
    answered("web", ["echo", "echo", ""]); // front may reach back
    answered("db", ["", "echo", ""]);
    answered("lone", ["", "", "echo"]);
}
