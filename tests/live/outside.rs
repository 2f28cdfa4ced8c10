//! The world, if an `allow` permits it: with its own address, only to what is allowed, and nobody else.

use crate::peer::{ask_from, tries};
use crate::reach::{from, world};
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] = &[
    ("check_tries_from_outside_where_it_is_run_there", check_tries_from_outside_where_it_is_run_there),
    ("what_an_allow_lets_in_from_outside_comes_in", what_an_allow_lets_in_from_outside_comes_in),
    ("a_container_of_the_gateways_host_is_not_the_world", a_container_of_the_gateways_host_is_not_the_world),
];

/// Routes of the operator, and of hosts of the lab, into the networks.
fn route(lab: &Lab, verb: &str, hosts: &[&str]) {
    let both = ["10.140.0.0/24", "10.141.0.0/24"].map(|net| format!("ip route {verb} {net} via 198.18.0.11"));
    hosts.iter().for_each(|host| _ = lab.script(host, &both.join("; ")).ok());
    lab.run(&["sh", "-ec", &both.join("; ")]).ok();
}

fn check_tries_from_outside_where_it_is_run_there(lab: &Lab) {
    let stack = world(lab);
    route(lab, "add", &["h3"]);
    let check = lab.net(&["check", &stack.file]);
    // Two clients, each allowed by one of two rules.
    lab.script("h1", "ip netns exec lsx-reach nft insert rule inet lsx forward accept; nft insert rule inet lsx-reach forward accept").ok();
    let open = lab.net(&["check", &stack.file]);
    lab.net(&["up", &stack.file]).ok();
    route(lab, "del", &["h3"]);
    let silent = lab.net(&["check", &stack.file]);
    assert_eq!(check.code, 0, "{} {}", check.stdout, check.stderr);
    let world =
        check.json()["rows"].as_array().unwrap().iter().find(|row| row["from"] == "world").unwrap().clone();
    assert!(
        world["open"].to_string().contains("db:80") && world["closed"].to_string().contains("web"),
        "{world}"
    );
    open.exits(2).says("world to web");
    silent.exits(0).says("was not tested");
}

fn what_an_allow_lets_in_from_outside_comes_in(lab: &Lab) {
    let stack = world(lab);
    let (web, db, two) =
        (stack.address("web", "front"), stack.address("db", "back"), stack.address("two", "back"));
    route(lab, "add", &["h2", "h3"]);
    let ports = [(&web, 80), (&web, 81), (&db, 80), (&db, 81), (&two, 80)];
    let targets: Vec<String> = ports
        .iter()
        .map(|(a, p)| format!("{a}:{p}"))
        .chain([format!("{db}/icmp"), format!("{web}/icmp")])
        .collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let all = |wanted: [&'static str; 7]| targets.iter().copied().zip(wanted).collect::<Vec<_>>();
    // With its own address; translated only where the answer would leave by another network.
    let operator = ["", "", "reach/db 198.18.0.1", "", "reach/two 10.141.0.1", "echo", ""];
    tries(lab, ("", ""), &all(operator));
    let (web, db) = ("reach/web 198.18.0.13", "reach/db 198.18.0.13");
    tries(lab, ("h3", ""), &all(["", web, db, "", "reach/two 10.141.0.1", "echo", "echo"]));
    // A host of the stack is not the world.
    tries(lab, ("h2", ""), &all([""; 7]));
    route(lab, "del", &["h2", "h3"]);
    // The other direction stays blocked.
    from(lab, "db", &[("198.18.0.13:7101", "")]);
}

/// A namespace behind a veth, like a container, whose packets leave with the host's address: neither the world nor the
/// host.
fn a_container_of_the_gateways_host_is_not_the_world(lab: &Lab) {
    let stack = world(lab);
    let (web, db) = (stack.address("web", "front"), stack.address("db", "back"));
    let targets = [format!("{db}:80"), format!("{db}/icmp"), format!("{web}:81"), format!("{web}/icmp")];
    let targets = targets.each_ref().map(String::as_str);
    let make = "ip netns add theirs
        ip link add their0 type veth peer name eth0 netns theirs
        ip addr add 172.31.9.1/24 dev their0; ip link set their0 up
        ip -n theirs addr add 172.31.9.2/24 dev eth0; ip -n theirs link set eth0 up
        ip -n theirs addr add 198.18.0.13/32 dev eth0
        ip -n theirs route add default via 172.31.9.1
        nft 'add table ip theirs; add chain ip theirs post { type nat hook postrouting priority srcnat; }'
        nft add rule ip theirs post ip saddr 172.31.9.0/24 masquerade";
    lab.script("h1", make).ok();
    let theirs = ask_from(lab, "h1", "theirs", &targets);
    // With the address of an allowed client.
    lab.script("h1", "ip -n theirs route replace default via 172.31.9.1 src 198.18.0.13").ok();
    let spoofed = ask_from(lab, "h1", "theirs", &targets);
    lab.script("h1", "nft delete table ip theirs; ip link del their0; ip netns del theirs").ok();
    assert!(theirs.values().chain(spoofed.values()).all(String::is_empty), "{theirs:?} {spoofed:?}");
}
