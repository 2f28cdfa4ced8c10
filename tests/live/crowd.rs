//! Many instances on one host: the kernel's neighbour table, shared by all namespaces of this machine, does not fill.

use crate::stack::{Stack, text, tool_on};
use lsx_tests::lab::{Lab, finish};
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("forty_instances_pass_check_while_traffic_goes_on", forty_instances_pass_check_while_traffic_goes_on),
    ("who_joins_is_known_to_those_that_run", who_joins_is_known_to_those_that_run),
    ("what_an_instance_forgot_is_seen_and_told_again", what_an_instance_forgot_is_seen_and_told_again),
];

const COUNT: usize = 40;

fn up(lab: &Lab, count: usize) -> Stack {
    let text = include_str!("crowd.yaml").replace("count: 40", &format!("count: {count}"));
    let stack = Stack::up(lab, &lab.file("crowd.yaml", &text), &[]);
    stack.attach(lab);
    stack
}

/// The permanent neighbours in a namespace of a host, or in its router.
fn known(lab: &Lab, host: &str, space: &str) -> BTreeSet<(String, String)> {
    let all = lab.json(host, &format!("ip -n {space} -4 -j neigh show nud permanent"));
    let pair = |n: &Value| (text(&n["dst"]), text(&n["lladdr"]));
    let inside = |n: &&Value| n["dst"].as_str().is_some_and(|d| d.starts_with("10.140."));
    all.as_array().unwrap().iter().filter(inside).map(pair).collect()
}

/// Every address of the network with its hardware address.
fn everybody(stack: &Stack) -> BTreeSet<(String, String)> {
    let nics = stack.instances().iter().map(|i| &i["nics"][0]);
    let nics = nics.map(|n| (crate::stack::bare(&n["address"]), text(&n["mac"])));
    let legs = stack.network("lan")["legs"].as_array().unwrap().iter();
    nics.chain(legs.map(|l| (text(&l["address"]), text(&l["mac"])))).collect()
}

fn but(all: &BTreeSet<(String, String)>, address: &str) -> BTreeSet<(String, String)> {
    all.iter().filter(|(a, _)| a != address).cloned().collect()
}

fn forty_instances_pass_check_while_traffic_goes_on(lab: &Lab) {
    let stack = up(lab, COUNT);
    let all = everybody(&stack);
    assert_eq!(all.len(), COUNT + 2);
    for instance in ["n-1", "n-40", "far"] {
        let own = stack.address(instance, "lan");
        assert_eq!(
            known(lab, &stack.host_of(instance), &stack.space(instance)),
            but(&all, &own),
            "{instance}"
        );
    }
    let gateway = text(&stack.network("lan")["gateway_address"]);
    assert_eq!(known(lab, "h1", "lsx-crowd"), but(&all, &gateway));
    let ping = format!("ping -n -q -i 0.05 -c 100 -W 30 {}", stack.address("n-40", "lan"));
    let ping = lab.start("h1", &["ip", "netns", "exec", &stack.space("n-1"), "sh", "-c", &ping]);
    let check = lab.net(&["check", &stack.file]).ok().json();
    assert!(check["tried"].as_u64().unwrap() > 3_000, "{}", check["tried"]);
    let ping = lsx_tests::lab::wait(ping, "ping".to_owned()).ok();
    assert!(ping.stdout.contains("100 received"), "{}", ping.stdout);
    // Only resolved for traffic, and not during the tests.
    let learned = lab.json("h1", &format!("ip -n {} -4 -j neigh show", stack.space("n-7")));
    let learned: Vec<&Value> = learned
        .as_array()
        .unwrap()
        .iter()
        .filter(|n| !n["state"].as_array().is_some_and(|s| s.contains(&"PERMANENT".into())))
        .collect();
    assert!(learned.is_empty(), "{learned:?}");
}

fn who_joins_is_known_to_those_that_run(lab: &Lab) {
    let before = up(lab, COUNT);
    let one = before.space("n-1");
    let text = include_str!("crowd.yaml").replace("count: 40", "count: 42");
    let file = lab.file("crowd.yaml", &text);
    let plan = lab.net(&["plan", &file]).ok().stdout;
    assert!(plan.contains("neighbours.change:lan"), "{plan}");
    let stack = Stack::up(lab, &file, &[]);
    let all = everybody(&stack);
    assert_eq!(known(lab, "h1", &one), but(&all, &stack.address("n-1", "lan")));
    lab.net(&["plan", "--exit-code", &file]).ok();
    let less = lab.file("crowd.yaml", include_str!("crowd.yaml"));
    lab.net(&["up", &less, "--prune"]).ok();
    assert_eq!(known(lab, "h1", &one).len(), COUNT + 1, "who has gone is forgotten");
    // Two killed runs: after each step, it converges.
    for n in 0..6 {
        lab.net(&["up", &file, "--failpoint", &n.to_string()]);
        lab.net(&["up", &less, "--prune"]).ok();
        assert_eq!(known(lab, "h1", &one).len(), COUNT + 1, "{n}");
    }
}

fn what_an_instance_forgot_is_seen_and_told_again(lab: &Lab) {
    let stack = up(lab, COUNT);
    let all = everybody(&stack);
    let (space, wrong) = (stack.space("n-2"), stack.address("n-3", "lan"));
    let forget = format!(
        "ip -n {space} neigh flush nud permanent dev eth0
         ip -n {space} neigh replace {wrong} lladdr 02:00:00:00:00:99 dev eth0 nud permanent"
    );
    lab.script("h1", &forget).ok();
    let findings = lab.net(&["check", &stack.file]).exits(2).json();
    assert!(findings["findings"][0]["message"].as_str().unwrap().contains("neighbours"), "{findings}");
    lab.net(&["up", &stack.file]).ok();
    assert_eq!(known(lab, "h1", &space), but(&all, &stack.address("n-2", "lan")));
    let again = finish(&mut lab.net_command(&["up", &stack.file]), b"").ok().json();
    assert_eq!(again["status"]["net"]["changed"], 0);
    // A restarted instance.
    lab.script("h1", &format!("ip netns del {space}; ip netns add {space}")).ok();
    lab.exec_with("h1", &[&tool_on(lab, "h1"), "attach"], stack.batch("h1").as_bytes()).ok();
    assert_eq!(known(lab, "h1", &space), but(&all, &stack.address("n-2", "lan")));
    stack.detach(lab);
    stack.down(lab, &[]);
}
