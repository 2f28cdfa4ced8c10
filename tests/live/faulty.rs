//! Replicas that are ready for their load balancer and do not answer: `check` names the balancer, the replica, and what to do.

use crate::peer;
use crate::stack::{Stack, tool_on};
use lsx_tests::lab::{Lab, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] =
    &[("check_names_the_replica_that_does_not_answer", check_names_the_replica_that_does_not_answer)];

/// Servers of one replica: one without HTTP, one that never answers, and one that says 503 itself.
const FAULTY: &str = r#"
import socket, sys, threading
def serve(port, answer):
    listener = socket.create_server(("", port))
    held = []
    while True:
        client, _ = listener.accept()
        if answer is None:
            held.append(client)
            continue
        try:
            client.settimeout(10)
            client.recv(4096)
            client.sendall(answer)
        except OSError:
            pass
        client.close()
busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
for port, answer in (81, b"SSH-2.0-x\r\n"), (82, None), (84, busy):
    threading.Thread(target=serve, args=(port, answer), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"#;

/// What is in findings, and how often.
const FINDINGS: &[(&str, usize)] = &[
    ("balance/junk: web-2 gets requests, but the answer is not HTTP", 1),
    (
        "balance/junk:81 asked by host/h1: 502, no usable answer from a replica; web-2 (the answer is not HTTP",
        1,
    ),
    ("balance/slow: web-2 gets requests, but it does not answer GET / within 1 s (on h2)", 1),
    (
        "balance/slow:82 asked by host/h2: 504, no answer from a replica within 1 s (`timeout`); web-2 (it does not",
        1,
    ),
    ("balance/stuck: web-2 gets requests, but it does not answer GET /page within 15 s (on h2)", 1),
    (
        "balance/busy:84 asked by host/h1: 503, no replica serves the request; web-2 (it answers 503 itself)",
        1,
    ),
    ("balance/none: web-1 is down: its port refuses connections, or there is no route to it (on h1)", 1),
    ("balance/none:85 asked by host/h1: 503, no replica serves the request; web-1 (its port refuses", 1),
    ("balance/good", 0),
    ("web-1 gets requests", 0),
];

fn check_names_the_replica_that_does_not_answer(lab: &Lab) {
    peer::install(lab, &["h1", "h2"]);
    let stack = Stack::up(lab, &lab.file("faulty.yaml", include_str!("faulty.yaml")), &[]);
    stack.attach(lab);
    let space = stack.space("web-2");
    let mut faulty = lab.start("h2", &["ip", "netns", "exec", &space, "python3", "-c", FAULTY]);
    let http =
        |name: &str, port: &str| peer::http_in(lab, &stack.host_of(name), &stack.space(name), name, port);
    let good = [("web-1", "8000"), ("web-2", "8000"), ("web-1", "81"), ("web-1", "82"), ("web-1", "84")];
    let good = good.map(|(name, port)| http(name, port));
    let state = |balancer: &str, instance: &str| {
        let seen = lab.exec("h1", &[&tool_on(lab, "h1"), "observe"]).ok().json();
        let all = seen["replicas"].as_array().unwrap().clone();
        let one = all.iter().find(|r| r["balancer"] == balancer && r["instance"] == instance);
        one.unwrap()["state"].as_str().unwrap().to_owned()
    };
    let ready = ["good", "junk", "slow", "stuck", "busy"];
    assert!(until(60, || ready.iter().all(|name| state(name, "web-2") == "up")));
    assert!(until(60, || state("stuck", "web-1") == "up" && state("none", "web-1") == "down"));
    let check = lab.net(&["check", &stack.file]).exits(2);
    let found = check.json()["findings"].as_array().unwrap().clone();
    let about = |words: &[&str]| -> Vec<&Value> {
        let has = |f: &&Value| words.iter().all(|word| f["message"].as_str().unwrap().contains(word));
        found.iter().filter(has).collect()
    };
    // What HAProxy itself answers, asked by another program.
    let status = |port: u16| {
        let url = format!("http://198.18.0.11:{port}/");
        let ask = ["curl", "-s", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}", &url];
        lab.run(&ask).ok().stdout
    };
    assert_eq!([80, 81, 82, 84, 85].map(status), ["200", "502", "504", "503", "503"]);
    for (words, times) in FINDINGS.iter().copied() {
        let all = about(&[words]);
        assert_eq!(all.len(), times, "{words}\n{}", check.stderr);
        assert!(all.iter().all(|f| f["hint"].as_str().is_some_and(|hint| !hint.is_empty())), "{all:?}");
    }
    // Requests go to both replicas by turns; who gets the second one waits in vain.
    let waits =
        about(&["balance/stuck:83 asked by", "no HTTP response in 15000 ms; web-2 (it does not answer"]);
    assert!(!waits.is_empty(), "{}", check.stderr);
    drop(faulty.stdin.take());
    faulty.wait().unwrap();
    drop(good);
    stack.detach(lab);
    stack.down(lab, &[]);
}
