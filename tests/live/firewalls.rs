//! With the firewalls of hosts and their defaults: ufw on one host, firewalld on the other.

use crate::peer::{self, tries};
use crate::stack::Stack;
use lsx_tests::lab::Lab;
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("ufw_and_firewalld_let_through_what_lsx_needs", ufw_and_firewalld_let_through_what_lsx_needs),
    ("what_they_load_anew_is_seen_and_repaired", what_they_load_anew_is_seen_and_repaired),
    ("down_leaves_them_as_they_were", down_leaves_them_as_they_were),
];

/// As set up by their packages, with ssh allowed. Both end with the lab.
const UFW: &str =
    "ufw allow 22/tcp >/dev/null; ufw --force enable >/dev/null; ufw status | grep -q '^Status: active'";
const FIREWALLD: &str = "mkdir -p /run/dbus; dbus-daemon --system --fork --nopidfile
    setsid firewalld --nofork --nopid </dev/null >/tmp/firewalld.log 2>&1 &
    for i in $(seq 120); do firewall-cmd --state >/dev/null 2>&1 && exit 0; sleep 0.5; done
    cat /tmp/firewalld.log; exit 1";

const CHAINS: [(&str, &str); 4] = [
    ("h1", "ip filter INPUT"),
    ("h1", "ip filter FORWARD"),
    ("h2", "inet firewalld filter_INPUT"),
    ("h2", "inet firewalld filter_FORWARD"),
];

/// The rules of a host without their counters.
fn rules(lab: &Lab, host: &str) -> String {
    lab.script(host, "nft -s list ruleset 2>/dev/null | sed 's/packets [0-9]* bytes [0-9]*//'").ok().stdout
}

fn stack(lab: &Lab) -> Stack {
    Stack::up(lab, &lab.file("small.yaml", include_str!("small.yaml")), &[])
}

/// The number of lsx's marked rules in a chain, as reported by nft.
fn marked(lab: &Lab, host: &str, chain: &str) -> usize {
    let list = lab.json(host, &format!("nft -j list chain {chain}"));
    let rules = list["nftables"].as_array().unwrap().iter().filter_map(|v| v["rule"]["comment"].as_str());
    rules.filter(|comment| comment.starts_with("lsx:small:")).count()
}

fn works(lab: &Lab, stack: &Stack) {
    let (one, two) = (stack.address("one", "lan"), stack.address("two", "lan"));
    let both = |own: &str, to: &str, from: &str| {
        [(format!("{to}:80"), format!("{own} {from}")), (format!("{to}/icmp"), "echo".to_owned())]
    };
    for (from, host, targets) in
        [("two", "h2", both("one", &one, &two)), ("one", "h1", both("two", &two, &one))]
    {
        let mut wanted: Vec<(&str, &str)> = targets.iter().map(|(t, a)| (t.as_str(), a.as_str())).collect();
        wanted.push(("198.18.0.1:7000", "operator 198.18.0.11"));
        tries(lab, (host, &stack.space(from)), &wanted);
    }
    tries(lab, ("", ""), &[("198.18.0.11:8080", "one 198.18.0.1")]);
}

/// The servers, as long as they are held.
fn served(lab: &Lab, stack: &Stack) -> Vec<peer::Server> {
    let instance = |name| peer::serve_in(lab, &stack.host_of(name), &stack.space(name), name, &["80"]);
    vec![peer::serve_here(lab, "operator", &["7000"]), instance("one"), instance("two")]
}

fn ufw_and_firewalld_let_through_what_lsx_needs(lab: &Lab) {
    peer::install(lab, &["h1", "h2"]);
    lab.script("h1", UFW).ok();
    lab.script("h2", FIREWALLD).ok();
    // The firewalls work: unknown clients are blocked.
    let _server =
        [peer::serve_in(lab, "h1", "", "h1", &["9001"]), peer::serve_in(lab, "h2", "", "h2", &["9001"])];
    let closed = [("198.18.0.11:9001", ""), ("198.18.0.12:9001", "")];
    tries(lab, ("", ""), &closed);
    for host in ["h1", "h2"] {
        std::fs::write(lab.folder.path().join(host), rules(lab, host)).unwrap();
    }
    let file = lab.file("small.yaml", include_str!("small.yaml"));
    let plan = lab.net(&["plan", &file]).ok().json();
    for (host, chain) in CHAINS {
        let steps = plan["steps"].as_array().unwrap().iter().filter(|step| step["host"] == host);
        let why: Vec<&Value> = steps.map(|step| &step["why"]).collect();
        let named = why.iter().any(|why| why.to_string().contains(&format!("the chain {chain} may")));
        assert!(named, "{host} {chain}: {why:?}");
    }
    let stack = stack(lab);
    stack.attach(lab);
    let _servers = served(lab, &stack);
    works(lab, &stack);
    assert!(CHAINS.iter().all(|(host, chain)| marked(lab, host, chain) > 0));
    lab.net(&["check", &stack.file]).ok();
    tries(lab, ("", ""), &closed);
}

fn what_they_load_anew_is_seen_and_repaired(lab: &Lab) {
    let stack = stack(lab);
    let _servers = served(lab, &stack);
    lab.script("h1", "ufw --force disable; ufw --force enable; ufw reload").ok();
    lab.script("h2", "firewall-cmd --reload; firewall-cmd --state").ok();
    let gone: Vec<String> = CHAINS
        .iter()
        .filter(|(host, chain)| marked(lab, host, chain) == 0)
        .map(|(_, chain)| format!("the chain {chain} may"))
        .collect();
    assert!(gone.iter().any(|words| words.contains("firewalld")), "firewalld reloads its whole table");
    let check = lab.net(&["check", &stack.file]).exits(2);
    for words in &gone {
        assert!(check.stderr.contains(words), "{words}: {}", check.stderr);
    }
    lab.net(&["up", &stack.file]).ok();
    lab.net(&["check", &stack.file]).ok();
    works(lab, &stack);
}

fn down_leaves_them_as_they_were(lab: &Lab) {
    let stack = stack(lab);
    stack.detach(lab);
    stack.down(lab, &[]);
    for host in ["h1", "h2"] {
        let before = std::fs::read_to_string(lab.folder.path().join(host)).unwrap();
        assert_eq!(rules(lab, host), before, "{host}");
    }
    lab.script("h1", "ufw --force disable").ok();
}
