//! Connections that were allowed and no longer are: the kernel's rules only check the first packet of a connection.

use crate::peer::{self, answer, ask_from};
use crate::reach::{FILE, ask, world};
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_closed_port_closes_for_who_asked_before", a_closed_port_closes_for_who_asked_before),
    (
        "a_permission_that_is_taken_away_ends_what_it_began",
        a_permission_that_is_taken_away_ends_what_it_began,
    ),
    ("who_asks_a_renumbered_instance_gets_its_answer", who_asks_a_renumbered_instance_gets_its_answer),
];

/// The stack with something else in a place of its file.
fn changed(lab: &Lab, from: &str, to: &str) {
    assert!(FILE.contains(from), "{from}");
    lab.net(&["up", &lab.file("changed.yaml", &FILE.replace(from, to))]).ok();
}

fn back(lab: &Lab) {
    lab.net(&["up", &world(lab).file]).ok();
}

fn a_closed_port_closes_for_who_asked_before(lab: &Lab) {
    let stack = world(lab);
    // A fixed source port, as used by DNS or games.
    let target = "198.18.0.11:8095/udp@40100";
    let hairpin = "198.18.0.11:8095/udp@40101";
    let inside = (stack.host_of("web"), stack.space("web"));
    let open = || (answer(lab, ("h3", ""), target), answer(lab, (&inside.0, &inside.1), hairpin));
    let first = open();
    assert_eq!(first.0, "reach/db 198.18.0.13");
    assert!(first.1.starts_with("reach/db"), "{first:?}");
    changed(lab, ", \"8095:53/udp\"", "");
    let unpublished =
        (ask_from(lab, "h3", "", &[target])[target].clone(), ask(lab, "web", &[hairpin])[hairpin].clone());
    // Moved to another instance; a client that failed meanwhile reaches it, too.
    let file = FILE.replace(", \"8095:53/udp\"", "").replace(
        "    networks: [front, back]\n",
        "    networks: [front, back]\n    ports: [{ listen: 8096, to: 53, protocol: udp, network: back }]\n",
    );
    lab.net(&["up", &lab.file("moved.yaml", &file)]).ok();
    let elsewhere = "198.18.0.12:8096/udp@40102";
    let moved = answer(lab, ("h3", ""), elsewhere);
    back(lab);
    let closed = ask_from(lab, "h3", "", &[elsewhere])[elsewhere].clone();
    let again = open();
    assert_eq!(unpublished, (String::new(), String::new()));
    assert!(moved.starts_with("reach/two "), "{moved}");
    assert_eq!(closed, "");
    assert_eq!(again.0, "reach/db 198.18.0.13", "published again, for who asked in vain meanwhile");
    assert!(again.1.starts_with("reach/db"), "{again:?}");
}

fn a_permission_that_is_taken_away_ends_what_it_began(lab: &Lab) {
    let stack = world(lab);
    let db = stack.address("db", "back");
    let target = format!("{db}:53/udp@40103");
    let mut held = peer::OpenConnection::open(lab, "h1", &stack.space("web"), &format!("{db}:82"));
    assert_eq!(held.says("+"), "echo", "an established connection");
    assert!(answer(lab, (&stack.host_of("web"), &stack.space("web")), &target).starts_with("reach/db"));
    // An allowed connection continues meanwhile.
    let mut other = peer::OpenConnection::open(lab, "h3", "", "198.18.0.11:8097");
    changed(lab, "  - { from: front, to: back, ports: [82/tcp, 53/udp] }\n", "");
    let (after, asked, kept) = (held.says(""), ask(lab, "web", &[&target])[&target].clone(), other.says("+"));
    back(lab);
    assert_eq!((after.as_str(), asked.as_str()), ("", ""));
    assert_eq!(kept, "echo", "what is still open was left alone");
}

/// Connections of a source port to an address, in the kernel's list for the host and for the router.
fn tracked(lab: &Lab, port: &str, address: &str) -> Vec<String> {
    let list = "cat /proc/net/nf_conntrack; ip netns exec lsx-number cat /proc/net/nf_conntrack";
    let all = lab.script("h1", list).ok().stdout;
    let mut lines = all
        .lines()
        .filter(|l| l.contains(&format!("sport={port} ")) && l.contains(&format!("src={address} ")));
    lines.by_ref().map(str::to_owned).collect()
}

/// An instance gets another address: a client that keeps its source port reaches it there through the published port.
fn who_asks_a_renumbered_instance_gets_its_answer(lab: &Lab) {
    let text = "stack: number
hosts:
  h1: { address: 198.18.0.11, ssh: root@198.18.0.11 }
networks: { lan: { cidr: 10.143.0.0/24, gateway: h1 } }
allow: [{ from: 198.18.0.13/32, to: lan, ports: [53/udp] }]
instances:
  one: { image: none, host: h1, networks: [{ name: lan, address: 10.143.0.10 }], ports: [\"8099:53/udp\"] }
  two: { image: none, host: h1, networks: [lan] }
";
    let file = |text: &str| lab.file("number.yaml", text);
    peer::install(lab, &["h1", "h3"]);
    let old = crate::stack::Stack::up(lab, &file(text), &[]);
    old.attach(lab);
    let (h3, inside) = ("198.18.0.11:8099/udp@40110", "198.18.0.11:8099/udp@40111");
    let ask = |stack: &crate::stack::Stack| {
        (answer(lab, ("h3", ""), h3), answer(lab, ("h1", &stack.space("two")), inside))
    };
    let server = peer::serve_in(lab, "h1", &old.space("one"), "old", &["53/udp"]);
    let first = ask(&old);
    assert!(first.0.starts_with("old 198.18.0.13") && first.1.starts_with("old "), "{first:?}");
    let before = tracked(lab, "40110", "10.143.0.10");
    assert!(!before.is_empty(), "the kernel has an entry that an instance's new address makes wrong");
    drop(server);
    let text = text.replace("10.143.0.10", "10.143.0.20");
    lab.net(&["up", &file(&text)]).exits(65).says("--renumber");
    old.detach(lab);
    let new = crate::stack::Stack::up(lab, &file(&text), &["--renumber"]);
    let after = tracked(lab, "40110", "10.143.0.10");
    // At once, and again while no server runs: neither may leave a permanent entry.
    assert_eq!(ask_from(lab, "h3", "", &[h3])[h3], "");
    new.attach(lab);
    let _server = peer::serve_in(lab, "h1", &new.space("one"), "new", &["53/udp"]);
    let second = ask(&new);
    new.detach(lab);
    new.down(lab, &[]);
    assert!(second.0.starts_with("new 198.18.0.13") && second.1.starts_with("new "), "{second:?}");
    assert!(after.is_empty(), "{after:?}");
}
