//! With other firewalls: a real dockerd, whose FORWARD policy is drop, and a table like firewalld's.

use crate::kernel::{difference, snapshot};
use crate::peer::{self, answer, ask_here, tries};
use crate::stack::Stack;
use lsx_tests::lab::{Lab, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::OnceLock;

pub(crate) const CASES: &[crate::Case] = &[
    ("networks_and_egress_work_beside_docker", networks_and_egress_work_beside_docker),
    ("docker_has_only_marked_rules_of_ours", docker_has_only_marked_rules_of_ours),
    (
        "containers_work_and_their_ports_stay_closed_to_instances",
        containers_work_and_their_ports_stay_closed_to_instances,
    ),
    ("instances_do_not_reach_containers_inside", instances_do_not_reach_containers_inside),
    ("flushed_chains_are_seen_and_repaired", flushed_chains_are_seen_and_repaired),
    ("a_restarted_docker_is_seen_and_repaired", a_restarted_docker_is_seen_and_repaired),
    ("networks_work_beside_a_table_that_rejects", networks_work_beside_a_table_that_rejects),
    ("networks_work_where_others_close_the_hosts_input", networks_work_where_others_close_the_hosts_input),
    ("down_takes_only_our_rules_from_docker", down_takes_only_our_rules_from_docker),
];

struct World {
    before: BTreeSet<String>,
    stack: Stack,
    _servers: Vec<peer::Server>,
}

static WORLD: OnceLock<World> = OnceLock::new();

fn world(lab: &Lab) -> &'static World {
    WORLD.get_or_init(|| {
        peer::install(lab, &["h1", "h2"]);
        // A container of Docker with only the peer program.
        let run = "mkdir -p /tmp/image/tmp; cp /usr/local/bin/live-peer /tmp/image/
            tar -C /tmp/image -c . | docker import - peer >/dev/null
            docker run -d --name server -p 7070:80 -i peer /live-peer peer serve container 80 >/dev/null
            docker run -d --name hidden -i peer /live-peer peer serve hidden 80 >/dev/null";
        lab.script("h1", run).ok();
        assert!(policy(lab).contains("-P FORWARD DROP"), "docker closes forwarding");
        let before = snapshot(lab, "h1");
        let stack = Stack::up(lab, &lab.file("small.yaml", include_str!("small.yaml")), &[]);
        stack.attach(lab);
        let mut servers = vec![peer::serve_here(lab, "operator", &["7000"])];
        for instance in ["one", "two"] {
            servers.push(peer::serve_in(
                lab,
                &stack.host_of(instance),
                &stack.space(instance),
                instance,
                &["80"],
            ));
        }
        World { before, stack, _servers: servers }
    })
}

fn policy(lab: &Lab) -> String {
    lab.script("h1", "iptables -S FORWARD; iptables-legacy -S FORWARD 2>/dev/null || true").ok().stdout
}

/// What must work with any other firewall on the host.
#[track_caller]
fn all_works(lab: &Lab, stack: &Stack) {
    let (one, two) = (stack.address("one", "lan"), stack.address("two", "lan"));
    let to_one = [
        (format!("{one}:80"), format!("one {two}")),
        ("198.18.0.1:7000".to_owned(), "operator 198.18.0.11".to_owned()),
        (format!("{one}/icmp"), "echo".to_owned()),
    ];
    let wanted: Vec<(&str, &str)> = to_one.iter().map(|(t, a)| (t.as_str(), a.as_str())).collect();
    tries(lab, ("h2", &stack.space("two")), &wanted);
    tries(lab, ("", ""), &[("198.18.0.11:8080", "one 198.18.0.1")]);
}

fn networks_and_egress_work_beside_docker(lab: &Lab) {
    all_works(lab, &world(lab).stack);
}

/// Comments of rules in a chain; "" for a rule without one.
fn comments(lab: &Lab, chain: &str) -> Vec<String> {
    let list = lab.json("h1", &format!("nft -j list chain {chain}"));
    let rules = list["nftables"].as_array().unwrap().iter().filter_map(|v| v.get("rule"));
    rules.map(|r| r["comment"].as_str().unwrap_or_default().to_owned()).collect()
}

fn docker_has_only_marked_rules_of_ours(lab: &Lab) {
    let world = world(lab);
    let user = comments(lab, "ip filter DOCKER-USER");
    assert!(user.iter().any(|c| c.starts_with("lsx:small:")), "{user:?}");
    // All rules added outside lsx's tables are marked rules in that chain.
    let now = snapshot(lab, "h1");
    let ours = |l: &&String| l.contains("lsx") || l.contains("counter packets");
    let nft = |set: &BTreeSet<String>| {
        set.iter().filter(|l| l.starts_with("nft: ") && !ours(l)).cloned().collect::<BTreeSet<_>>()
    };
    let gone = nft(&world.before).difference(&nft(&now)).cloned().collect::<Vec<_>>();
    assert_eq!(gone, Vec::<String>::new(), "nothing of docker's was taken away");
}

fn containers_work_and_their_ports_stay_closed_to_instances(lab: &Lab) {
    let stack = &world(lab).stack;
    let docker = answer(lab, ("", ""), "198.18.0.11:7070");
    assert!(docker.starts_with("container "), "{docker}");
    let out = lab.script("h1", "docker run --rm peer /live-peer peer ask +198.18.0.1:7000").ok().json();
    assert_eq!(out["198.18.0.1:7000"], "operator 198.18.0.11");
    for instance in ["one", "two"] {
        // Docker's translation must not change what an instance sends to its host's address, bypassing the router.
        tries(lab, (&stack.host_of(instance), &stack.space(instance)), &[("198.18.0.11:7070", "")]);
    }
    let back = format!("docker run --rm peer /live-peer peer ask {}:80", stack.address("one", "lan"));
    let back = lab.script("h1", &back).ok().json();
    assert!(back.as_object().unwrap().values().all(|v| v == ""), "a container is the world: {back}");
}

/// What Docker blocks for other machines is blocked for instances, too, though their packets pass its chains.
fn instances_do_not_reach_containers_inside(lab: &Lab) {
    let stack = &world(lab).stack;
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = lab.script("h1", &format!("docker inspect -f '{format}' hidden")).ok().stdout;
    let hidden = format!("{}:80", address.trim());
    let here = answer(lab, ("h1", ""), &hidden);
    assert!(here.starts_with("hidden "), "{here}");
    for instance in ["one", "two"] {
        tries(lab, (&stack.host_of(instance), &stack.space(instance)), &[(hidden.as_str(), "")]);
    }
}

#[track_caller]
fn seen_and_repaired(lab: &Lab, stack: &Stack) {
    let plan = lab.net(&["plan", "--exit-code", &stack.file]);
    assert_eq!(plan.code, 2, "{}", plan.stdout);
    let steps =
        plan.json()["steps"].as_array().unwrap().iter().map(|s| s["id"].to_string()).collect::<String>();
    assert!(steps.contains("accept."), "{steps}");
    let check = lab.net(&["check", &stack.file]).exits(2).json();
    let found = check["findings"].as_array().unwrap().iter().any(|f: &Value| f["code"] == "plan.differs");
    assert!(found, "{check}");
    lab.net(&["up", &stack.file]).ok();
    lab.net(&["plan", "--exit-code", &stack.file]).ok();
    all_works(lab, stack);
}

fn flushed_chains_are_seen_and_repaired(lab: &Lab) {
    let stack = &world(lab).stack;
    lab.script("h1", "iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN").ok();
    seen_and_repaired(lab, stack);
}

fn a_restarted_docker_is_seen_and_repaired(lab: &Lab) {
    let stack = &world(lab).stack;
    lab.script("h1", "kill $(cat /run/docker.pid)").ok();
    assert!(until(60, || lab.script("h1", "! pidof dockerd").code == 0));
    lab.script("h1", "iptables -F; iptables -X DOCKER-USER 2>/dev/null || true; setsid dockerd </dev/null >>/var/log/dockerd.log 2>&1 &").ok();
    assert!(until(30, || lab.script("h1", "docker version").code == 0));
    assert!(policy(lab).contains("-P FORWARD DROP"));
    seen_and_repaired(lab, stack);
    lab.script("h1", "docker start server").ok();
    let again = || ask_here(lab, &["198.18.0.11:7070"])["198.18.0.11:7070"].starts_with("container ");
    assert!(until(30, again), "docker's own works, too");
}

fn networks_work_beside_a_table_that_rejects(lab: &Lab) {
    let stack = &world(lab).stack;
    let table = "nft -f - <<'END'
table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state established,related accept
        reject with icmpx type admin-prohibited
    }
}
END";
    for host in ["h1", "h2"] {
        lab.script(host, table).ok();
    }
    seen_and_repaired(lab, stack);
    let ours = comments(lab, "inet firewalld filter_FORWARD");
    assert!(ours[0].starts_with("lsx:small:"), "at its head: {ours:?}");
    for host in ["h1", "h2"] {
        lab.script(host, "nft delete table inet firewalld").ok();
    }
    lab.net(&["up", &stack.file]).ok();
    all_works(lab, stack);
}

/// The default of ufw and firewalld, at the input hook of the host.
fn networks_work_where_others_close_the_hosts_input(lab: &Lab) {
    let stack = &world(lab).stack;
    let ufw = "iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -p tcp --dport 22 -j ACCEPT
        iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables -P INPUT DROP";
    let firewalld = "nft -f - <<'END'
table inet firewalld {
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state established,related accept
        iifname lo accept
        tcp dport 22 accept
        reject with icmpx admin-prohibited
    }
}
END";
    for (close, open, chain) in [
        (ufw, "iptables -P INPUT ACCEPT; iptables -F INPUT", "ip filter INPUT"),
        (firewalld, "nft delete table inet firewalld", "inet firewalld filter_INPUT"),
    ] {
        for host in ["h1", "h2"] {
            lab.script(host, close).ok();
        }
        let (one, two) = (stack.address("one", "lan"), stack.space("two"));
        // The chain closes the tunnels.
        tries(lab, ("h2", &two), &[(&format!("{one}:80"), "")]);
        let plan = lab.net(&["plan", &stack.file]).ok().json()["steps"].to_string();
        assert!(plan.contains(&format!("the chain {chain} may close UDP port")), "{plan}");
        seen_and_repaired(lab, stack);
        assert!(
            comments(lab, chain).iter().any(|c| c.starts_with("lsx:small:udp ")),
            "a marked rule in {chain}"
        );
        lab.script("h1", "iptables -S INPUT && iptables -S FORWARD").ok();
        for host in ["h1", "h2"] {
            lab.script(host, open).ok();
        }
        lab.net(&["up", &stack.file]).ok();
        assert!(
            !lab.script("h1", "nft list ruleset").ok().stdout.contains("lsx:small:udp"),
            "and it goes with its reason"
        );
        all_works(lab, stack);
    }
}

fn down_takes_only_our_rules_from_docker(lab: &Lab) {
    let world = world(lab);
    lab.net(&["down", &world.stack.file]).exits(1).says("still attached");
    world.stack.detach(lab);
    world.stack.down(lab, &[]);
    let user = comments(lab, "ip filter DOCKER-USER");
    assert!(user.iter().all(|c| !c.starts_with("lsx:")), "{user:?}");
    let rules = |set: &BTreeSet<String>| {
        set.iter().filter(|l| l.starts_with("nft: ") && !l.contains("counter packets")).cloned().collect()
    };
    let left: String = difference(&rules(&world.before), &rules(&snapshot(lab, "h1")));
    assert!(!left.contains("lsx"), "{left}");
    let docker = answer(lab, ("", ""), "198.18.0.11:7070");
    assert!(docker.starts_with("container "), "{docker}");
}
