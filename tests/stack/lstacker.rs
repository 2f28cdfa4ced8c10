//! LStacker's own example: the names and addresses the original wrote for it.

use crate::load;
use common::stack::{ReadOptions, resolved_document};
use lsx_tests::top;

#[test]
fn names_and_addresses_are_the_originals() {
    let text = std::fs::read_to_string(top("tests/fixtures/stack/lstacker/stack.yaml")).unwrap();
    let (stack, warnings, resolved) = load(&text, &ReadOptions::default()).unwrap();
    let mut came: Vec<(String, String)> =
        resolved.names.iter().map(|name| (name.address.to_string(), name.name.clone())).collect();
    came.sort();
    assert_eq!(came, lsx_tests::lstackers_hosts());
    // The only mistake of the example is in its monitoring.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].code, "lstacker.monitoring");
    let jump = &stack.instances["jump-box"];
    assert_eq!(jump.profiles, ["docker", "default"]);
    assert_eq!(jump.recipes, ["ubuntu-update", "haproxy"]);
    assert_eq!(stack.images[jump.image.as_ref().unwrap()].lxd.as_deref(), Some("ubuntu-daily:16.04"));
    assert_eq!(stack.defaults.proxy.as_ref().unwrap().http.as_deref(), Some("http://172.0.0.84:3128/"));
    assert_eq!(stack.env(jump)["HTTP_PROXY"], "http://172.0.0.84:3128/");
    assert_eq!(stack.monitoring.as_ref().unwrap().network.as_deref(), Some("management"));
    assert!(stack.hosts["lxd1"].local && stack.hosts["lxd4"].ssh.as_deref() == Some("ubuntu@172.0.0.84"));
    assert!(resolved.networks.iter().all(|n| n.gateway.as_deref() == Some("lxd1")));
}

/// A password is never in an output document, nor in a failure.
#[test]
fn passwords_stay_in_the_file() {
    let text = std::fs::read_to_string(top("tests/fixtures/stack/lstacker/stack.yaml")).unwrap();
    let said = |text: &str, set: &[&str]| {
        let set = set.iter().map(|one| (*one).to_owned()).collect();
        match load(text, &ReadOptions { set, ..ReadOptions::default() }) {
            Ok((stack, warnings, resolved)) => {
                let document = serde_json::to_string(&resolved_document(&stack, &resolved)).unwrap();
                let told: Vec<String> =
                    warnings.iter().map(|w| format!("{w} {}", serde_json::to_string(w).unwrap())).collect();
                format!("{document}{}", told.join(" "))
            }
            Err(failures) => format!("{failures} {}", serde_json::to_string(&failures.0).unwrap()),
        }
    };
    let hidden = |said: &str| {
        for secret in ["secret-word", "change_me", "root:", "\"centos\"", "geheim"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    };
    let whole = said(&text, &[]);
    hidden(&whole);
    assert!(whole.contains(r#""ldap_password":"yaml:stack.yaml#lstack.ldap.password""#), "{whole}");
    assert!(whole.contains(r#""ldap_password":{"secret":"ldap_password"}"#), "{whole}");
    assert!(whole.contains(r#""ldap_domain":"example.com""#), "{whole}");
    for (from, to) in [
        ("password: secret-word", "passwort: secret-word"),
        ("password: secret-word", "password: [secret-word]"),
        ("password: secret-word", "password: secret-word, password: geheim"),
        ("password: secret-word", "password: {secret-word"),
        ("lxd: { password: change_me }", "lxd: change_me"),
        ("centos: {", "centos: { other: geheim, "),
    ] {
        let broken = text.replace(from, to);
        assert_ne!(broken, text);
        hidden(&said(&broken, &[]));
    }
    let flag = said(&text, &["lstack.ldap.password=geheim"]);
    hidden(&flag);
    assert!(flag.contains("a secret cannot be given by a flag"), "{flag}");
    assert_eq!(
        common::stack::text_at(&text, "lstack.ldap.password").unwrap().as_deref(),
        Some("secret-word")
    );
}
