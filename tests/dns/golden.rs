//! Golden folders: what a plan says, byte for byte.
//!
//! `LSX_BLESS=1` writes the actual output; review `git diff` afterwards.

use crate::{resolved, tool};
use common::document;
use common::plan::Kept;
use common::tool::ObservedOf;
use lsx_dns::Dns;
use lsx_dns::model::Facts;
use lsx_tests::blessing;
use lsx_tests::golden;
use serde_json::Value;
use std::net::Ipv4Addr;

const PROGRAM: &str = "/var/lib/lsx/bin/0123456789abcdef/lsx-dns";

#[test]
fn every_case_gives_what_it_gave() {
    golden::run(&tool(), |case| case.remade(left));
}

/// The observed documents of the hosts of a stack.
fn left(text: &str, up: bool) -> Vec<Value> {
    let (_, all) = resolved(text);
    let documents = all.hosts.iter().map(|host| {
        let mut seen = bare(&all.stack, &host.name);
        if up {
            raise(text, &mut seen);
        }
        serde_json::to_value(seen).unwrap()
    });
    documents.collect()
}

fn bare(stack: &str, host: &str) -> ObservedOf<Dns> {
    let resolvers: Vec<Ipv4Addr> = vec!["192.0.2.53".parse().unwrap()];
    ObservedOf::<Dns> {
        schema: document::schema("dns", "observed"),
        stack: Some(stack.to_owned()),
        only: None,
        host: host.to_owned(),
        base: lsx_dns::plan::base(&[], &resolvers),
        stack_hosts: Vec::new(),
        warnings: Vec::new(),
        objects: Vec::new(),
        seen: Facts { program: PROGRAM.to_owned(), resolvers, ..Facts::default() },
    }
}

/// The objects of a host on which a stack is up.
fn raise(text: &str, seen: &mut ObservedOf<Dns>) {
    let (stack, all) = resolved(text);
    let Some(intent) = lsx_dns::plan::intent_of(&stack, &all, &seen.host, &seen.seen.resolvers) else {
        return;
    };
    let digest = lsx_dns::plan::key(&intent);
    let data = intent.has_data().then(|| Kept::data("dns", &stack.name));
    let services = lsx_dns::plan::services(&intent).unwrap().into_iter().map(|(name, definition)| {
        Kept::service(name, document::digest_of(&definition).unwrap(), &definition)
    });
    // In the order in which a host is observed.
    let kept = data.into_iter().chain(Kept::of(digest, PROGRAM, &seen.host, false).into_iter().rev());
    let kept = kept.chain(services);
    seen.objects = kept.map(|kept| kept.have("dns")).collect();
    seen.base = lsx_dns::plan::base(&seen.objects, &seen.seen.resolvers);
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let cases = golden::cases("dns");
    let all: String = cases.iter().filter_map(|c| c.read("plan.json")).collect();
    for kind in ["service", "intent", "boot"] {
        for verb in ["create", "change", "remove"] {
            assert!(all.contains(&format!("\"{kind}.{verb}:")), "no case has a step {kind}.{verb}");
        }
    }
    for words in [
        "data.create:",
        "service.create:dhcp",
        "service.change:dhcp",
        "dhcp-range=set:front",
        "tag:front,252,",
        "service.create:meta",
        "service.change:meta",
        "\"tsig_desk\"",
        "derive:1@/FOLDER/seed",
    ] {
        assert!(all.contains(words), "no plan has {words}");
    }
    let refused: String = cases.iter().filter_map(|c| c.read("error.txt")).collect();
    for words in [
        "the driver dnsmasq answers everybody alike",
        "are kept by h1, and would be by h2",
        "h1 has newer names",
        "need a common key",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}
