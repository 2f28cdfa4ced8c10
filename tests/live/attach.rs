//! `attach` and `detach`: several interfaces, repeatedly, by path, name and process; and refusals.

use crate::kernel::{link, links};
use crate::stack::{Stack, text, tool_on};
use lsx_tests::lab::{Lab, Ran};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_batch_is_attached_with_addresses_mtu_and_routes", a_batch_is_attached_with_addresses_mtu_and_routes),
    ("attaching_again_changes_nothing", attaching_again_changes_nothing),
    ("a_namespace_is_named_by_path_or_by_a_process", a_namespace_is_named_by_path_or_by_a_process),
    ("what_somebody_took_away_is_attached_again", what_somebody_took_away_is_attached_again),
    ("ports_come_back_with_their_bridge", ports_come_back_with_their_bridge),
    ("what_is_no_network_namespace_is_refused", what_is_no_network_namespace_is_refused),
    ("an_unmarked_bridge_is_refused", an_unmarked_bridge_is_refused),
    ("interfaces_of_others_are_left_alone", interfaces_of_others_are_left_alone),
    ("what_an_engine_made_is_taken_over", what_an_engine_made_is_taken_over),
    ("down_is_refused_while_something_is_attached", down_is_refused_while_something_is_attached),
];

static STACK: OnceLock<Stack> = OnceLock::new();

/// Of the stack, everything of h1: a jump box on three networks, a web server, and `left`.
fn stack(lab: &Lab) -> &'static Stack {
    STACK.get_or_init(|| Stack::up(lab, &lab.file("traffic.yaml", include_str!("traffic.yaml")), &[]))
}

fn run(lab: &Lab, verb: &str, args: &[&str], input: &str) -> Ran {
    lab.exec_with("h1", &[&[tool_on(lab, "h1").as_str(), verb], args].concat(), input.as_bytes())
}

fn spaces(lab: &Lab, stack: &Stack) {
    let names: Vec<String> = ["jump", "web-1", "left"].iter().map(|i| stack.space(i)).collect();
    lab.script("h1", &format!("for s in {}; do ip netns add $s 2>/dev/null || true; done", names.join(" ")))
        .ok();
}

/// Everything of h1 is attached; what it was attached by.
fn attached(lab: &Lab) -> (&'static Stack, String) {
    let stack = stack(lab);
    spaces(lab, stack);
    let batch = stack.batch("h1");
    run(lab, "attach", &[], &batch).ok();
    (stack, batch)
}

fn changes(ran: &Ran) -> Vec<bool> {
    ran.lines().iter().map(|l| l["changed"].as_bool().unwrap()).collect()
}

/// One interface as `attach` reads it.
fn nic(stack: &Stack, instance: &str, network: &str, place: (&str, Value)) -> String {
    let mut nic = stack.nic(instance, network).clone();
    nic["stack"] = json!(stack.name());
    nic["instance"] = json!(instance);
    nic[place.0] = place.1;
    nic.to_string()
}

fn a_batch_is_attached_with_addresses_mtu_and_routes(lab: &Lab) {
    let stack = stack(lab);
    spaces(lab, stack);
    let ran = run(lab, "attach", &[], &stack.batch("h1")).ok();
    assert_eq!(changes(&ran), [true; 5]);
    let outside = links(lab, "h1");
    for (instance, network) in [
        ("jump", "management"),
        ("jump", "test"),
        ("jump", "production"),
        ("web-1", "production"),
        ("left", "closed"),
    ] {
        let (nic, space) = (stack.nic(instance, network), stack.space(instance));
        let name = text(&nic["name"]);
        let inside = lab.json("h1", &format!("ip -n {space} -j addr show dev {name}"))[0].clone();
        assert_eq!(
            (&inside["mtu"], &inside["address"], &inside["operstate"]),
            (&nic["mtu"], &nic["mac"], &"UP".into())
        );
        let address =
            format!("{}/{}", text(&inside["addr_info"][0]["local"]), inside["addr_info"][0]["prefixlen"]);
        assert_eq!(nic["address"], address);
        let port = link(&outside, &text(&nic["link"]));
        assert_eq!(port["master"], stack.network(network)["bridge"]);
        assert_eq!(port["mtu"], stack.network(network)["mtu"]);
        assert_eq!(port["altnames"][0], format!("lsx:traffic:{instance}.{name}:nic"));
        let default = lab.json("h1", &format!("ip -n {space} -j route show default dev {name}"));
        assert_eq!(default[0]["gateway"], nic["gateway"], "{instance} {name}: {default}");
    }
    let lo = lab.json("h1", &format!("ip -n {} -j link show lo", stack.space("jump")));
    assert!(lo[0]["flags"].as_array().unwrap().contains(&"UP".into()), "{lo}");
}

fn attaching_again_changes_nothing(lab: &Lab) {
    let (stack, batch) = attached(lab);
    let before = lab.script("h1", "ip -d link | sed 's/_timer  *[0-9.]*//g'").ok().stdout;
    assert_eq!(changes(&run(lab, "attach", &[], &batch).ok()), [false; 5]);
    assert_eq!(lab.script("h1", "ip -d link | sed 's/_timer  *[0-9.]*//g'").ok().stdout, before);
    assert_eq!(changes(&run(lab, "detach", &[], &batch).ok()), [true; 5]);
    assert_eq!(changes(&run(lab, "detach", &[], &batch).ok()), [false; 5]);
    assert!(
        !lab.script("h1", "ip link").ok().stdout.contains(&text(&stack.nic("web-1", "production")["link"]))
    );
}

fn a_namespace_is_named_by_path_or_by_a_process(lab: &Lab) {
    let stack = stack(lab);
    spaces(lab, stack);
    let file = format!("/run/netns/{}", stack.space("web-1"));
    assert_eq!(
        changes(&run(lab, "attach", &[], &nic(stack, "web-1", "production", ("netns", json!(file)))).ok()),
        [true]
    );
    let whole = json!({"resolved": stack.resolved}).to_string();
    let by_flag = run(lab, "attach", &["--instance", "web-1", "--netns", &file], &whole).ok();
    assert_eq!(changes(&by_flag), [false], "the same, from a resolved stack");
    let mut sleeper =
        lab.start("h1", &["ip", "netns", "exec", &stack.space("left"), "sh", "-c", "echo $$; read x"]);
    let mut pid = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(sleeper.stdout.take().unwrap()), &mut pid)
        .unwrap();
    let pid: u32 = pid.trim().parse().unwrap();
    assert_eq!(
        changes(&run(lab, "attach", &[], &nic(stack, "left", "closed", ("pid", json!(pid)))).ok()),
        [true]
    );
    assert_eq!(
        changes(&run(lab, "attach", &["--pid", &pid.to_string(), "--instance", "left"], &whole).ok()),
        [false]
    );
    let inside = lab.json("h1", &format!("ip -n {} -j addr show dev eth0", stack.space("left")));
    assert_eq!(inside[0]["addr_info"][0]["local"], "10.105.0.10");
    drop(sleeper.stdin.take());
    sleeper.wait().unwrap();
    run(lab, "detach", &[], &stack.batch("h1")).ok();
}

fn what_somebody_took_away_is_attached_again(lab: &Lab) {
    let (stack, batch) = attached(lab);
    let space = stack.space("jump");
    let link = text(&stack.nic("jump", "management")["link"]);
    let mut unseen = Vec::new();
    for change in [
        format!("ip -n {space} addr flush dev eth0"),
        format!("ip -n {space} link set eth0 down"),
        format!("ip -n {space} link set eth0 mtu 1400"),
        format!("ip -n {space} link del eth0"),
        format!("ip link set {link} nomaster"),
        format!("ip -n {space} route del default"),
        format!("ip netns del {space}; ip netns add {space}"),
    ] {
        lab.script("h1", &change).ok();
        let changed = changes(&run(lab, "attach", &[], &batch).ok());
        let route = lab.script("h1", &format!("ip -n {space} route get 10.200.0.1 || true")).ok().stdout;
        if !changed.contains(&true) || !route.contains("via 10.100.0.1") {
            unseen.push(format!("{change}: {changed:?} {route}"));
            run(lab, "detach", &[], &batch).ok();
            run(lab, "attach", &[], &batch).ok();
        }
    }
    run(lab, "detach", &[], &batch).ok();
    assert_eq!(unseen, Vec::<String>::new());
}

fn ports_come_back_with_their_bridge(lab: &Lab) {
    let (stack, batch) = attached(lab);
    let bridge = text(&stack.network("production")["bridge"]);
    let ports = || {
        let links = lab.json("h1", &format!("ip -j link show master {bridge}"));
        links.as_array().unwrap().iter().map(|l| text(&l["ifname"])).collect::<BTreeSet<_>>()
    };
    let (before, link) = (ports(), text(&stack.nic("web-1", "production")["link"]));
    assert!(before.contains(&link), "{before:?}");
    for change in [format!("ip link del {bridge}"), format!("ip link set {link} nomaster")] {
        lab.script("h1", &change).ok();
        let plan = lab.net(&["plan", &stack.file]).ok().stdout;
        assert!(plan.contains("port.change:web-1.eth0"), "{plan}");
        lab.net(&["up", &stack.file]).ok();
        assert_eq!(ports(), before, "{change}");
        lab.net(&["plan", "--exit-code", &stack.file]).ok();
        assert!(!changes(&run(lab, "attach", &[], &batch).ok()).contains(&true), "{change}");
    }
    run(lab, "detach", &[], &batch).ok();
}

fn what_is_no_network_namespace_is_refused(lab: &Lab) {
    let stack = stack(lab);
    for (place, words) in [
        (("netns", json!("/run/netns/nobody")), "nobody"),
        (("netns", json!("nobody")), "/run/netns/nobody"),
        (("netns", json!("/etc/passwd")), "not a namespace"),
        (("netns", json!("/proc/self/ns/mnt")), "not of the network"),
        (("netns", json!("../passwd")), "not a name"),
        (("pid", json!(4_000_000)), "4000000"),
    ] {
        let ran = run(lab, "attach", &[], &nic(stack, "web-1", "production", place)).exits(1);
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{words}: {}", ran.stderr);
    }
    let mut bare = stack.nic("web-1", "production").clone();
    (bare["stack"], bare["instance"]) = (json!("traffic"), json!("web-1"));
    run(lab, "attach", &[], &bare.to_string()).exits(64);
    run(lab, "attach", &[], "{\"stack\": 3}").exits(65);
}

fn an_unmarked_bridge_is_refused(lab: &Lab) {
    let stack = stack(lab);
    spaces(lab, stack);
    lab.script("h1", "ip link add foreign type bridge; ip link set foreign up").ok();
    let space = stack.space("web-1");
    let mut wanted: Value =
        serde_json::from_str(&nic(stack, "web-1", "production", ("netns", json!(space)))).unwrap();
    wanted["network"] = json!("foreign");
    run(lab, "attach", &[], &wanted.to_string())
        .exits(1)
        .says("network foreign of stack traffic does not exist on this host");
    wanted["network"] = json!("production");
    wanted["stack"] = json!("other");
    run(lab, "attach", &[], &wanted.to_string()).exits(1).says("stack other");
    let ports = lab.json("h1", "ip -j link show master foreign");
    assert_eq!(ports.as_array().unwrap().iter().filter(|p| p.get("ifname").is_some()).count(), 0);
    lab.script("h1", "ip link del foreign").ok();
}

fn interfaces_of_others_are_left_alone(lab: &Lab) {
    let stack = stack(lab);
    spaces(lab, stack);
    let space = stack.space("web-1");
    let wanted = nic(stack, "web-1", "production", ("netns", json!(space)));
    let link = text(&stack.nic("web-1", "production")["link"]);
    lab.script("h1", &format!("ip link add {link} type bridge")).ok();
    run(lab, "attach", &[], &wanted).exits(1).says("was not created by lsx");
    assert_eq!(lab.json("h1", &format!("ip -d -j link show {link}"))[0]["linkinfo"]["info_kind"], "bridge");
    lab.script("h1", &format!("ip link del {link}; ip -n {space} link add eth0 type bridge")).ok();
    run(lab, "attach", &[], &wanted).exits(1).says("eth0");
    assert_eq!(
        lab.json("h1", &format!("ip -n {space} -d -j link show eth0"))[0]["linkinfo"]["info_kind"],
        "bridge"
    );
    lab.script("h1", &format!("ip -n {space} link del eth0")).ok();
    assert_eq!(changes(&run(lab, "attach", &[], &wanted).ok()), [true]);
    run(lab, "detach", &[], &wanted).ok();
}

fn what_an_engine_made_is_taken_over(lab: &Lab) {
    let stack = stack(lab);
    spaces(lab, stack);
    let (space, nic) = (stack.space("web-1"), stack.nic("web-1", "production"));
    let (link_name, bridge) = (text(&nic["link"]), text(&stack.network("production")["bridge"]));
    let mut wanted: Value =
        serde_json::from_str(&self::nic(stack, "web-1", "production", ("netns", json!(space)))).unwrap();
    wanted["adopt"] = json!(true);
    let adopt = || run(lab, "attach", &[], &wanted.to_string());
    adopt().exits(1).says("to take over does not exist");
    let make = |mac: &str| {
        lab.script(
            "h1",
            &format!("ip link add {link_name} type veth peer name eth0 address {mac} netns {space}"),
        )
        .ok();
    };
    make("02:00:00:00:00:09");
    adopt().exits(1).says("not on");
    lab.script("h1", &format!("ip link set {link_name} master {bridge}")).ok();
    adopt().exits(1).says("02:00:00:00:00:09");
    assert!(link(&links(lab, "h1"), &link_name).get("altnames").is_none(), "left as it was");
    lab.script("h1", &format!("ip link del {link_name}")).ok();
    make(&text(&nic["mac"]));
    lab.script("h1", &format!("ip link set {link_name} master {bridge} up")).ok();
    let index = link(&links(lab, "h1"), &link_name)["ifindex"].clone();
    assert_eq!(changes(&adopt().ok()), [true]);
    assert_eq!(changes(&adopt().ok()), [false]);
    let port = link(&links(lab, "h1"), &link_name).clone();
    assert_eq!((&port["ifindex"], &port["mtu"]), (&index, &stack.network("production")["mtu"]));
    assert_eq!(port["altnames"][0], "lsx:traffic:web-1.eth0:nic");
    let mut plain = wanted.clone();
    plain["adopt"] = json!(false);
    assert_eq!(
        changes(&run(lab, "attach", &[], &plain.to_string()).ok()),
        [false],
        "the same as one made in place"
    );
    let inside = lab.json("h1", &format!("ip -n {space} -j route show default"));
    assert_eq!(inside[0]["gateway"], nic["gateway"]);
    assert_eq!(changes(&run(lab, "detach", &[], &wanted.to_string()).ok()), [true]);
    adopt().exits(1).says("to take over does not exist");
}

fn down_is_refused_while_something_is_attached(lab: &Lab) {
    let (stack, batch) = attached(lab);
    let ran = lab.net(&["down", &stack.file]).exits(1).says("still attached").says("h1");
    assert!(ran.stdout.is_empty());
    let named = ["jump.eth0", "left.eth0", "web-1.eth0"].iter().any(|n| ran.stderr.contains(n));
    assert!(named, "{}", ran.stderr);
    assert_eq!(lab.net(&["plan", "--exit-code", &stack.file]).code, 0, "nothing was removed");
    run(lab, "detach", &[], &batch).ok();
    stack.down(lab, &[]);
    lab.script("h1", "ip -all netns delete").ok();
}
