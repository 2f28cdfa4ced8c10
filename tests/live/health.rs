//! The health of replicas as `ready` says it, where it is by HTTPS: with real traffic, and a certificate that nobody knows.

use crate::balance::answers;
use crate::peer::{self, ask_here};
use crate::stack::Stack;
use lsx_tests::lab::{Lab, until};
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[(
    "a_replica_that_is_not_ready_by_https_gets_nothing",
    a_replica_that_is_not_ready_by_https_gets_nothing,
)];

/// A server of TLS that sends the file `health` as its answer.
const SERVER: &str = r#"
    mkdir -p /root/NAME; cd /root/NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=NAME -keyout key.pem -out cert.pem 2>/dev/null
    printf 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' >health
    ip netns exec SPACE setsid openssl s_server -quiet -accept 8443 -cert cert.pem -key key.pem -HTTP >/dev/null 2>&1 </dev/null &
    echo $! >pid"#;

fn a_replica_that_is_not_ready_by_https_gets_nothing(lab: &Lab) {
    peer::install(lab, &["h1", "h2"]);
    let plain = "count: 2, networks: [lan] }";
    let text = include_str!("balance.yaml");
    assert!(text.contains(plain));
    let text = text.replace(plain, "count: 2, networks: [lan], ready: { https: \":8443/health\" } }");
    let stack = Stack::up(lab, &lab.file("shop.yaml", &text), &[]);
    stack.attach(lab);
    let names = ["web-1", "web-2"];
    let on = |name: &str, script: &str| {
        let script = script.replace("NAME", name).replace("SPACE", &stack.space(name));
        lab.script(&stack.host_of(name), &script).ok();
    };
    let serve = |name: &str| {
        on(name, SERVER);
        peer::serve_in(lab, &stack.host_of(name), &stack.space(name), name, &["80", "82/echo"])
    };
    let servers: Vec<_> = names.into_iter().map(serve).collect();
    let who = || answers(|| ask_here(lab, &["198.18.0.11:80"]));
    let only = |name: &str| -> BTreeSet<String> { [name.to_owned()].into() };
    let both: BTreeSet<String> = names.map(str::to_owned).into();
    assert!(until(60, || who() == both), "{:?}", who());
    // It still accepts connections on the port that is balanced.
    on(
        "web-1",
        "printf 'HTTP/1.1 500 no\\r\\nContent-Length: 0\\r\\n\\r\\n' >/root/NAME/new; mv /root/NAME/new /root/NAME/health",
    );
    assert!(until(60, || who() == only("web-2")), "{:?}", who());
    lab.net(&["check", &stack.file]).exits(2).says("balance/www: web-1 is down");
    on("web-1", "printf 'HTTP/1.1 204 ok\\r\\n\\r\\n' >/root/NAME/new; mv /root/NAME/new /root/NAME/health");
    assert!(until(60, || who() == both), "{:?}", who());
    on("web-2", "kill -9 $(cat /root/NAME/pid)");
    assert!(until(60, || who() == only("web-1")), "{:?}", who());
    on("web-1", "kill -9 $(cat /root/NAME/pid)");
    names.into_iter().for_each(|name| on(name, "rm -r /root/NAME"));
    drop(servers);
    stack.detach(lab);
    stack.down(lab, &[]);
}
