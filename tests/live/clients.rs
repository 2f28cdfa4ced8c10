//! What load balancers know of their clients: the name that TLS asks for, the address, and the PROXY protocol.

use crate::peer::{self, ask_from, ask_here};
use crate::stack::Stack;
use lsx_tests::lab::{Lab, until};
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] =
    &[("tls_names_addresses_and_proxy_protocol_decide", tls_names_addresses_and_proxy_protocol_decide)];

/// A replica: TLS with its own name in the certificate, and a page that says who the PROXY protocol names.
const REPLICA: &str = r#"
    cd /root
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=NAME -keyout NAME.key -out NAME.pem 2>/dev/null
    printf 'defaults\n\tmode http\n\ttimeout client 9s\n\ttimeout connect 9s\n\ttimeout server 9s\nfrontend web\n\tbind :82 accept-proxy\n\thttp-request return status 200 content-type text/plain lf-string "%%[src]"\n' >NAME.cfg
    ip netns exec SPACE haproxy -D -f NAME.cfg -p NAME.pid
    ip netns exec SPACE setsid openssl s_server -quiet -accept 443 -cert NAME.pem -key NAME.key >/dev/null 2>&1 </dev/null &"#;

fn tls_names_addresses_and_proxy_protocol_decide(lab: &Lab) {
    peer::install(lab, &["h1", "h2"]);
    let stack = Stack::up(lab, &lab.file("clients.yaml", include_str!("clients.yaml")), &[]);
    stack.attach(lab);
    let names = ["web-1", "web-2"];
    let serve = |name: &str| {
        let (host, space) = (stack.host_of(name), stack.space(name));
        lab.script(&host, &REPLICA.replace("NAME", name).replace("SPACE", &space)).ok();
        peer::serve_in(lab, &host, &space, name, &["80"])
    };
    let servers: Vec<_> = names.into_iter().map(serve).collect();
    // The certificate that a client sees is the one of the replica.
    let subject = |name: &str| {
        let ask = format!(
            "openssl s_client -connect 198.18.0.11:443 -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -subject -nameopt multiline || true"
        );
        let ran = lab.run(&["sh", "-c", &ask]).ok().stdout;
        ran.lines()
            .filter_map(|line| Some(line.split_once("commonName")?.1.trim_matches([' ', '=']).to_owned()))
            .collect::<String>()
    };
    assert!(until(30, || subject("one.internal") == "web-1"), "{}", subject("one.internal"));
    assert!(until(30, || subject("a.two.internal") == "web-2"), "{}", subject("a.two.internal"));
    assert_eq!((subject("two.internal"), subject("other.internal")), (String::new(), String::new()));
    // The client's own address, from outside and from inside.
    let page = |port: u16| {
        ["curl", "-sS", "--max-time", "5", &format!("http://198.18.0.11:{port}/")].map(str::to_owned)
    };
    let outside = |port: u16| lab.run(&page(port).each_ref().map(String::as_str)).stdout;
    let inside = |port: u16| {
        let space = stack.space("visitor");
        lab.exec(
            "h1",
            &[&["ip", "netns", "exec", &space][..], &page(port).each_ref().map(String::as_str)].concat(),
        )
        .stdout
    };
    let own =
        stack.instances().iter().find(|i| i["name"] == "visitor").unwrap()["nics"][0]["address"].clone();
    let own = own.as_str().unwrap().split('/').next().unwrap().to_owned();
    assert!(until(30, || outside(82).starts_with("198.18.0.")), "{}", outside(82));
    assert_eq!((inside(82), inside(81)), (own.clone(), own));
    assert_eq!(outside(81), "", "not from outside");
    // One client stays with one replica.
    let turns: BTreeSet<String> = (0..8)
        .flat_map(|_| ask_here(lab, &["198.18.0.11:83"]).into_values())
        .map(|said| said.split(' ').next().unwrap().to_owned())
        .collect();
    assert!(turns.len() == 1 && names.contains(&turns.first().unwrap().as_str()), "{turns:?}");
    behind_another_router(lab, &stack);
    drop(servers);
    for name in names {
        lab.script(
            &stack.host_of(name),
            &format!("kill $(cat /root/{name}.pid); pkill -f '[s]_server.* {name}.key'; rm /root/{name}.*"),
        )
        .ok();
    }
    stack.detach(lab);
    stack.down(lab, &[]);
}

/// Instances behind the router of another host reach what is open to all, and with `from` those that it names together with
/// the address of that host.
fn behind_another_router(lab: &Lab, stack: &Stack) {
    let targets = ["198.18.0.11:83", "198.18.0.11:84", "198.18.0.11:85", "198.18.0.11:81", "10.130.0.1:83"];
    let reached = |host: &str, instance: &str| {
        let answers = ask_from(lab, host, &stack.space(instance), &targets);
        targets.map(|target| answers[target].starts_with("web-"))
    };
    let is = |host: &str, instance: &str, wanted: [bool; 5]| {
        assert!(until(30, || reached(host, instance) == wanted), "{instance}: {:?}", reached(host, instance));
    };
    is("h2", "guest", [true, true, true, false, false]);
    is("h2", "other", [true, false, true, false, false]);
    is("h1", "visitor", [true, false, true, false, true]);
    let rules = lab
        .exec("h2", &["ip", "netns", "exec", "lsx-shop", "nft", "list", "chain", "inet", "lsx", "forward"])
        .ok()
        .stdout;
    let narrow = "ip saddr { 10.131.0.20, 198.18.0.12 } ip daddr 198.18.0.11 tcp dport 84 accept";
    assert!(rules.contains(narrow), "{rules}");
    let plan = lab.net(&["plan", &stack.file]).ok().json()["warnings"].to_string();
    assert!(!plan.contains("balance/both"), "{plan}");
    // What the balancer sees of both is the host of their router, and its tables cannot tell them apart.
    assert!(
        plan.contains("balance/kept: instances of far come to h1 with the address of h2, 198.18.0.12")
            && !plan.contains("instances of lan come"),
        "{plan}"
    );
    for instance in ["guest", "other"] {
        let space = stack.space(instance);
        let ask =
            ["ip", "netns", "exec", &space, "curl", "-sS", "--max-time", "10", "http://198.18.0.11:82/"];
        assert_eq!(lab.exec("h2", &ask).ok().stdout, "198.18.0.12", "{instance}");
    }
    // Without the address of the host nobody could be told apart, so nobody is let through.
    let file =
        include_str!("clients.yaml").replace("from: [10.131.0.20, 198.18.0.12]", "from: [10.131.0.20]");
    let plan = lab.net(&["plan", &lab.file("narrow.yaml", &file)]).ok().json()["warnings"].to_string();
    assert!(
        plan.contains("come to h1 with the address of h2") && plan.contains("198.18.0.12, too"),
        "{plan}"
    );
    let check = lab.net(&["check", &stack.file]);
    let wrong = check.json()["findings"].to_string();
    assert!(
        !wrong.contains("guest to") && !wrong.contains("other to") && !wrong.contains("visitor to"),
        "{wrong}"
    );
    let row =
        check.json()["rows"].as_array().unwrap().iter().find(|row| row["from"] == "other").unwrap().clone();
    assert!(row["open"].to_string().contains("balance/kept:83"), "{row}");
    assert!(row["closed"].to_string().contains("balance/both:84"), "{row}");
}
