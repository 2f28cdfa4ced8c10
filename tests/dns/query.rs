//! What the document says about a name.

use crate::tool;
use lsx_tests::top;
use serde_json::Value;

const STACK: &str = "tests/fixtures/dns/up/stack.yaml";

fn explained(words: &[&str]) -> Value {
    let file = top(STACK).display().to_string();
    let args = [&["explain", "--stack", &file], words].concat();
    tool().run(args).end().with(0).document()
}

#[test]
fn a_name_is_explained() {
    let told = explained(&["db.storage.internal", "--from", "production"]);
    assert_eq!(told["schema"], "lsx.dns.explain/1");
    assert_eq!((&told["network"], &told["type"]), (&"production".into(), &"A".into()), "{told}");
    assert_eq!((&told["server"], &told["zone"]), (&"10.104.0.1:53".into(), &"internal".into()), "{told}");
    assert_eq!(told["view"], serde_json::json!(["production"]), "{told}");
    let record = &told["expected"]["records"][0];
    assert_eq!((&record["type"], &record["data"]), (&"A".into(), &"10.105.0.144".into()), "{told}");
    assert!(told.get("answer").is_none() && told.get("same").is_none(), "{told}");
    // From where it may not be reached, it is missing; from elsewhere another server is asked.
    let hidden = explained(&["db.storage.internal", "--from", "db"]);
    assert_eq!(hidden["server"], "10.105.0.1:53", "{hidden}");
    let hidden = explained(&["web-1.production.internal", "--from", "storage"]);
    assert_eq!(
        (&hidden["expected"]["code"], hidden["expected"]["records"][0].clone()),
        (&"NXDOMAIN".into(), Value::Null)
    );
}

#[test]
fn addresses_types_and_names_of_others() {
    let reverse = explained(&["10.105.0.144"]);
    assert_eq!(reverse["name"], "144.0.105.10.in-addr.arpa", "{reverse}");
    assert_eq!(
        reverse["expected"]["records"][0]["data"].as_str().unwrap().trim_end_matches('.'),
        "db.storage.internal"
    );
    let service = explained(&["_http._tcp.internal", "srv", "--from", "web-2"]);
    assert_eq!(service["expected"]["records"].as_array().unwrap().len(), 2, "{service}");
    let other = explained(&["www.example.org", "MX"]);
    assert_eq!(other["forward"], serde_json::json!(["those of the host"]), "{other}");
    assert!(other.get("zone").is_none(), "{other}");
    let refused = explained(&["internal", "ANY"]);
    assert_eq!(
        (&refused["expected"]["code"], &refused["expected"]["why"]),
        (&"REFUSED".into(), &"Not Supported".into()),
        "{refused}"
    );
}

#[test]
fn mistakes_are_told() {
    let file = top(STACK).display().to_string();
    for (words, code, said) in [
        (&["a..b"][..], 64, "is not a name"),
        (&["a.b", "NONE"], 64, "is not a type"),
        (&["a.b", "--from", "prodution"], 64, "production"),
        (&["a.b", "--from", "far"], 64, "no instance of far"),
    ] {
        let args = [&["explain", "--stack", &file], words].concat();
        let ended = tool().run(args).end().refused(code);
        assert!(ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
    }
}
