//! The results of `check` when something is in the way.

use crate::peer::{self, ask_here};
use crate::stack::Stack;
use lsx_tests::lab::Lab;
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_port_that_something_else_refuses_is_closed", a_port_that_something_else_refuses_is_closed),
    ("a_further_address_of_a_host_is_tried", a_further_address_of_a_host_is_tried),
    ("the_mtu_that_a_finding_says_to_write_works", the_mtu_that_a_finding_says_to_write_works),
    ("there_are_never_more_findings_than_checks", there_are_never_more_findings_than_checks),
];

fn small(lab: &Lab) -> Stack {
    let stack = Stack::up(lab, &lab.file("small.yaml", include_str!("small.yaml")), &[]);
    stack.attach(lab);
    stack
}

/// The paths that `check` calls wrong, as `from to`.
fn wrong(lab: &Lab, stack: &Stack, exit: i32) -> Vec<String> {
    let check = lab.net(&["check", &stack.file]).exits(exit).json();
    assert!(check["tried"].as_u64().unwrap() >= check["findings"].as_array().unwrap().len() as u64);
    let rows = check["rows"].as_array().unwrap().iter();
    let pairs = rows.flat_map(|row| {
        let wrong = row["wrong"].as_array().unwrap().iter();
        wrong.map(|to| format!("{} {}", row["from"].as_str().unwrap(), to.as_str().unwrap()))
    });
    pairs.collect()
}

fn a_port_that_something_else_refuses_is_closed(lab: &Lab) {
    let stack = small(lab);
    assert_eq!(wrong(lab, &stack, 0), [""; 0], "nobody serves, and the instance itself refuses");
    peer::install(lab, &["h1", "h2"]);
    let _server = peer::serve_in(lab, "h1", &stack.space("one"), "small/one", &["80"]);
    assert_eq!(wrong(lab, &stack, 0), [""; 0]);
    lab.script(
        "h1",
        "nft add table ip other
         nft 'add chain ip other pre { type filter hook prerouting priority -150; }'
         nft add rule ip other pre tcp dport 8080 reject with tcp reset",
    )
    .ok();
    assert_eq!(ask_here(lab, &["198.18.0.11:8080"])["198.18.0.11:8080"], "", "refused indeed");
    let found = wrong(lab, &stack, 2);
    assert!(found.contains(&"host/h2 one:8080".to_owned()), "{found:?}");
    lab.script("h1", "nft delete table ip other").ok();
    assert_eq!(wrong(lab, &stack, 0), [""; 0]);
}

fn a_further_address_of_a_host_is_tried(lab: &Lab) {
    let stack = small(lab);
    lab.script("h1", "ip addr add 198.18.0.111/24 dev eth0").ok();
    lab.net(&["up", &stack.file]).ok();
    let check = lab.net(&["check", &stack.file]).json();
    let row = |from: &str| {
        let rows = check["rows"].as_array().unwrap();
        rows.iter().find(|r| r["from"] == from).unwrap_or_else(|| panic!("{check}")).clone()
    };
    let tried = |row: &Value, list: &str, what: &str| {
        row[list].as_array().unwrap().iter().any(|w| w.as_str().unwrap() == what)
    };
    assert!(tried(&row("one"), "closed", "host/h1/198.18.0.111:22"), "{check}");
    let plain = lab.net(&["check", &stack.file, "--only", "instances.one"]).json();
    assert!(plain["tried"].as_u64() < check["tried"].as_u64());
    // The published port is open there, too, and a rule for that address alone is found.
    let rule = "nft add table ip other
         nft 'add chain ip other pre { type filter hook prerouting priority -150; }'
         nft add rule ip other pre ip daddr 198.18.0.111 tcp dport 8080 drop";
    lab.script("h1", rule).ok();
    let check = lab.net(&["check", &stack.file]).exits(2).json();
    let found = check["findings"].to_string();
    for from in ["host/h2", "two"] {
        assert!(found.contains(&format!("{from} to one:8080 (198.18.0.111")), "{from}: {found}");
    }
    assert!(!found.contains("(198.18.0.11,"), "{found}");
    lab.script("h1", "nft delete table ip other; ip addr del 198.18.0.111/24 dev eth0").ok();
    lab.net(&["up", &stack.file]).ok();
}

fn the_mtu_that_a_finding_says_to_write_works(lab: &Lab) {
    let stack = small(lab);
    lab.script("h2", "ip link set eth0 mtu 1407").ok();
    let check = lab.net(&["check", &stack.file]).exits(2).json();
    let hints = check["findings"].as_array().unwrap().iter().filter_map(|f| f["hint"].as_str());
    let written: Vec<&str> = hints.filter_map(|hint| hint.split_once(" pass: write ")?.1.into()).collect();
    assert!(written.contains(&"hosts.h2.mtu: 1407"), "{check}");
    for setting in written {
        let set = setting.replace(": ", "=");
        let changed = ["--set", &set];
        lab.net(&[&["up", &stack.file], &changed[..]].concat()).ok();
        lab.net(&[&["check", &stack.file], &changed[..]].concat()).ok();
        // The largest packet of the network is carried, by the kernel's own count of its size.
        let bridge = stack.network("lan")["bridge"].as_str().unwrap().to_owned();
        let mtu = lab.json("h1", &format!("ip -j link show {bridge}"))[0]["mtu"].as_u64().unwrap();
        assert_eq!(mtu, 1407 - 50, "VXLAN needs 50 bytes (RFC 7348)");
        let (space, to) = (stack.space("one"), stack.address("two", "lan"));
        let ping = ["ip", "netns", "exec", &space, "ping", "-n", "-c1", "-W5", "-M", "do", "-s"];
        lab.exec("h1", &[&ping[..], &[&(mtu - 28).to_string(), &to]].concat()).ok();
    }
    lab.script("h2", "ip link set eth0 mtu 1500").ok();
    lab.net(&["up", &stack.file]).ok();
    lab.net(&["check", &stack.file]).ok();
}

fn there_are_never_more_findings_than_checks(lab: &Lab) {
    let stack = small(lab);
    stack.detach(lab);
    // Many tests on both hosts, but no source for them.
    for host in lab.hosts() {
        lab.script(&host, "nft flush ruleset; rm -rf /etc/lsx; for l in $(ip -br link show type vxlan | cut -d' ' -f1); do ip link del $l; done").ok();
    }
    let check = lab.net(&["check", &stack.file]).exits(2).json();
    let (tried, found) =
        (check["tried"].as_u64().unwrap(), check["findings"].as_array().unwrap().len() as u64);
    assert!(found > 6 && tried >= found, "{found} of {tried}");
    lab.net(&["up", &stack.file]).ok();
    stack.down(lab, &[]);
}
