//! What servers count and log.

use crate::load::{self, Upstream};
use crate::town::Town;
use lsx_tests::lab::{Lab, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("replicas_that_are_not_ready_are_left_out", replicas_that_are_not_ready_are_left_out),
    ("what_was_answered_is_counted", what_was_answered_is_counted),
];

fn what_was_answered_is_counted(lab: &Lab) {
    let town = Town::up(lab);
    let upstream = Upstream::start(lab, "198.18.0.1");
    let logging = town.changed("rate: 100000", "log: true");
    assert!(town.changes(&logging) > 0);
    let asked = [
        "web.back.internal",
        "+tcp web-1.back.internal",
        "www.example.org",
        "www.example.org",
        "no.internal",
    ];
    for words in asked {
        town.dig("ann", words);
    }
    drop(upstream);
    let tool = lab.script("h1", "ls -t /var/lib/lsx/bin/*/lsx-dns | head -1").ok().stdout;
    let tool = tool.trim();
    let counts = || lab.exec("h1", &[tool, "counts", "town"]);
    // They come with the next sign of life of the worker.
    let all = || counts().code == 0 && counts().json()["queries"].as_u64().unwrap() >= 5;
    assert!(until(60, all), "{}", counts().stdout);
    let told = counts().ok().json();
    assert_eq!(told["schema"], "lsx.dns.counts/1");
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    assert_eq!((number(&told["tcp"]), number(&told["failed"]), number(&told["cached"])), (1, 0, 1), "{told}");
    assert!(number(&told["kept"]) >= 1 && number(&told["forwarded"]) >= 1, "{told}");
    assert!(number(&told["codes"]["NOERROR"]) >= 4 && number(&told["codes"]["NXDOMAIN"]) >= 1, "{told}");
    assert_eq!(number(&told["addresses"]["10.140.0.1"]), number(&told["queries"]), "{told}");
    let seen = lab.exec("h1", &[tool, "observe", "--table"]).ok().stdout;
    assert!(seen.contains("service:names"), "{seen}");
    let seen = lab.exec("h1", &[tool, "observe"]).ok().json();
    assert_eq!(seen["counts"]["town"]["tcp"], 1, "{seen}");
    let text = lab.exec("h1", &[tool, "counts", "town", "--prometheus"]).ok().stdout;
    assert!(text.contains("\nlsx_dns_tcp_queries_total{stack=\"town\"} 1\n"), "{text}");
    // Each query is a line of the log.
    let log = lab
        .script("h1", "grep -h ' stderr F {' /var/lib/lsx/dns/town/log/names/log | cut -d' ' -f4-")
        .ok()
        .stdout;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by_tcp: Vec<&Value> = lines.iter().filter(|line| line["tcp"] == true).collect();
    assert!(lines.len() >= asked.len() && by_tcp.len() == 1, "{log}");
    assert_eq!(by_tcp[0]["name"], "web-1.back.internal", "{log}");
    assert_eq!((&by_tcp[0]["type"], &by_tcp[0]["code"]), (&"A".into(), &"NOERROR".into()), "{log}");
    assert_eq!(by_tcp[0]["from"].as_str().unwrap(), town.address("ann.front.internal"), "{log}");
    town.down();
}

fn replicas_that_are_not_ready_are_left_out(lab: &Lab) {
    let town = Town::up(lab);
    let (web1, web2) = (town.address("web-1.back.internal"), town.address("web-2.back.internal"));
    let mut both = vec![web1.clone(), web2.clone()];
    both.sort();
    let asked = |expected: &[String]| until(60, || town.short("ann", "web.back.internal") == expected);
    // None is ready: all are in the answer.
    assert!(asked(&both));
    // One on the host of the server, and one beyond the tunnel.
    for (name, address) in [("web-1", &web1), ("web-2", &web2)] {
        let server = load::accepting(lab, town.host_of(name), &format!("town.{name}"), address);
        assert!(asked(std::slice::from_ref(address)), "{name}: {:?}", town.short("ann", "web.back.internal"));
        let services = town.short("ann", "_http._tcp.back.internal SRV");
        assert_eq!(services, [format!("0 0 80 {name}.back.internal.")]);
        // Its own name stays, and so does the other's.
        assert_eq!(town.short("ann", "web-1.back.internal"), std::slice::from_ref(&web1));
        assert_eq!(town.short("ann", "web-2.back.internal"), std::slice::from_ref(&web2));
        town.dns(&["check", &town.file]).ok();
        town.dns(&["query", "web.back.internal", "--stack", &town.file]).ok();
        drop(server);
        assert!(asked(&both), "{name}");
    }
    town.down();
}
