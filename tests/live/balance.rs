//! Load balancers: HAProxy in the router, with real connections to instances.

use crate::kernel::{difference, snapshot};
use crate::load;
use crate::peer::{self, Server, ask_from, ask_here};
use crate::stack::{Stack, replica_is, tool_on};
use lsx_tests::lab::{Lab, until};
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("replicas_answer_by_turns_inside_and_outside", replicas_answer_by_turns_inside_and_outside),
    ("requests_go_by_name_path_and_cookie", requests_go_by_name_path_and_cookie),
    ("a_reload_loses_nothing", a_reload_loses_nothing),
    ("what_was_killed_comes_back", what_was_killed_comes_back),
    ("who_has_the_name_of_haproxy_is_left_alone", who_has_the_name_of_haproxy_is_left_alone),
    ("what_haproxy_refuses_changes_nothing", what_haproxy_refuses_changes_nothing),
    (
        "a_run_killed_at_the_balancer_is_repaired_or_removed",
        a_run_killed_at_the_balancer_is_repaired_or_removed,
    ),
    ("after_a_power_cut_it_serves_again", after_a_power_cut_it_serves_again),
];

const HOSTS: [&str; 2] = ["h1", "h2"];
/// The processes of the balancer on a host.
pub(crate) const HAPROXY: &str = "pgrep -f '[h]aproxy -W .*/run/lsx/shop/balance/haproxy.cfg'";

/// The stack with its replicas served, and the servers.
pub(crate) fn shop(lab: &Lab) -> (Stack, Vec<Server>) {
    shop_of(lab, include_str!("balance.yaml"))
}

/// The same with another document.
pub(crate) fn shop_of(lab: &Lab, text: &str) -> (Stack, Vec<Server>) {
    peer::install(lab, &HOSTS);
    let stack = Stack::up(lab, &lab.file("shop.yaml", text), &[]);
    stack.attach(lab);
    let serve = |name: &str| {
        let (host, space) = (stack.host_of(name), stack.space(name));
        let plain = peer::serve_in(lab, &host, &space, name, &["80", "81", "82/echo"]);
        [plain, peer::http_in(lab, &host, &space, name, "8000")]
    };
    let servers = ["web-1", "web-2"].into_iter().flat_map(serve).collect();
    let outside = || ask_here(lab, &["198.18.0.11:80"]);
    assert!(until(60, || answers(outside) == both()), "{:?}", answers(outside));
    // Each balancer finds out for itself, and one may take a second longer than the others.
    let up = || ["web-1", "web-2"].iter().all(|name| replica_is(lab, name, "up"));
    assert!(until(60, up), "{}", lab.net(&["check", &stack.file]).stderr);
    (stack, servers)
}

/// The stack with another document.
fn changed(lab: &Lab, from: &str, to: &str) -> String {
    let text = include_str!("balance.yaml");
    assert!(text.contains(from), "{from}");
    lab.file("shop.yaml", &text.replace(from, to))
}

/// The number of changes of a run that must succeed.
#[track_caller]
pub(crate) fn changes(lab: &Lab, file: &str) -> u64 {
    lab.net(&["up", file]).ok().json()["status"]["net"]["changed"].as_u64().unwrap()
}

#[track_caller]
pub(crate) fn end(lab: &Lab, stack: &Stack, servers: Vec<Server>) {
    drop(servers);
    stack.detach(lab);
    stack.down(lab, &[]);
    lab.script("h1", &format!("! {HAPROXY} && ! test -e /run/lsx && ! test -e /var/lib/lsx/net")).ok();
}

/// A value of the record of the supervisor.
fn recorded(lab: &Lab, key: &str) -> String {
    lab.script("h1", &format!("jq -r .{key} /run/lsx/shop/net/balance.state.json"))
        .ok()
        .stdout
        .trim()
        .to_owned()
}

/// The replicas that answer several times in a row.
pub(crate) fn answers(ask: impl Fn() -> std::collections::BTreeMap<String, String>) -> BTreeSet<String> {
    let first = |text: &String| text.split(' ').next().unwrap().to_owned();
    (0..6).flat_map(|_| ask().values().map(first).collect::<Vec<_>>()).collect()
}

pub(crate) fn both() -> BTreeSet<String> {
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
    assert!(until(60, || answers(inside) == both()), "{:?}", answers(inside));
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
    let state = |name: &str| {
        let all = seen["replicas"].as_array().unwrap();
        all.iter().find(|r| r["balancer"] == "api" && r["instance"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("web-1"), state("web-2")), ("up".into(), "drain".into()));
    lab.net(&["check", &stack.file]).ok();
    drop(servers);
    let down = || lab.net(&["check", &stack.file]).stderr.contains("balance/www: web-1 is down");
    assert!(until(30, down), "{}", lab.net(&["check", &stack.file]).stderr);
    let servers = Vec::new();
    end(lab, &stack, servers);
    for (host, before) in HOSTS.iter().zip(before) {
        let left = difference(&before, &whole(lab, host));
        assert!(left.is_empty(), "{host}\n{left}");
    }
}

/// The body that `curl` gets, or the status if it is no success.
fn curl(lab: &Lab, args: &[&str]) -> String {
    let ran = lab.run(&[&["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}"], args].concat()).ok();
    let (body, status) = ran.stdout.rsplit_once('\n').unwrap();
    if status == "200" { body.to_owned() } else { status.to_owned() }
}

fn requests_go_by_name_path_and_cookie(lab: &Lab) {
    let (stack, servers) = shop(lab);
    let get = |path: &str, name: &str, more: &[&str]| {
        let (url, host) = (format!("http://198.18.0.11:8080{path}"), format!("Host: {name}"));
        curl(lab, &[&["-H", host.as_str(), url.as_str()], more].concat())
    };
    let replica = |body: &str| body.split(' ').next().unwrap().to_owned();
    let who =
        |path: &str, name: &str| (0..6).map(|_| replica(&get(path, name, &[]))).collect::<BTreeSet<_>>();
    assert!(until(60, || who("/", "www.internal") == both()));
    assert_eq!(who("/", "a.www.internal:8080"), both());
    for path in ["/api", "/api/", "/api/x?y"] {
        assert_eq!(who(path, "www.internal"), ["web-1".to_owned()].into(), "{path}");
    }
    assert_eq!(who("/apix", "www.internal"), both(), "another path");
    assert_eq!(get("/", "other.internal", &[]), "404");
    let jar = lab.folder.path().join("cookies");
    let jar = jar.to_str().unwrap();
    let kept: BTreeSet<String> =
        (0..8).map(|_| replica(&get("/", "www.internal", &["-c", jar, "-b", jar]))).collect();
    assert_eq!(kept.len(), 1, "one replica for one cookie");
    let seen = get("/", "www.internal", &["-H", "X-Forwarded-For: 192.0.2.1"]).to_lowercase();
    assert!(seen.contains("x-forwarded-for: 198.18.0.1") && !seen.contains("192.0.2.1"), "{seen}");
    assert!(!seen.contains("lsx-pages"), "the cookie of the balancer is its own: {seen}");
    end(lab, &stack, servers);
}

fn a_reload_loses_nothing(lab: &Lab) {
    let (stack, servers) = shop(lab);
    let mut load = load::start(lab, "198.18.0.11:8080", "198.18.0.11:7");
    let mut before = 0;
    let edits = [
        ("to: web, port: 82 }", "to: web, port: 82, drain: web-1 }"),
        ("to: web, port: 82 }", "to: web, port: 82, algorithm: leastconn }"),
        ("sticky: cookie }", "weight: { web-1: 3 } }"),
        ("listen: [80]", "listen: [80, 8081]"),
        ("to: web, port: 80 }", "to: web, port: 81 }"),
    ];
    for (from, to) in edits {
        assert!(until(30, || load.done() > before + 100));
        let file = changed(lab, from, to);
        let plan = lab.net(&["plan", &file, "--table"]).ok();
        assert!(plan.stdout.contains("reloaded"), "{}", plan.stdout);
        assert!(changes(lab, &file) >= 2);
        before = load.done();
    }
    assert!(until(30, || load.done() > before + 100));
    let log = lab.script("h1", "tail -n 60 /var/lib/lsx/net/shop/log/*").stdout;
    let done = load.all_good(&log);
    println!("{done} exchanges during {} reloads", edits.len());
    // It began with the states of replicas whose line is the same, and not with the former port of www.
    let said = |script: &str| lab.script("h1", &format!("{script} | cut -d' ' -f2,4,6,19")).ok().stdout;
    let kept = said("cat /run/lsx/shop/balance/states");
    let now = said("echo 'show servers state' | nc -NU /run/lsx/shop/balance/stats");
    assert!(kept.contains("echo web-1 2 82") && !kept.contains("www"), "{kept}");
    assert!(["www web-1 2 81", "www web-2 2 81"].iter().all(|one| now.contains(one)), "{now}");
    assert_eq!(recorded(lab, "restarts"), "0");
    drop(load);
    end(lab, &stack, servers);
}

fn what_was_killed_comes_back(lab: &Lab) {
    let (stack, servers) = shop(lab);
    let outside = || ask_here(lab, &["198.18.0.11:80"]);
    let mut load = load::start(lab, "198.18.0.11:8080", "198.18.0.11:7");
    assert!(until(30, || load.done() > 100));
    lab.script("h1", &format!("kill -9 {}", recorded(lab, "supervisor"))).ok();
    assert_eq!(answers(outside), both(), "it serves without its supervisor");
    lab.net(&["plan", "--exit-code", &stack.file]).exits(2);
    assert_eq!(changes(lab, &stack.file), 1);
    assert!(until(30, || lab.script("h1", HAPROXY).ok().stdout.lines().count() == 2), "the old one ends");
    load.all_good("while the next supervisor took over");
    drop(load);
    for which in ["head -1", "tail -1", "cat"] {
        lab.script("h1", &format!("kill -9 $({HAPROXY} | {which})")).ok();
        assert!(until(30, || answers(outside) == both()), "{which}");
    }
    assert_eq!(changes(lab, &stack.file), 0);
    // The router is removed and made again: the server serves in the new one.
    lab.script("h1", "ip netns del lsx-shop").ok();
    assert!(changes(lab, &stack.file) > 1);
    assert!(until(30, || answers(outside) == both()), "in a new router");
    end(lab, &stack, servers);
}

/// A user of the host, and root of an instance, can give their processes its command line.
fn who_has_the_name_of_haproxy_is_left_alone(lab: &Lab) {
    let (stack, servers) = shop(lab);
    let posing = "exec -a haproxy sh -c \"sleep 300; :\" /run/lsx/shop/balance/haproxy.cfg";
    let begin = |enter: &str| {
        lab.script("h1", &format!("{enter} bash -c '{posing}' >/dev/null 2>&1 </dev/null &")).ok();
    };
    begin("setsid setpriv --reuid 65534 --regid 65534 --clear-groups");
    begin("setsid unshare --pid --fork");
    let there = "pgrep -fxc 'haproxy -c sleep 300; : /run/lsx/shop/balance/haproxy.cfg'";
    assert!(until(60, || lab.script("h1", there).stdout == "2\n"));
    assert_eq!(changes(lab, &stack.file), 0);
    lab.script("h1", "kill -9 $(jq .pid /run/lsx/shop/net/balance.state.json)").ok();
    assert!(until(30, || answers(|| ask_here(lab, &["198.18.0.11:80"])) == both()));
    end(lab, &stack, servers);
    assert_eq!(lab.script("h1", there).stdout, "2\n");
    lab.script("h1", "pkill -9 -f '[h]aproxy -c sleep 300'").ok();
}

fn what_haproxy_refuses_changes_nothing(lab: &Lab) {
    let (stack, servers) = shop(lab);
    let outside = || ask_here(lab, &["198.18.0.11:80"]);
    let file = changed(lab, "listen: 7,", "listen: [7, 9090],");
    // What is wrong is found before it is used.
    let wrapper = "printf '#!/bin/sh\necho no such keyword >&2\nexit 1\n' > /usr/local/sbin/haproxy; chmod 755 /usr/local/sbin/haproxy; cp -a /usr/local/sbin/haproxy /usr/local/bin";
    lab.script("h1", wrapper).ok();
    lab.net(&["up", &file]).exits(1).says("refuses the configuration").says("no such keyword");
    lab.script("h1", "rm /usr/local/*bin/haproxy").ok();
    assert_eq!(answers(outside), both());
    // A port that cannot be opened is found by the server itself, which keeps its old configuration.
    let listens = "import socket, sys; s = socket.socket(); s.bind(('', 9090)); s.listen(); sys.stdin.read()";
    let mut taken = lab.start("h1", &["ip", "netns", "exec", "lsx-shop", "python3", "-c", listens]);
    assert!(until(60, || lab.script("h1", "ip netns exec lsx-shop ss -Hltn | grep -q :9090").code == 0));
    lab.net(&["up", &file]).exits(1).says("did not load its configuration").says("9090");
    assert_eq!(answers(outside), both());
    lab.net(&["plan", "--exit-code", &file]).exits(2);
    drop(taken.stdin.take());
    taken.wait().unwrap();
    assert!(changes(lab, &file) > 0);
    lab.net(&["plan", "--exit-code", &file]).ok();
    end(lab, &stack, servers);
}

fn a_run_killed_at_the_balancer_is_repaired_or_removed(lab: &Lab) {
    let file = lab.file("shop.yaml", include_str!("balance.yaml"));
    // The server is the third last of a host's changes, and the third first of its removal.
    for (verb, points) in [("up", 8..13), ("down", 0..4)] {
        for n in points {
            if verb == "down" {
                lab.net(&["up", &file]).ok();
            }
            let killed = lab.net(&[verb, &file, "--failpoint", &n.to_string()]);
            if verb == "up" && killed.code != 0 {
                assert!(changes(lab, &file) > 0, "{n}");
                assert_eq!(changes(lab, &file), 0, "{n}");
            }
            lab.net(&["down", &file]).ok();
            lab.script("h1", &format!("! {HAPROXY} && ! test -e /run/lsx && ! test -e /var/lib/lsx/net"))
                .ok();
        }
    }
}

fn after_a_power_cut_it_serves_again(lab: &Lab) {
    let (_, servers) = shop(lab);
    drop(servers);
    lab.verb(&["kill", "h1"]);
    lab.verb(&["boot", "h1", "--wait"]);
    lab.script("h1", HAPROXY).ok();
    let (stack, servers) = shop(lab);
    assert_eq!(changes(lab, &stack.file), 0);
    end(lab, &stack, servers);
}
