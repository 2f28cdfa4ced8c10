//! Targets are read from text and JSON, and wrong ones refused with what, why and a hint.

use serde_json::{Value, json};

use super::{decoded, target};
use crate::probe::names::Names;
use crate::probe::{Problem, State, StatusRule, Target, run};

fn refusal(text: &str) -> Problem {
    text.parse::<Target>().unwrap_err()
}

fn refused(value: Value) -> String {
    serde_json::from_value::<Target>(value).unwrap_err().to_string()
}

#[test]
fn compact_form_survives_a_round_trip() {
    for text in [
        "icmp:10.0.0.1",
        "icmp:fd00::1",
        "icmp:fe80::1%eth0",
        "tcp:10.0.0.1:22",
        "tcp:[fd00::1]:22",
        "tcp:db-1:5432",
        "banner:10.0.0.1:22",
        "http://10.0.0.1:80/health",
        "http://[fd00::1]:8080/a?b=c",
    ] {
        let first = target(text);
        assert_eq!(first.to_string(), text);
        assert_eq!(target(&first.to_string()), first);
    }
    assert_eq!(target("icmp:[fd00::1]"), target("icmp:fd00::1"));
    assert_eq!(target("http://web").to_string(), "http://web:80/");
    assert_eq!(target("http://web?a").to_string(), "http://web:80/?a");
}

#[test]
fn wrong_text_is_refused_precisely() {
    for (text, what, hint) in [
        ("10.0.0.1", "does not name a kind", "icmp:10.0.0.1"),
        ("udp:10.0.0.1:53", "\"udp\" is not a kind", "tcp:10.0.0.1:22"),
        ("https:10.0.0.1/", "two slashes", "https://"),
        ("icmp:10.0.0.1:22", "ICMP has no ports", "tcp:10.0.0.1:22"),
        ("tcp:10.0.0.1", "port is missing", "tcp:10.0.0.1:22"),
        ("tcp:10.0.0.1:0", "\"0\" is not a port", "1 to 65535"),
        ("tcp:10.0.0.1:70000", "\"70000\" is not a port", "1 to 65535"),
        ("tcp:10.0.0.1:ssh", "\"ssh\" is not a port", "1 to 65535"),
        ("tcp:fd00::1:22", "needs brackets", "[fd00::1:22]"),
        ("tcp:[fd00::1:22", "closing ]", ""),
        ("tcp:[fd00::1]22", "after ]", ""),
        ("tcp::22", "neither an address nor a host name", "/etc/hosts"),
        ("http:10.0.0.1", "two slashes", "http://"),
        ("http://me@10.0.0.1/", "no user name", "before @"),
        ("http://10.0.0.1/a b", "not an absolute path", "percent-encode"),
        ("icmp:224.0.0.1", "does not name one host", "exactly one"),
        ("icmp:0.0.0.0", "does not name one host", "exactly one"),
    ] {
        let problem = refusal(text);
        assert!(problem.message.contains(what), "{text}: {problem}");
        assert!(problem.hint.unwrap_or_default().contains(hint), "{text}");
    }
}

#[test]
fn objects_get_their_defaults() {
    let plain = decoded(json!({"probe": "icmp", "address": "10.0.0.1"}));
    assert_eq!(plain, target("icmp:10.0.0.1"));
    assert_eq!(
        serde_json::to_value(&plain).unwrap(),
        json!({"probe": "icmp", "address": "10.0.0.1", "count": 3, "interval_ms": 200,
               "size_bytes": 56, "df": false, "timeout_ms": 1000})
    );
    let web = decoded(json!({"probe": "http", "address": "10.0.0.1"}));
    assert_eq!(web.to_string(), "http://10.0.0.1:80/");
    assert_eq!(decoded(json!("tcp:10.0.0.1:22")), target("tcp:10.0.0.1:22"));
}

#[test]
fn objects_survive_a_round_trip() {
    let all = decoded(json!({
        "name": "site", "probe": "http", "address": "10.0.0.1", "port": 8080, "path": "/x",
        "host": "www.internal", "follow": true, "timeout_ms": 50, "source": "10.0.0.2",
        "interface": "eth0", "tls": false,
        "expect": {"status": [200, "3xx"], "headers": {"Server": "nginx/"}},
    }));
    assert_eq!(all.expect.status, [StatusRule::Code(200), StatusRule::Class(3)]);
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains("null"), "{text}");
    assert_eq!(serde_json::from_str::<Target>(&text).unwrap(), all);
}

#[test]
fn one_expectation_needs_no_list() {
    let one = |status: Value| decoded(json!({"probe": "http", "address": "a", "expect": {"status": status}}));
    assert_eq!(one(json!("2xx")).expect.status, [StatusRule::Class(2)]);
    assert_eq!(one(json!(204)).expect.status, [StatusRule::Code(204)]);
}

#[test]
fn wrong_objects_are_refused_precisely() {
    let tcp = |key: &str, value: Value| {
        let mut object = json!({"probe": "tcp", "address": "10.0.0.1", "port": 22});
        object[key] = value;
        refused(object)
    };
    for (text, what) in [
        (tcp("prot", json!(1)), "unknown field `prot`"),
        (tcp("count", json!(1)), "count: belongs to icmp only"),
        (tcp("path", json!("/")), "path: belongs to http only"),
        (tcp("tls", json!(true)), "tls: belongs to http only"),
        (refused(json!({"probe": "http", "address": "a", "ca": "x"})), "by TLS only"),
        (
            refused(json!({"probe": "http", "address": "a", "tls": true, "server_name": "a:1"})),
            "name of a server",
        ),
        (tcp("timeout_ms", json!(0)), "timeout_ms: 0 is out of range"),
        (tcp("port", json!(0)), "0 is not a port"),
        (tcp("source", json!("fd00::1")), "different IP versions"),
        (tcp("expect", json!({"status": 200})), "expect.status"),
        (tcp("expect", json!({"state": 200})), "unknown field `state`"),
        (refused(json!({"probe": "tcp", "address": "10.0.0.1"})), "port: is missing"),
        (refused(json!({"probe": "icmp", "address": "a", "port": 1})), "port: belongs to tcp"),
        (refused(json!({"probe": "icmp", "address": "a", "size_bytes": 65_508})), "size_bytes"),
        (refused(json!({"probe": "udp", "address": "a"})), "unknown variant `udp`"),
        (
            refused(json!({"probe": "http", "address": "a", "expect": {"status": "abc"}})),
            "not an HTTP status",
        ),
        (refused(json!({"probe": "http", "address": "a", "expect": {"status": 99}})), "not an HTTP status"),
        (refused(json!(3)), "as an object or as text"),
    ] {
        assert!(text.contains(what), "{text:?} lacks {what:?}");
    }
}

#[test]
fn names_come_from_the_hosts_file_alone() {
    let names = Names::from_text("# 10.0.0.9 db\n10.0.0.1\tdb.internal DB # first\n::1 db\nbroken db2\n");
    assert_eq!(names.resolve("db").unwrap().ip.to_string(), "10.0.0.1");
    assert_eq!(names.resolve("db.internal").unwrap().ip.to_string(), "10.0.0.1");
    assert_eq!(names.resolve("fd00::2").unwrap().ip.to_string(), "fd00::2");
    assert_eq!(names.resolve("fe80::1%lo").unwrap().scope, 1);
    let zone = names.resolve("fe80::1%nosuch").unwrap_err();
    assert!(zone.message.contains("no interface nosuch"), "{zone}");
    let absent = names.resolve("db2").unwrap_err();
    assert!(
        absent.message.contains("/etc/hosts") && absent.hint.unwrap().contains("do not use name servers")
    );
}

#[test]
fn unknown_names_are_outcomes_not_panics() {
    let outcome = run(&target("tcp:no-such-name.invalid:22"));
    assert_eq!((outcome.ok, outcome.state), (false, State::Unresolved));
    let text = serde_json::to_string(&outcome).unwrap();
    assert!(!text.contains("null"), "{text}");
    assert_eq!(serde_json::from_str::<crate::probe::Outcome>(&text).unwrap(), outcome);
}

#[test]
fn schema_refuses_what_decoding_refuses() {
    let schema = serde_json::to_value(schemars::schema_for!(Target)).unwrap();
    let object = &schema["$defs"]["TargetObject"];
    assert_eq!(object["additionalProperties"], json!(false));
    assert_eq!(object["required"], json!(["probe", "address"]));
}
