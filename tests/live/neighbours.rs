//! Two stacks on the same hosts: neither can reach the other.

use crate::kernel::{difference, snapshot};
use crate::peer::{self, answer, tries};
use crate::stack::Stack;
use crate::traffic::{ask, servers, world};
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_stack_does_not_reach_another_by_their_host", a_stack_does_not_reach_another_by_their_host),
    ("two_stacks_with_the_same_addresses_do_not_meet", two_stacks_with_the_same_addresses_do_not_meet),
];

fn a_stack_does_not_reach_another_by_their_host(lab: &Lab) {
    let first = world(lab);
    // A network that the host itself may reach has a route there, which everything on the host can use.
    let text = include_str!("small.yaml").replace("8080:80", "8888:80")
        + "\nallow:\n  - { from: host/h1, to: lan }\n";
    let other = Stack::up(lab, &lab.file("small.yaml", &text), &[]);
    other.attach(lab);
    let one = format!("{}:80", other.address("one", "lan"));
    {
        let _server = peer::serve_in(lab, "h1", &other.space("one"), "small/one", &["80"]);
        let own = answer(lab, ("h1", ""), &one);
        assert!(own.starts_with("small/one "), "the host may: {own}");
        for instance in ["web-1", "db", "admin"] {
            ask(lab, first, instance, &[(&one, "")]);
        }
        tries(lab, ("h2", ""), &[(&one, "")]);
    }
    other.detach(lab);
    other.down(lab, &[]);
}

/// The same document under another name: the same addresses, other ports to the world.
fn second(lab: &Lab) -> String {
    let text = include_str!("traffic.yaml")
        .replace("10022:22", "20022:22")
        .replace("8080:80", "18080:80")
        .replace("8100-8101", "18100-18101");
    lab.file("second.yaml", &text.replace("5353:53", "15353:53").replace("listen: 9000", "listen: 19000"))
}

fn two_stacks_with_the_same_addresses_do_not_meet(lab: &Lab) {
    let first = world(lab);
    let file = second(lab);
    let port = format!("tunnel_port={}", first.resolved["tunnel_port"]);
    lab.net(&["up", &file, "--set", "stack=b", "--set", &port]).exits(65).says("stack traffic");
    lab.net(&["up", &first.file, "--set", "stack=b"]).exits(65).says("stack traffic");
    let before: Vec<_> = ["h1", "h2"].map(|h| snapshot(lab, h)).into();
    let file =
        lab.file("b.yaml", &std::fs::read_to_string(file).unwrap().replace("stack: traffic", "stack: b"));
    let other = Stack::up(lab, &file, &[]);
    other.attach(lab);
    {
        let _servers = servers(lab, &other);
        assert_eq!(first.address("db", "production"), other.address("db", "production"));
        ask(lab, first, "db", &[("10.104.0.80:80", "traffic/web-1 10.104.0.50")]);
        ask(lab, &other, "db", &[("10.104.0.80:80", "b/web-1 10.104.0.50")]);
        ask(lab, first, "left", &[("10.105.0.20:80", "traffic/right 10.105.0.10")]);
        ask(lab, &other, "left", &[("10.105.0.20:80", "b/right 10.105.0.10")]);
        let wanted =
            [("198.18.0.11:8080", "traffic/web-1 198.18.0.1"), ("198.18.0.11:18080", "b/web-1 198.18.0.1")];
        tries(lab, ("", ""), &wanted);
        ask(lab, &other, "web-2", &[("198.18.0.1:7000", "operator 198.18.0.11")]);
        let all = lab.exec("h1", &[&crate::stack::tool_on(lab, "h1"), "observe"]).ok().json();
        let attached: Vec<&str> =
            all["attached"].as_array().unwrap().iter().map(|a| a["stack"].as_str().unwrap()).collect();
        assert!(attached.contains(&"traffic") && attached.contains(&"b"), "{attached:?}");
        let bridges =
            all["objects"].as_array().unwrap().iter().filter(|o| o["object"]["object"] == "bridge").count();
        assert_eq!(bridges, 8, "observe without a stack shows those of all");
    }
    lab.net(&["down", &file]).exits(1).says("still attached");
    other.detach(lab);
    other.down(lab, &[]);
    for (host, before) in ["h1", "h2"].iter().zip(&before) {
        let left = difference(before, &snapshot(lab, host));
        assert!(left.is_empty(), "{host}\n{left}");
    }
    ask(lab, first, "db", &[("10.104.0.80:80", "traffic/web-1 10.104.0.50")]);
    first.detach(lab);
    first.down(lab, &[]);
}
