//! The verb `update`: on lsx-dns' own server, in an instance's place, and on BIND.

use crate::office::Office;
use lsx_tests::lab::{Lab, Ran, finish, until};
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[
    ("update_changes_names_of_the_stack", update_changes_names_of_the_stack),
    ("what_is_refused_is_told", what_is_refused_is_told),
    ("update_changes_names_of_bind", update_changes_names_of_bind),
];

/// What came of it: the exit status, and code, error and signature of the reply.
fn told(ran: &Ran) -> (i32, Value) {
    let told = ran.json();
    (ran.code, json!([told["code"], told["error"], told["signed"]]))
}

fn update_changes_names_of_the_stack(lab: &Lab) {
    let office = Office::up(lab);
    let update = |words: &[&str]| office.dns(&[&["update", "--stack", &office.file], words].concat());
    let desk = |words: &[&str]| update(&[&["--client", "desk"], words].concat());
    let added = desk(&["add tool.internal 77 A 192.0.2.9", "add tool.internal TXT \"one two\" three"]).ok();
    let said = added.json();
    assert_eq!((&said["from"], &said["server"]), (&json!("ann"), &json!("10.150.0.1:53")), "{said}");
    assert_eq!((&said["zone"], &said["key"]), (&json!("internal"), &json!("desk")), "{said}");
    assert_eq!(told(&added), (0, json!(["NOERROR", null, true])));
    assert_eq!(office.short("tool.internal"), ["192.0.2.9"]);
    assert_eq!(office.short("tool.internal TXT"), ["\"one two\" \"three\""]);
    // Conditions, and all or nothing.
    let refused = desk(&["unless tool.internal", "add tool.internal 77 A 192.0.2.10"]);
    assert_eq!(told(&refused), (2, json!(["YXDOMAIN", null, true])));
    assert!(refused.stderr.contains("nothing is changed"), "{}", refused.stderr);
    for (condition, code) in [
        ("if none.internal", "NXDOMAIN"),
        ("if tool.internal AAAA", "NXRRSET"),
        ("if tool.internal A 192.0.2.8", "NXRRSET"),
        ("unless tool.internal A", "YXRRSET"),
    ] {
        let refused = desk(&[condition, "delete tool.internal"]);
        assert_eq!(told(&refused), (2, json!([code, null, true])), "{condition}");
    }
    assert_eq!(office.short("tool.internal"), ["192.0.2.9"]);
    desk(&["if tool.internal A 192.0.2.9", "delete tool.internal TXT", "add tool.internal A 192.0.2.10"])
        .ok();
    assert_eq!(office.short("tool.internal"), ["192.0.2.10", "192.0.2.9"]);
    assert_eq!(office.short("tool.internal TXT"), [""; 0]);
    // From a pipe, and the same document again: it says what was done.
    let text = r#"{"changes": [{"do": "delete", "name": "tool.internal", "type": "A", "data": "192.0.2.9"},
        {"do": "add", "name": "other.internal", "type": "SRV", "data": "0 5 80 tool.internal", "ttl": 9}]}"#;
    let mut piped = lab.tool(1, &["update", "--stack", &office.file, "--client", "desk", "-"]);
    let piped = finish(&mut piped, text.as_bytes()).ok();
    assert_eq!(piped.json()["changes"], serde_json::from_str::<Value>(text).unwrap()["changes"]);
    assert_eq!(office.short("tool.internal"), ["192.0.2.10"]);
    assert_eq!(office.short("other.internal SRV"), ["0 5 80 tool.internal."]);
    let stack = std::fs::read(&office.file).unwrap();
    let mut piped = lab.tool(1, &["update", "--client", "desk", "--from", "far", "delete other.internal"]);
    // The key is beside the document, which a pipe does not say.
    assert_eq!(finish(&mut piped, &stack).code, 65);
    // Reverse names are another zone.
    let dhcp = |words: &[&str]| update(&[&["--client", "dhcp", "--from", "back"], words].concat());
    let far = dhcp(&["add 9.0.151.10.in-addr.arpa PTR pc.front.internal"]).ok().json();
    assert_eq!((&far["from"], &far["zone"]), (&json!("far"), &json!("0.151.10.in-addr.arpa")), "{far}");
    let seen = "ip netns exec office.far dig @10.151.0.1 +tries=3 +time=5 +short -x 10.151.0.9";
    assert_eq!(lab.script("h1", seen).ok().stdout, "pc.front.internal.\n");
    assert_eq!(office.short("-x 10.151.0.9"), [""; 0], "the address is not for everybody");
    office.down();
}

fn what_is_refused_is_told(lab: &Lab) {
    let office = Office::up(lab);
    let update = |words: &[&str]| office.dns(&[&["update", "--stack", &office.file], words].concat());
    let own = update(&["--client", "desk", "add printer.internal A 192.0.2.1"]);
    assert_eq!(told(&own), (77, json!(["REFUSED", null, true])));
    let text = office.dns(&["key", "desk", "--stack", &office.file]).ok().stdout;
    let (whole, name) = (lab.file("desk.key", &text), text.replace("\"desk\"", "\"desk2\""));
    let by = |key: &str| update(&["--key", key, "add x.internal A 192.0.2.1"]);
    by(&whole).ok();
    assert_eq!(told(&by(&lab.file("name.key", &name))), (77, json!(["NOTAUTH", "BADKEY", false])));
    let other = text.replace("secret \"", "secret \"AAAA");
    assert_eq!(told(&by(&lab.file("other.key", &other))), (77, json!(["NOTAUTH", "BADSIG", false])));
    for (words, code, says) in [
        (&["--client", "desc", "delete x.internal"][..], 64, "desk"),
        (&["--client", "desk", "delete www.example.org"], 64, "is in no zone of the stack"),
        (&["--client", "desk", "add x.internal A one"], 64, "is not data of A"),
        (&["--client", "desk"], 64, "no change is named"),
        (&["delete x.internal"], 64, "--client NAME"),
        (&["--key", "/dev/null", "delete x.internal"], 1, "not a regular file"),
        (
            &["--client", "desk", "--zone", "front.internal", "delete x.front.internal"],
            1,
            "does not have the zone",
        ),
        (&["--client", "desk", "--zone", "internal", "delete www.example.org"], 65, "NOTZONE"),
    ] {
        let refused = update(words).exits(code);
        assert!(refused.stderr.contains(says), "{words:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains(&text[text.len() - 20..]), "the secret");
    }
    office.down();
}

/// BIND on the host, for a zone with a key.
const BIND: &str = r#"
rm -rf /tmp/site; mkdir -p /tmp/site; umask 77; cat >/tmp/site/key
cat >/tmp/site/zone <<'ZONE'
$TTL 60
@ SOA ns hostmaster 1 3600 600 604800 10
@ NS ns
ns A 198.18.0.11
old A 192.0.2.1
ZONE
{ cat /tmp/site/key
  echo 'options { directory "/tmp/site"; listen-on port 5353 { 198.18.0.11; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no; dnssec-validation no; };'
  echo 'controls { }; zone "site.example" { type primary; file "zone"; update-policy { grant site zonesub A TXT; }; };'
} >/tmp/site/named.conf
named -g -c /tmp/site/named.conf >/tmp/site/log 2>&1 </dev/null & echo $! >/tmp/site/pid
"#;

fn update_changes_names_of_bind(lab: &Lab) {
    let key = "key \"site\" {\n\talgorithm hmac-sha512;\n\tsecret \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\";\n};\n";
    lab.exec_with("h1", &["bash", "-c", BIND], key.as_bytes()).ok();
    let short = |words: &str| {
        lab.script("h1", &format!("dig @198.18.0.11 -p 5353 +tries=3 +time=5 +short {words}")).stdout
    };
    assert!(
        until(60, || short("old.site.example") == "192.0.2.1\n"),
        "{}",
        lab.script("h1", "cat /tmp/site/log").stdout
    );
    let file = lab.file("site.key", key);
    let update = |words: &[&str]| {
        let all = [&["update", "--key", &file, "--server", "198.18.0.11:5353"], words].concat();
        finish(&mut lab.tool(1, &all), b"")
    };
    let added = update(&[
        "if old.site.example A 192.0.2.1",
        "unless new.site.example",
        "add new.site.example A 192.0.2.2",
    ])
    .ok();
    assert_eq!(added.json()["zone"], "site.example");
    assert_eq!(told(&added), (0, json!(["NOERROR", null, true])));
    assert_eq!(short("new.site.example"), "192.0.2.2\n");
    let refused = update(&["unless new.site.example A", "delete old.site.example"]);
    assert_eq!(told(&refused), (2, json!(["YXRRSET", null, true])));
    update(&[
        "delete old.site.example A",
        "delete new.site.example A 192.0.2.2",
        "add new.site.example 5 TXT \"a \\\"b\\\"\"",
    ])
    .ok();
    assert_eq!(
        (short("old.site.example"), short("new.site.example TXT")),
        (String::new(), "\"a \\\"b\\\"\"\n".to_owned())
    );
    assert_eq!(
        told(&update(&["add new.site.example AAAA 2001:db8::1"])),
        (77, json!(["REFUSED", null, true]))
    );
    let wrong = lab.file("wrong.key", &key.replace("MDEy", "MDEx"));
    let wrong = finish(
        &mut lab
            .tool(1, &["update", "--key", &wrong, "--server", "198.18.0.11:5353", "delete new.site.example"]),
        b"",
    );
    assert_eq!(told(&wrong), (77, json!(["NOTAUTH", "BADSIG", false])));
    let unknown = update(&["--zone", "example.org", "delete new.example.org"]);
    assert_eq!(told(&unknown).0, 1, "{}", unknown.stderr);
    let (nowhere, asked) = (update(&["delete new.example.org"]).exits(1), "does not say which zone");
    assert!(nowhere.stderr.contains(asked), "{}", nowhere.stderr);
    lab.script("h1", "kill $(cat /tmp/site/pid)").ok();
    assert!(until(60, || lab.script("h1", "kill -0 $(cat /tmp/site/pid)").code != 0));
    let silent = update(&["--zone", "site.example", "delete new.site.example"]).exits(69);
    assert!(silent.stderr.contains("does not answer") && silent.stdout.is_empty(), "{}", silent.stderr);
}
