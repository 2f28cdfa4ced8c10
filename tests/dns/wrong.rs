//! Mistakes that people make with the verbs of lsx-dns itself: each is one clear message with its exit status, and no host is asked.

use crate::tool;
use lsx_tests::top;
use std::path::Path;

/// The verbs that read a stack, with what they need beside it.
const VERBS: [&[&str]; 8] = [
    &["query", "a.internal", "--stack"],
    &["explain", "a.internal", "--stack"],
    &["explain", "02:00:00:00:00:01", "--stack"],
    &["zone", "--stack"],
    &["hosts", "--stack"],
    &["render", "--stack"],
    &["key", "desk", "--stack"],
    &["update", "--client", "desk", "add a.internal A 192.0.2.1", "--stack"],
];

/// A stack with networks as they are given.
fn stack(folder: &Path, network: &str, more: &str) -> String {
    let text = format!(
        "stack: t\nhosts: {{ h1: 192.0.2.11 }}\nnetworks: {{ lan: {{ cidr: 10.1.0.0/24{network} }} }}\n\
         instances: {{ a: {{ host: h1, networks: lan }} }}\n{more}"
    );
    let path = folder.join("stack.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// What a verb says of a document; the message has a hint that says what to do.
fn said(verb: &[&str], file: &str, code: i32) -> String {
    let told = tool().run(verb.iter().copied().chain([file])).end().refused(code).stderr;
    assert!(!told.contains("there is none") && !told.contains("none is defined"), "{verb:?}: {told}");
    told
}

#[test]
fn a_document_that_is_missing_or_malformed_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, bad) = (folder.path().join("missing.yaml"), folder.path().join("bad.yaml"));
    std::fs::write(&bad, "stack: t\nhosts: {h1: 192.0.2.1\n").unwrap();
    let leases: &[&str] = &["leases"];
    for verb in VERBS.iter().chain([&leases]) {
        assert!(said(verb, missing.to_str().unwrap(), 66).contains("missing.yaml: no such file"), "{verb:?}");
        assert!(said(verb, bad.to_str().unwrap(), 65).contains("bad.yaml:2:8: unclosed"), "{verb:?}");
    }
}

#[test]
fn a_stack_without_names_is_told_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, none) = (", gateway: h1", "");
    let [names, server, client, lease] = [
        "the stack t serves no names",
        "name servers are gateways",
        "has no client desk",
        "no network with DHCP",
    ];
    let verbs = || VERBS.iter().zip([(names, 1), (names, 1), (lease, 1), (names, 1), (names, 1), (names, 1)]);
    for (verb, (words, code)) in verbs() {
        let file = stack(folder.path(), gateway, none);
        let told = said(verb, &file, code);
        assert!(told.contains(words) && told.contains("hint: "), "{verb:?}: {told}");
    }
    for verb in &VERBS[..5] {
        let file = stack(folder.path(), none, none);
        let told = said(verb, &file, if verb[1].contains(':') { 1 } else { 64 });
        assert!([server, lease].iter().any(|words| told.contains(words)), "{verb:?}: {told}");
    }
    for more in [none, "dns: {}"] {
        for verb in &VERBS[6..] {
            let told = said(verb, &stack(folder.path(), gateway, more), 64);
            assert!(
                told.contains(client) && told.contains("hint: define it in dns.update"),
                "{verb:?}: {told}"
            );
        }
    }
}

#[test]
fn what_is_not_there_is_told_by_name() {
    let up = top("tests/fixtures/dns/up/stack.yaml").display().to_string();
    let change = "add a.internal A 192.0.2.1";
    let off = ["--offline", "h1", "--offline", "h2", "--offline", "h3", "--stack"];
    for (words, code, message, hint) in [
        (&["zone", "nope", "--stack"][..], 64, "has no zone nope", "known: "),
        (&["zone", "--from", "nope", "--stack"], 64, "has no network nope", "known: "),
        (&["hosts", "productio", "--stack"], 64, "has no network productio", "did you mean `production`?"),
        (&["render", "h9", "--stack"], 64, "has no host h9", "did you mean `h"),
        (&["update", change, "--stack"], 64, "an update needs a key", "--client NAME"),
        (
            &["update", "--key", "/nonexistent", change, "--server", "127.0.0.1:9", "--stack"],
            66,
            "/nonexistent: no such file",
            "tsig-keygen",
        ),
        (&["update", "--client", "a", "--stack"], 64, "no change is named", "add NAME"),
        // Who asks runs on a host that is not asked.
        (
            &[&["query", "a.internal", "--from", "web-1"][..], &off].concat(),
            64,
            "takes no part, and web-1, which asks",
            "--from",
        ),
    ] {
        let told = said(words, &up, code);
        assert!(
            told.contains(message) && told.contains("hint: ") && told.contains(hint),
            "{words:?}: {told}"
        );
    }
}
