//! The drivers bind and dnsmasq: the same answers by other programs.

use crate::town::{HOSTS, Town, no_spaces, run};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("bind_gives_the_same_answers", bind_gives_the_same_answers),
    ("dnsmasq_gives_the_same_answers", dnsmasq_gives_the_same_answers),
];

/// The program that has port 53 in the router of a host.
pub(crate) fn program(lab: &Lab, host: &str, stack: &str) -> String {
    let ask = format!(
        "ip netns exec lsx-{stack} ss -Hlunp sport = :53 | sed -n 's/.*((\"\\([^\"]*\\)\".*/\\1/p' | sort -u"
    );
    lab.script(host, &ask).ok().stdout.trim().to_owned()
}

fn bind_gives_the_same_answers(lab: &Lab) {
    let town = Town::up(lab);
    let bind = town.changed("rate: 100000\n  health: 1s", "driver: bind\n  health: off");
    // A change of one service, on each host.
    let plan = town.dns(&["plan", &bind]).ok().json();
    let steps: Vec<&str> =
        plan["steps"].as_array().unwrap().iter().map(|at| at["id"].as_str().unwrap()).collect();
    let services = steps.iter().filter(|id| **id == "service.change:names").count();
    assert_eq!((services, steps.len()), (2, 4), "{steps:?}");
    assert!(town.changes(&bind) > 0);
    assert_eq!(town.changes(&bind), 0);
    for host in HOSTS {
        assert_eq!(program(lab, host, "town"), "named");
        let user = format!("ps -o user= -p {}", town.recorded(host, "pid"));
        assert_eq!(lab.script(host, &user).ok().stdout.trim(), "bind");
    }
    // Every record, from every network, and what must not be seen there.
    assert!(until(60, || town.dns(&["check", &bind]).code == 0), "{}", town.dns(&["check", &bind]).stdout);
    assert!(town.dig("ann", "db.back.internal").contains("status: NXDOMAIN"));
    assert_eq!(town.short("web-1", "db.back.internal"), [town.address("db.back.internal")]);
    assert!(town.dig("web-1", "secret.internal").contains("status: NXDOMAIN"));
    // Names for private use are not asked elsewhere, and the SOA of what is missing is short.
    for name in ["printer.local", "-x 10.9.9.9", "-x 192.168.1.1", "nothing.internal"] {
        let said = town.dig("ann", name);
        assert!(said.contains("status: NXDOMAIN") && said.contains("\t10\tIN\tSOA"), "{name}: {said}");
    }
    assert_eq!(town.short("ann", "localhost"), ["127.0.0.1"]);
    // Another record: the program reads its files again.
    let pid = town.recorded("h1", "pid");
    let other = town.changed("rate: 100000\n  health: 1s", "driver: bind\n  health: off\n  negative_ttl: 7s");
    assert!(town.changes(&other) > 0);
    assert!(until(60, || town.dig("ann", "nothing.internal").contains("\t7\tIN\tSOA")));
    assert_eq!(town.recorded("h1", "pid"), pid);
    // Killed, it comes back; and back to lsx-dns.
    lab.script("h1", &format!("kill -9 {pid}")).ok();
    assert!(until(60, || town.dns(&["check", &other]).code == 0));
    let own = town.changed("rate: 100000", "rate: 100000");
    assert!(town.changes(&own) > 0);
    assert_ne!(program(lab, "h1", "town"), "named");
    assert!(until(60, || town.dns(&["check", &own]).code == 0));
    let bind = town.changed("rate: 100000\n  health: 1s", "driver: bind\n  health: off");
    assert!(town.changes(&bind) > 0);
    town.down();
}

/// One network, so that everybody sees the same.
const PLAIN: &str = "
stack: plain
hosts: { h1: 198.18.0.11, h2: 198.18.0.12 }
networks: { lan: { cidr: 10.143.0.0/24, gateway: h1 } }
instances:
  web: { hosts: [h1, h2], count: 2, networks: lan, ports: [\"80\"] }
  db: { host: h1, networks: lan }
dns:
  driver: dnsmasq
  health: off
  forward: 198.18.0.1
  records:
    printer: 192.0.2.40
    all: { a: [192.0.2.50, 192.0.2.51], aaaa: \"2001:db8::50\", mx: [10 printer, 20 mail.example.org.], txt: 'a \"b\" \\ c', srv: 1 5 443 web-1.lan, ptr: printer, caa: 0 issue ca.example.org }
    \"@\": { a: 192.0.2.60, mx: 10 printer }
    git: { cname: web.lan }
  services: { http: { to: web, port: 80 } }
";

fn dnsmasq_gives_the_same_answers(lab: &Lab) {
    let file = lab.file("plain.yaml", PLAIN);
    let resolved = run(lab, 0, &["up", &file]).ok().json()["resolved"].clone();
    let dns = |words: &[&str]| run(lab, 1, words);
    dns(&["up", &file]).ok();
    let net = lab.script("h1", "ls -t /var/lib/lsx/bin/*/lsx-net | head -1").ok().stdout;
    for at in resolved["instances"].as_array().unwrap() {
        let host = at["host"].as_str().unwrap();
        let space = format!("plain.{}", at["name"].as_str().unwrap());
        lab.script(host, &format!("ip netns add {space}")).ok();
        let mut nic = at["nics"][0].clone();
        (nic["stack"], nic["instance"], nic["netns"]) = ("plain".into(), at["name"].clone(), space.into());
        lab.exec_with(host, &[net.trim(), "attach"], nic.to_string().as_bytes()).ok();
    }
    assert_eq!(program(lab, "h1", "plain"), "dnsmasq");
    assert!(until(60, || dns(&["check", &file]).code == 0), "{}", dns(&["check", &file]).stdout);
    let checked = dns(&["check", &file]).ok().json();
    assert!(
        checked["rows"].as_array().unwrap().iter().all(|row| row["asked"].as_u64().unwrap() > 15),
        "{checked}"
    );
    let dig = |words: &str| {
        lab.script("h1", &format!("ip netns exec plain.db dig @10.143.0.1 +tries=3 +time=5 {words}"))
            .ok()
            .stdout
    };
    for name in ["printer.local", "-x 10.9.9.9", "nothing.internal"] {
        assert!(dig(name).contains("status: NXDOMAIN"), "{name}: {}", dig(name));
    }
    assert_eq!(dig("+short git.internal CNAME"), "web.lan.internal.\n");
    // The embedded server has the same, by one change of the service.
    let own = lab.file("plain.yaml", &PLAIN.replace("driver: dnsmasq", "driver: embedded"));
    dns(&["up", &own]).ok();
    assert!(until(60, || dns(&["check", &own]).code == 0), "{}", dns(&["check", &own]).stdout);
    dns(&["down", &own]).ok();
    HOSTS.iter().for_each(|host| no_spaces(lab, host, "plain"));
    assert!(until(60, || run(lab, 0, &["down", &own]).code == 0));
}
