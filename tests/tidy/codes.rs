//! The register of failure codes, which scripts rely on: tests/tidy/codes.txt. A code is never removed or given another
//! meaning.
//!
//! `LSX_BLESS=1 cargo test -p lsx-tests --test tidy codes` adds new ones. It removes none: to remove a code, edit the file
//! by hand, and list it under "Breaking" in README.

use crate::{files, none, rust};
use lsx_tests::{blessing, top};
use std::collections::BTreeSet;

/// First words of codes. Other texts with dots, such as names of files and columns, begin differently.
const ROOMS: [&str; 21] = [
    "boot", "bug", "check", "compose", "ct", "dns", "document", "fleet", "host", "lstacker", "net", "pki",
    "plan", "secret", "serve", "snap", "stack", "stdio", "store", "usage", "link",
];
/// Texts of this form that are not codes: documents, files, and places in the stack file.
const OTHERS: [&str; 25] = [
    "ct.json",
    "dns.json",
    "net.json",
    "pki.acme",
    "pki.authority.permit",
    "pki.check",
    "pki.host",
    "pki.json",
    "pki.observed",
    "pki.report",
    "pki.revocation",
    "pki.ssh",
    "pki.ssh.harden",
    "pki.trust",
    "snap.json",
    "boot.d",
    "boot.autostart",
    "compose.yaml",
    "compose.yml",
    "dns.boot",
    "dns.boot.files",
    "dns.boot.volume",
    "dns.dhcp",
    "dns.driver",
    "dns.transfer.key",
];
/// Codes that are composed where they are used.
const MADE: [(&str, &[&str]); 3] = [
    ("refused(\"", &["ct.image."]),
    (
        "\"{tool}{what}\"",
        &["ct.lacks", "ct.receive", "ct.secret", "ct.secret.changed", "ct.secrets", "ct.supply.missing"],
    ),
    (
        "\"stack.{what}.unknown\"",
        &[
            "stack.balancer.unknown",
            "stack.host.unknown",
            "stack.instance.unknown",
            "stack.network.unknown",
            "stack.repository.unknown",
            "stack.secret.unknown",
            "stack.user.unknown",
        ],
    ),
];

fn is_code(text: &str) -> bool {
    let mut parts = text.split('.');
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    parts.next().is_some_and(|first| ROOMS.contains(&first))
        && text.contains('.')
        && parts.all(word)
        && !OTHERS.contains(&text)
}

/// All codes in the sources.
fn told() -> BTreeSet<String> {
    let mut codes = BTreeSet::from(["usage".to_owned()]);
    for file in rust().iter().filter(|f| (f.within("common") || f.within("tools")) && !f.tests()) {
        // The names of documents stand in TABLES and in schemas.
        let tables = file.path.ends_with("src/lib.rs");
        for (_, line) in file.code().filter(|_| !tables) {
            codes.extend(line.split('"').skip(1).step_by(2).filter(|text| is_code(text)).map(str::to_owned));
            for (form, names) in MADE {
                let Some((_, rest)) = line.split_once(form) else { continue };
                match names {
                    [prefix] if file.within("tools/lsx-ct/src/image") => {
                        let word = rest.split('"').next().unwrap_or_default();
                        codes.insert(format!("{prefix}{word}"));
                    }
                    [_] => {}
                    names => codes.extend(names.iter().map(|name| (*name).to_owned())),
                }
            }
        }
    }
    codes
}

#[test]
fn no_code_disappears_and_every_one_is_registered() {
    let path = top("tests/tidy/codes.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let known: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let told = told();
    assert!(told.len() > 200, "only {} codes found", told.len());
    let gone: Vec<String> = known.difference(&told).cloned().collect();
    none("codes of tests/tidy/codes.txt that nothing tells any more; scripts rely on them", &gone);
    let new: Vec<String> = told.difference(&known).cloned().collect();
    if blessing() {
        let all: Vec<String> = known.union(&told).cloned().collect();
        std::fs::write(path, all.join("\n") + "\n").unwrap();
    } else {
        none("codes not in tests/tidy/codes.txt; LSX_BLESS=1 adds them", &new);
    }
}

/// Codes in the manual must exist.
#[test]
fn codes_in_manuals_are_registered() {
    let known = std::fs::read_to_string(top("tests/tidy/codes.txt")).unwrap();
    let known: BTreeSet<&str> = known.lines().collect();
    let (mut unknown, mut named) = (Vec::new(), 0);
    for file in files().iter().filter(|f| f.path.ends_with(".1") && f.within("man")) {
        let section = file.text.split(".SH FAILURE CODES\n").nth(1).unwrap_or_default();
        let section = section.split(".SH ").next().unwrap_or_default();
        for term in section.lines().filter_map(|line| line.strip_prefix("\\fB")?.strip_suffix("\\fR")) {
            named += 1;
            let there = match term.strip_suffix('*') {
                Some(room) => known.iter().any(|code| code.starts_with(room)),
                None => known.contains(term),
            };
            unknown.extend(Some(format!("{}: {term}", file.path)).filter(|_| !there));
        }
    }
    none("codes that a manual names and nobody tells", &unknown);
    assert!(named >= 20, "only {named} codes are in the manuals");
}
