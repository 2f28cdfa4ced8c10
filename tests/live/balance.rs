//! Load balancers: HAProxy in the router, with real connections to instances.

use crate::kernel::{difference, snapshot};
use crate::peer::{self, Server, ask_from, ask_here};
use crate::stack::{Stack, tool_on};
use lsx_tests::lab::{Lab, until};
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] =
    &[("replicas_answer_by_turns_inside_and_outside", replicas_answer_by_turns_inside_and_outside)];

const HOSTS: [&str; 2] = ["h1", "h2"];
/// The processes of the balancer on a host.
const HAPROXY: &str = "pgrep -f '[h]aproxy -W .*/run/lsx/shop/balance/haproxy.cfg'";

/// The stack with its replicas served, and the servers.
fn shop(lab: &Lab) -> (Stack, Vec<Server>) {
    let stack = Stack::up(lab, &lab.file("shop.yaml", include_str!("balance.yaml")), &[]);
    stack.attach(lab);
    let serve = |name: &str| {
        let (host, space) = (stack.host_of(name), stack.space(name));
        peer::serve_in(lab, &host, &space, name, &["80", "81"])
    };
    let servers = vec![serve("web-1"), serve("web-2")];
    (stack, servers)
}

/// The replicas that answer several times in a row.
fn answers(ask: impl Fn() -> std::collections::BTreeMap<String, String>) -> BTreeSet<String> {
    let first = |text: &String| text.split(' ').next().unwrap().to_owned();
    (0..6).flat_map(|_| ask().values().map(first).collect::<Vec<_>>()).collect()
}

fn both() -> BTreeSet<String> {
    ["web-1", "web-2"].map(str::to_owned).into()
}

/// A host, without the mount of namespaces, which iproute2 leaves when the last one is removed.
fn whole(lab: &Lab, host: &str) -> BTreeSet<String> {
    let mut all = snapshot(lab, host);
    all.retain(|line| !line.starts_with("mount: /netns "));
    all
}

fn replicas_answer_by_turns_inside_and_outside(lab: &Lab) {
    peer::install(lab, &HOSTS);
    let before = HOSTS.map(|host| whole(lab, host));
    let (stack, servers) = shop(lab);
    let inside = || ask_from(lab, "h2", &stack.space("visitor"), &["10.130.0.1:80"]);
    let by_host = || ask_from(lab, "h2", &stack.space("visitor"), &["198.18.0.11:80"]);
    let outside = || ask_here(lab, &["198.18.0.11:80"]);
    assert!(until(20, || answers(inside) == both()), "{:?}", answers(inside));
    assert_eq!((answers(by_host), answers(outside)), (both(), both()));
    // The router accepts the port of the balancer and no other.
    let other = ask_from(lab, "h2", &stack.space("visitor"), &["10.130.0.1:81", "10.130.0.1:53"]);
    assert!(other.values().all(String::is_empty), "{other:?}");
    let there = lab.script("h1", HAPROXY).ok().stdout.lines().count();
    assert_eq!(there, 2, "a master and a worker");
    lab.script("h2", &format!("! {HAPROXY}")).ok();
    let again = lab.net(&["up", &stack.file]).ok();
    assert_eq!(again.json()["status"]["net"]["changed"], 0, "{}", again.stderr);
    let seen = lab.exec("h1", &[&tool_on(lab, "h1"), "observe"]).ok().json();
    let server = seen["objects"].as_array().unwrap().iter().find(|o| o["key"] == "service:balance").unwrap();
    assert_eq!(server["object"]["running"], true, "{server}");
    drop(servers);
    stack.detach(lab);
    stack.down(lab, &[]);
    for (host, before) in HOSTS.iter().zip(before) {
        let left = difference(&before, &whole(lab, host));
        assert!(left.is_empty(), "{host}\n{left}");
        lab.script(host, &format!("! {HAPROXY}; ! test -e /run/lsx; ! test -e /var/lib/lsx/net")).ok();
    }
}
