//! Restricted access: `ports: from` with the address of an instance or a host, and `allow` from a host.

use crate::peer::{self, answer, ask_from, tries};
use crate::stack::Stack;
use lsx_tests::lab::Lab;
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_port_for_one_address_is_open_to_that_alone", a_port_for_one_address_is_open_to_that_alone),
    ("an_allow_from_a_host_lets_in_that_host_alone", an_allow_from_a_host_lets_in_that_host_alone),
    ("check_expects_of_narrow_ways_what_traffic_does", check_expects_of_narrow_ways_what_traffic_does),
];

struct World {
    stack: Stack,
    servers: std::sync::Mutex<Vec<peer::Server>>,
}

static WORLD: OnceLock<World> = OnceLock::new();

fn world(lab: &Lab) -> &'static World {
    WORLD.get_or_init(|| {
        peer::install(lab, &["h1", "h2"]);
        let stack = Stack::up(lab, &lab.file("narrow.yaml", include_str!("narrow.yaml")), &[]);
        stack.attach(lab);
        let server =
            |name: &str| peer::serve_in(lab, &stack.host_of(name), &stack.space(name), name, &["80", "81"]);
        let servers = ["one", "eve", "two", "lone"].map(server).into();
        World { stack, servers: std::sync::Mutex::new(servers) }
    })
}

#[track_caller]
fn from_instance(lab: &Lab, name: &str, wanted: &[(&str, &str)]) {
    let stack = &world(lab).stack;
    tries(lab, (&stack.host_of(name), &stack.space(name)), wanted);
}

#[track_caller]
fn from_host(lab: &Lab, host: &str, wanted: &[(&str, &str)]) {
    tries(lab, (host, ""), wanted);
}

fn a_port_for_one_address_is_open_to_that_alone(lab: &Lab) {
    world(lab);
    let (two, by_one, by_host) = ("198.18.0.12:8081", "198.18.0.11:8084", "198.18.0.12:8082");
    // Its router has an address on both networks; on the same network the router is in between.
    from_instance(lab, "one", &[(two, "two 10.121.0.1"), (by_one, "eve 10.121.0.1"), (by_host, "")]);
    for other in ["eve", "two"] {
        from_instance(lab, other, &[(two, ""), (by_one, ""), (by_host, "")]);
    }
    // A client with the address of the router's host is not that host.
    from_instance(lab, "one", &[("198.18.0.12:8083", "")]);
    from_instance(lab, "lone", &[(two, ""), (by_one, "")]);
    let own = answer(lab, ("h1", ""), by_host);
    assert!(own.starts_with("two "), "{own}");
    from_host(lab, "h1", &[("198.18.0.12:8083", "lone 198.18.0.11"), (two, "")]);
}

fn an_allow_from_a_host_lets_in_that_host_alone(lab: &Lab) {
    let stack = &world(lab).stack;
    let (two, eve, lone) =
        (stack.address("two", "lan"), stack.address("eve", "lan"), stack.address("lone", "far"));
    let leg = stack.resolved["leg"].as_str().unwrap().to_owned();
    let host = leg.split('/').next().unwrap();
    let others = [format!("{two}:80"), format!("{eve}:80"), format!("{eve}/icmp"), format!("{lone}:80")];
    let closed: Vec<(&str, &str)> = others.iter().map(|t| (t.as_str(), "")).collect();
    // The port and an echo, from the host's end of its link to the router, which only this host can use.
    let one = format!("one {host}");
    let open = [("10.121.0.10:80", one.as_str()), ("10.121.0.10:81", ""), ("10.121.0.10/icmp", "echo")];
    from_host(lab, "h1", &[&open[..], &closed].concat());
    // A whole network, on the other host.
    let all = [format!("{lone}:80"), format!("{lone}:81"), format!("{lone}/icmp")];
    let seen = format!("lone {host}");
    from_host(lab, "h2", &[(&all[0], &seen), (&all[1], &seen), (&all[2], "echo"), ("10.121.0.10:80", "")]);
    // It lets no one out, and no other client of the host in.
    from_instance(lab, "one", &[("198.18.0.11:22", "")]);
    let make = "ip netns add theirs
        ip link add their0 type veth peer name eth0 netns theirs
        ip addr add 172.31.9.1/24 dev their0; ip link set their0 up
        ip -n theirs addr add 172.31.9.2/24 dev eth0; ip -n theirs link set eth0 up
        ip -n theirs route add default via 172.31.9.1";
    lab.script("h1", make).ok();
    let theirs = ask_from(lab, "h1", "theirs", &["10.121.0.10:80", "10.121.0.10/icmp"]);
    lab.script("h1", "ip link del their0; ip netns del theirs").ok();
    assert!(theirs.values().all(String::is_empty), "{theirs:?}");
}

fn check_expects_of_narrow_ways_what_traffic_does(lab: &Lab) {
    let stack = &world(lab).stack;
    let check = lab.net(&["check", &stack.file]).ok().json();
    let row = |from: &str| {
        let rows = check["rows"].as_array().unwrap();
        rows.iter().find(|row| row["from"] == from).unwrap().clone()
    };
    let has = |from: &str, list: &str, to: &str| {
        assert!(row(from)[list].as_array().unwrap().contains(&to.into()), "{from} {list} {to}: {check}");
    };
    has("one", "open", "two:8081");
    has("one", "open", "eve:8084");
    has("one", "closed", "two:8082");
    has("one", "closed", "lone:8083");
    has("eve", "closed", "two:8081");
    has("host/h1", "open", "two:8082");
    has("host/h1", "open", "one");
    has("host/h1", "closed", "eve");
    world(lab).servers.lock().unwrap().clear();
    stack.detach(lab);
    stack.down(lab, &[]);
}
