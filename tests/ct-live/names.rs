//! Instances ask the name server on their gateway: from one host to the other, across an `allow`, and as long as the document
//! has the section `dns`.

use crate::cloud::Cloud;
use lsx_tests::lab::{Ran, finish, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] =
    &[("instances_ask_their_gateway_for_names", instances_ask_their_gateway_for_names)];

/// Without the section `dns`.
const STACK: &str = "stack: town
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 }, h2: { address: 198.18.0.12, ssh: root@198.18.0.12 } }
networks: { front: { cidr: 10.240.0.0/24, gateway: h1 }, back: { cidr: 10.241.0.0/24, gateway: h1 }, far: { cidr: 10.242.0.0/24, gateway: h2 } }
allow: [{ from: front, to: instance/web, ports: [80/tcp] }]
images: { bb: { oci: \"tar:bb.tar\" } }
instances:
  web: { image: bb, hosts: [h1, h2], count: 2, networks: back, command: [sh, -c, 'hostname >/srv/index.html; exec httpd -f -p 80 -h /srv'], ready: { http: \":80/\" } }
  db: { image: bb, host: h1, networks: back, command: [sleep, infinity] }
  far: { image: bb, host: h1, networks: far, command: [sleep, infinity] }
  ann: { image: bb, host: h2, networks: front, command: [sleep, infinity], needs: [web] }
";
const DNS: &str = "dns: { forward: [], records: { shop: { cname: web-1.back } }, services: { http: { to: web, port: 80 } } }\n";

fn dns(cloud: &Cloud, args: &[&str]) -> Ran {
    finish(&mut cloud.lab.tool(2, args), b"")
}

fn changed(ran: Ran, tool: &str) -> u64 {
    ran.ok().json()["status"][tool]["changed"].as_u64().unwrap()
}

fn instances_ask_their_gateway_for_names(cloud: &Cloud) {
    let before = ["h1", "h2"].map(|host| cloud.snapshot(host));
    let file = cloud.lab.file("town.yaml", STACK);
    cloud.start(&file);
    assert_eq!(changed(dns(cloud, &["up", &file]), "dns"), 0, "without the section there is nothing to do");
    let pid = cloud.pid("h2", "town/ann");
    // With the section, the name server is written into the instances that run.
    cloud.lab.file("town.yaml", &format!("{STACK}{DNS}"));
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    assert!(changed(dns(cloud, &["up", &file]), "dns") > 0);
    assert!(cloud.changed(&file) > 0);
    assert_eq!(cloud.pid("h2", "town/ann"), pid, "nothing is restarted");
    names_are_those_that_an_instance_may_reach(cloud, &file);
    dns(cloud, &["check", &file]).ok();
    for tool in ["dns", "ct"] {
        let again = if tool == "dns" { dns(cloud, &["up", &file]) } else { cloud.ct(&["up", &file]) };
        assert_eq!(changed(again, tool), 0, "{tool}");
    }
    // A dead server breaks no name of an instance's own networks, and is back by itself.
    let state = "cat /run/lsx/town/dns/names.state.json";
    let worker = |host: &str| cloud.lab.json(host, state)["pid"].as_u64();
    let old = worker("h1").unwrap();
    cloud.lab.script("h1", &format!("kill -9 {old}")).ok();
    cloud.inside("h1", "town/db", "grep -q web-1.back.internal /etc/hosts").ok();
    assert!(until(60, || worker("h1").is_some_and(|pid| pid != old)
        && lookup(cloud, "ann", "shop.internal").code == 0));
    // Without the section again.
    cloud.lab.file("town.yaml", STACK);
    assert!(changed(dns(cloud, &["up", &file]), "dns") > 0);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    assert!(cloud.changed(&file) > 0);
    assert!(!cloud.inside("h2", "town/ann", "cat /etc/resolv.conf").ok().stdout.contains("nameserver"));
    assert_eq!(cloud.pid("h2", "town/ann"), pid);
    cloud.end(&file);
    for (host, before) in ["h1", "h2"].iter().zip(&before) {
        cloud.same(host, before, "after down");
    }
}

/// A client in the instance, which has nothing but what lsx has written there.
fn lookup(cloud: &Cloud, name: &str, asked: &str) -> Ran {
    let host = if name == "ann" { "h2" } else { "h1" };
    cloud.inside(host, &format!("town/{name}"), &format!("nslookup {asked}"))
}

fn names_are_those_that_an_instance_may_reach(cloud: &Cloud, file: &str) {
    let resolved = cloud.ct(&["resolve", file]).ok().json()["resolved"].clone();
    let address = |name: &str| {
        let names = resolved["names"].as_array().unwrap();
        let found = names.iter().find(|at| at["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        found["address"].as_str().unwrap().to_owned()
    };
    let webs = [address("web-1.back.internal"), address("web-2.back.internal")];
    // ann asks the gateway on the other host for what is in the other network, on both hosts.
    let said = lookup(cloud, "ann", "web.back.internal").ok().stdout;
    assert!(said.contains("10.240.0.1") && webs.iter().all(|web| said.contains(web)), "{said}");
    let page = "wget -q -O - http://shop.internal/";
    assert_eq!(cloud.inside("h2", "town/ann", page).ok().stdout, "web-1\n");
    let hidden = lookup(cloud, "ann", "db.back.internal");
    assert!(hidden.code != 0 && hidden.stdout.contains("NXDOMAIN"), "{}", hidden.stdout);
    let own = lookup(cloud, "db", "ann.front.internal");
    assert!(own.code != 0 && own.stdout.contains("NXDOMAIN"), "{}", own.stdout);
    assert!(lookup(cloud, "db", "db.back.internal").ok().stdout.contains(&address("db.back.internal")));
    // far has its gateway on the other host, and no way to the other networks.
    let said = lookup(cloud, "far", "far.far.internal").ok().stdout;
    assert!(said.contains("10.242.0.1") && said.contains(&address("far.far.internal")), "{said}");
    assert!(lookup(cloud, "far", "web.back.internal").stdout.contains("NXDOMAIN"));
    // The same by dig, which shows the whole answer.
    let space = cloud.pid("h2", "town/ann").to_string();
    let dig = |words: &str| {
        cloud.lab.script("h2", &format!("nsenter -t {space} -n dig @10.240.0.1 {words}")).ok().stdout
    };
    let services = dig("+tcp +noall +answer _http._tcp.internal SRV");
    assert!(services.lines().count() == 2 && services.contains(" 80 web-2.back.internal."), "{services}");
    assert_eq!(dig(&format!("+short -x {}", webs[1])), "web-2.back.internal.\n");
    let services: Vec<&Value> = resolved["services"].as_array().unwrap().iter().collect();
    assert!(services.iter().any(|at| at["tool"] == "dns" && at["port"] == 53), "{services:?}");
}
