//! The example stack on three hosts: what `up` creates, a second run without changes, and a complete `down`.

use crate::kernel::{difference, link, links, snapshot};
use crate::stack::{Stack, bare, text};
use lsx_tests::lab::Lab;
use lsx_tests::top;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    (
        "up_makes_the_bridges_and_tunnels_that_were_resolved",
        up_makes_the_bridges_and_tunnels_that_were_resolved,
    ),
    (
        "every_host_has_the_forwarding_entries_of_the_others",
        every_host_has_the_forwarding_entries_of_the_others,
    ),
    ("nothing_is_flooded_or_learned", nothing_is_flooded_or_learned),
    ("every_device_has_the_networks_mtu", every_device_has_the_networks_mtu),
    ("ipv6_is_off_on_every_device", ipv6_is_off_on_every_device),
    (
        "gateways_are_in_the_router_and_the_host_has_no_address",
        gateways_are_in_the_router_and_the_host_has_no_address,
    ),
    ("a_second_up_changes_nothing", a_second_up_changes_nothing),
    ("plan_and_check_find_no_difference", plan_and_check_find_no_difference),
    ("observe_of_one_host_lists_its_objects", observe_of_one_host_lists_its_objects),
    ("what_somebody_changed_is_seen_and_repaired", what_somebody_changed_is_seen_and_repaired),
    ("down_leaves_the_hosts_as_they_were", down_leaves_the_hosts_as_they_were),
];

struct Office {
    before: BTreeMap<String, BTreeSet<String>>,
    stack: Stack,
}

static OFFICE: OnceLock<Office> = OnceLock::new();

fn file() -> String {
    top("scripts/stacks/office.yaml").to_str().unwrap().to_owned()
}

fn office(lab: &Lab) -> &'static Office {
    OFFICE.get_or_init(|| {
        // h2 forwarded before, the others did not: both must be restored.
        lab.script("h2", "echo 1 > /proc/sys/net/ipv4/ip_forward").ok();
        let before = lab.hosts().into_iter().map(|h| (h.clone(), snapshot(lab, &h))).collect();
        Office { before, stack: Stack::up(lab, &file(), &[]) }
    })
}

/// Every network with every host that carries it.
fn carried(stack: &Stack) -> Vec<(&Value, String)> {
    let hosts = |n: &Value| n["hosts"].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    stack.networks().iter().flat_map(|n| hosts(n).into_iter().map(move |h| (n, h))).collect()
}

fn all_links(lab: &Lab) -> BTreeMap<String, Vec<Value>> {
    lab.hosts().into_iter().map(|h| (h.clone(), links(lab, &h))).collect()
}

fn up_makes_the_bridges_and_tunnels_that_were_resolved(lab: &Lab) {
    let stack = &office(lab).stack;
    assert_eq!(stack.status["ok"], true);
    assert!(stack.status["changed"].as_u64().unwrap() > 0);
    let all = all_links(lab);
    let mut made = 0;
    for (network, host) in carried(stack) {
        let name = text(&network["name"]);
        let bridge = link(&all[&host], &text(&network["bridge"]));
        assert_eq!(bridge["linkinfo"]["info_kind"], "bridge");
        assert_eq!(bridge["altnames"][0], format!("lsx:office:{name}:bridge"));
        assert_eq!(bridge["operstate"], "UP", "{bridge}");
        if network["hosts"].as_array().unwrap().len() < 2 {
            continue;
        }
        let tunnel = link(&all[&host], &text(&network["tunnel"]));
        let data = &tunnel["linkinfo"]["info_data"];
        assert_eq!(tunnel["linkinfo"]["info_kind"], "vxlan");
        assert_eq!(tunnel["altnames"][0], format!("lsx:office:{name}:tunnel"));
        assert_eq!(tunnel["master"], network["bridge"]);
        assert_eq!(data["id"], network["vni"]);
        assert_eq!(data["port"], stack.resolved["tunnel_port"]);
        assert_eq!(data["local"], stack.host_address(&host));
        assert_eq!(data["learning"], false);
        made += 1;
    }
    assert!(made >= 8, "{made} tunnels");
}

/// The addresses of a network that are not on this host: address, MAC, tunnel end.
fn elsewhere(stack: &Stack, network: &Value, host: &str) -> Vec<(String, String, String)> {
    let name = network["name"].as_str().unwrap();
    let mut rows = Vec::new();
    for instance in stack.instances().iter().filter(|i| i["host"] != *host) {
        let end = stack.host_address(instance["host"].as_str().unwrap());
        let nics = instance["nics"].as_array().unwrap().iter().filter(|n| n["network"] == name);
        rows.extend(nics.map(|n| (bare(&n["address"]), text(&n["mac"]), end.clone())));
    }
    for leg in network["legs"].as_array().unwrap().iter().filter(|l| l["host"] != *host) {
        rows.push((
            bare(&leg["address"]),
            text(&leg["mac"]),
            stack.host_address(leg["host"].as_str().unwrap()),
        ));
    }
    rows
}

fn every_host_has_the_forwarding_entries_of_the_others(lab: &Lab) {
    let stack = &office(lab).stack;
    let mut total = 0;
    for (network, host) in carried(stack) {
        let (bridge, tunnel) = (text(&network["bridge"]), text(&network["tunnel"]));
        let rows = elsewhere(stack, network, &host);
        total += rows.len();
        let forwards = lab.json(&host, &format!("bridge -j fdb show dev {tunnel}"));
        let forwards = forwards.as_array().unwrap();
        let remote: BTreeSet<(String, String)> = forwards
            .iter()
            .filter(|f| f["dst"].is_string())
            .map(|f| (text(&f["mac"]), text(&f["dst"])))
            .collect();
        assert_eq!(remote, rows.iter().map(|(_, m, d)| (m.clone(), d.clone())).collect(), "{host} {tunnel}");
        let on_bridge = |mac: &str| {
            forwards.iter().any(|f| f["mac"] == mac && f["master"] == bridge && f["state"] != "permanent")
        };
        assert!(rows.iter().all(|(_, mac, _)| on_bridge(mac)), "{host}: {forwards:?}");
        let neighbours = lab.json(&host, &format!("ip -j neigh show dev {bridge} nud permanent"));
        let neighbours: BTreeSet<(String, String)> =
            neighbours.as_array().unwrap().iter().map(|n| (text(&n["dst"]), text(&n["lladdr"]))).collect();
        assert_eq!(
            neighbours,
            rows.iter().map(|(a, m, _)| (a.clone(), m.clone())).collect(),
            "{host} {bridge}"
        );
    }
    assert!(total > 20, "{total} rows");
}

fn nothing_is_flooded_or_learned(lab: &Lab) {
    let stack = &office(lab).stack;
    for (network, host) in carried(stack) {
        let ports = lab.json(&host, "bridge -d -j link");
        let tunnel = text(&network["tunnel"]);
        let port = link(ports.as_array().unwrap(), &tunnel);
        for (flag, wanted) in [
            ("learning", false),
            ("flood", false),
            ("mcast_flood", false),
            ("bcast_flood", false),
            ("neigh_suppress", true),
        ] {
            assert_eq!(port[flag], wanted, "{host} {tunnel} {flag}: {port}");
        }
        let zero = lab.json(&host, &format!("bridge -j fdb show dev {tunnel}"));
        assert!(zero.as_array().unwrap().iter().all(|f| f["mac"] != "00:00:00:00:00:00"), "{zero}");
    }
}

fn every_device_has_the_networks_mtu(lab: &Lab) {
    let stack = &office(lab).stack;
    let all = all_links(lab);
    for (network, host) in carried(stack) {
        assert_eq!(network["mtu"], 1450);
        for name in [&network["bridge"], &network["tunnel"]] {
            assert_eq!(link(&all[&host], &text(name))["mtu"], network["mtu"], "{host} {name}");
        }
        for leg in network["legs"].as_array().unwrap().iter().filter(|l| l["host"] == *host) {
            let name = text(&leg["link"]);
            assert_eq!(link(&all[&host], &name)["mtu"], network["mtu"]);
            let inside = lab.json(&host, &format!("ip -n lsx-office -j link show {name}"));
            assert_eq!(inside[0]["mtu"], network["mtu"]);
        }
    }
}

fn ipv6_is_off_on_every_device(lab: &Lab) {
    office(lab);
    for (host, links) in all_links(lab) {
        for link in links.iter().filter(|l| l["altnames"][0].as_str().is_some_and(|a| a.starts_with("lsx:")))
        {
            let name = text(&link["ifname"]);
            let off =
                lab.script(&host, &format!("cat /proc/sys/net/ipv6/conf/{name}/disable_ipv6")).ok().stdout;
            assert_eq!(off, "1\n", "{host} {name}");
            let addresses = lab.json(&host, &format!("ip -6 -j addr show dev {name}"));
            assert!(
                addresses
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|a| a["addr_info"].as_array().is_none_or(Vec::is_empty)),
                "{addresses}"
            );
        }
    }
    for host in ["h1", "h2"] {
        let inside = lab.exec(host, &["ip", "-n", "lsx-office", "-6", "addr"]).ok().stdout;
        assert_eq!(inside, "", "{host}");
    }
}

fn gateways_are_in_the_router_and_the_host_has_no_address(lab: &Lab) {
    let stack = &office(lab).stack;
    for (network, host) in carried(stack) {
        let addresses = lab.json(&host, &format!("ip -4 -j addr show dev {}", text(&network["bridge"])));
        let none =
            addresses.as_array().unwrap().iter().all(|a| a["addr_info"].as_array().is_none_or(Vec::is_empty));
        assert!(none, "{host}: {addresses}");
        for leg in network["legs"].as_array().unwrap().iter().filter(|l| l["host"] == *host) {
            let inside = lab.json(&host, &format!("ip -n lsx-office -j addr show {}", text(&leg["link"])));
            assert_eq!(inside[0]["addr_info"][0]["local"], leg["address"]);
            assert_eq!(inside[0]["address"], leg["mac"]);
        }
    }
    let routers = lab.exec("h3", &["ip", "netns"]).ok().stdout;
    assert!(!routers.contains("lsx-office"), "h3 routes nothing: {routers}");
}

fn a_second_up_changes_nothing(lab: &Lab) {
    office(lab);
    let ran = lab.net(&["up", &file()]).ok();
    let status = &ran.json()["status"]["net"];
    assert_eq!((&status["ok"], &status["changed"]), (&true.into(), &0.into()));
    assert_eq!(ran.stderr, "lsx-net: nothing to do\n", "not one step");
}

fn plan_and_check_find_no_difference(lab: &Lab) {
    office(lab);
    let plan = lab.net(&["plan", "--exit-code", &file()]).ok();
    assert_eq!(plan.json()["steps"].as_array().unwrap().len(), 0);
    let again = lab.net(&["plan", &file()]).ok();
    assert_eq!(plan.stdout, again.stdout, "the same bytes");
    let check = lab.net(&["check", &file()]).json();
    let differs = check["findings"].as_array().unwrap().iter().find(|f| f["code"] == "plan.differs");
    assert_eq!(differs, None);
}

fn observe_of_one_host_lists_its_objects(lab: &Lab) {
    let stack = &office(lab).stack;
    let observed = lab.net(&["observe", &file()]).ok();
    let hosts = observed.lines();
    assert_eq!(hosts.len(), 3);
    for (network, host) in carried(stack) {
        let objects = hosts.iter().find(|h| h["host"] == *host).unwrap()["objects"].as_array().unwrap();
        let key = format!("bridge:{}", text(&network["name"]));
        let bridge = objects.iter().find(|o| o["key"] == *key).unwrap_or_else(|| panic!("{host}: no {key}"));
        assert_eq!(bridge["object"]["link"], network["bridge"]);
    }
}

fn what_somebody_changed_is_seen_and_repaired(lab: &Lab) {
    let stack = &office(lab).stack;
    let network = stack.network("production");
    let (bridge, tunnel) = (text(&network["bridge"]), text(&network["tunnel"]));
    let jump = text(&stack.nic("jump", "production")["mac"]);
    let changes = [
        ("h2", format!("ip link set {bridge} mtu 1300")),
        ("h2", format!("bridge fdb del {jump} dev {tunnel} self")),
        ("h2", format!("bridge link set dev {tunnel} flood on")),
        ("h2", format!("ip link set {tunnel} nomaster")),
        ("h2", format!("ip link del {tunnel}")),
        ("h1", "ip netns exec lsx-office nft add rule inet lsx forward accept".to_owned()),
        ("h1", "nft delete table bridge lsx-office".to_owned()),
        ("h1", "nft flush ruleset".to_owned()),
        ("h1", "ip netns exec lsx-office ip route del default".to_owned()),
        ("h1", "ip netns exec lsx-office ip link set world down".to_owned()),
        ("h1", "ip netns del lsx-office".to_owned()),
        ("h1", "echo 0 > /proc/sys/net/ipv4/ip_forward".to_owned()),
        ("h3", "rm /etc/lsx/office/net.json".to_owned()),
        ("h3", "rm /etc/lsx/boot.d/*".to_owned()),
    ];
    let mut unseen = Vec::new();
    for (host, change) in changes {
        lab.script(host, &change).ok();
        if lab.net(&["plan", "--exit-code", &file()]).code != 2 {
            unseen.push(format!("{host}: {change}"));
        }
        lab.net(&["up", &file()]).ok();
        lab.net(&["plan", "--exit-code", &file()]).ok();
    }
    assert_eq!(unseen, Vec::<String>::new());
}

fn down_leaves_the_hosts_as_they_were(lab: &Lab) {
    let office = office(lab);
    let document = office.stack.down(lab, &[]);
    assert_eq!(document["status"]["net"]["ok"], true);
    for (host, before) in &office.before {
        let left = difference(before, &snapshot(lab, host));
        assert!(left.is_empty(), "{host}\n{left}");
    }
    let again = lab.net(&["down", &file()]).ok().json();
    assert_eq!(again["status"]["net"]["changed"], 0);
}
