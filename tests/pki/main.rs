//! lsx-pki without hosts: golden cases with the program.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use common::document;
use common::plan::Kept;
use common::stack::{Only, ReadOptions, Resolved, Stack, read, resolve};
use common::tool::{Draft, Goal, ObservedOf, PlanInput, Tool as _};
use lsx_pki::Pki;
use lsx_pki::model::{AuthoritySeen, CertificateSeen, Facts, Own, RootSeen};
use lsx_tests::golden;
use lsx_tests::{Tool, blessing};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

const PROGRAM: &str = "/var/lib/lsx/bin/0123456789abcdef/lsx-pki";
const ROOT: &str = "0000000000000000000000000000000000000000000000000000000000000001";

fn tool() -> Tool {
    Tool { name: lsx_pki::PROGRAM.to_owned(), path: PathBuf::from(env!("CARGO_BIN_EXE_lsx-pki")) }
}

fn resolved(text: &str) -> (Stack, Resolved) {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    (stack, resolved)
}

#[test]
fn every_case_gives_what_it_gave() {
    golden::run(&tool(), |case| case.remade(left));
}

/// The observed documents of the hosts of a stack.
fn left(text: &str, up: bool) -> Vec<Value> {
    let (stack, all) = resolved(text);
    let documents = all.hosts.iter().map(|host| {
        let seen = Facts { program: PROGRAM.to_owned(), ..Facts::default() };
        let mut seen = ObservedOf::<Pki> {
            schema: document::schema("pki", "observed"),
            stack: Some(all.stack.clone()),
            only: None,
            host: host.name.clone(),
            base: String::new(),
            stack_hosts: Vec::new(),
            warnings: Vec::new(),
            objects: Vec::new(),
            seen,
        };
        if up {
            raise(&stack, &all, &mut seen);
        }
        seen.base = lsx_pki::plan::base(&seen.objects, &seen.seen);
        serde_json::to_value(seen).unwrap()
    });
    documents.collect()
}

/// The objects of a host on which a stack is up.
fn raise(stack: &Stack, all: &Resolved, seen: &mut ObservedOf<Pki>) {
    let (own, intent) = lsx_pki::plan::raised(stack, all, &seen.host).unwrap();
    let Some(intent) = intent else { return };
    // In the order in which a host is observed.
    let kept = Kept::of(Pki::intent_key(&intent), PROGRAM, &seen.host, false).into_iter().rev();
    let data = intent.authority.then(|| Kept::data("pki", &all.stack));
    let folder = format!("/var/lib/lsx/pki/{}", all.stack);
    for own in &own {
        match own {
            Own::Authority(_) => seen.seen.authorities.push(AuthoritySeen {
                stack: all.stack.clone(),
                path: format!("{folder}/data/authority"),
                sha256: ROOT.to_owned(),
                root_not_after: "2036-11-24T00:00:00Z".to_owned(),
                not_after: "2028-11-26T00:00:00Z".to_owned(),
                why: None,
            }),
            Own::Root(_) => seen.seen.roots.push(RootSeen {
                stack: all.stack.clone(),
                path: format!("{folder}/root.pem"),
                sha256: ROOT.to_owned(),
            }),
            Own::Certificate(one) => seen.seen.certificates.push(CertificateSeen {
                stack: all.stack.clone(),
                name: one.name.clone(),
                path: format!("{folder}/certs/{}", one.name),
                serial: "40".to_owned(),
                not_before: "2026-11-27T00:00:00Z".to_owned(),
                not_after: "2027-02-25T00:00:00Z".to_owned(),
                root: ROOT.to_owned(),
                why: None,
            }),
        }
    }
    seen.objects = lsx_pki::plan::haves(own, data.into_iter().chain(kept).collect());
}

/// Its folder may be on a disk that is not mounted, and what it has issued is trusted elsewhere.
#[test]
fn an_authority_that_is_gone_is_not_made_anew() {
    let text = "stack: duo\nhosts: { h1: 198.18.0.11, h2: 198.18.0.12 }\npki: { host: h1 }\n";
    let (stack, all) = resolved(text);
    let documents =
        left(text, true).into_iter().map(|seen| serde_json::from_value::<ObservedOf<Pki>>(seen).unwrap());
    let up: BTreeMap<String, ObservedOf<Pki>> = documents.map(|seen| (seen.host.clone(), seen)).collect();
    let input = PlanInput {
        stack: "duo".to_owned(),
        goal: Goal::Up(Box::new(stack), Box::new(all)),
        only: Only::default(),
        prune: false,
        yes: false,
        accepted: Vec::new(),
        destroy_data: false,
        gathered: (),
        hosts: Vec::new(),
    };
    let planned = |without: &[&str]| {
        let mut seen = up.clone();
        let signer = seen.get_mut("h1").unwrap();
        signer.seen.authorities.clear();
        signer.objects.retain(|have| !matches!(have.object.own(), Some(Own::Authority(_))));
        for host in without {
            let host = seen.get_mut(*host).unwrap();
            host.seen.roots.clear();
            host.objects.retain(|have| !matches!(have.object.own(), Some(Own::Root(_))));
        }
        let made = |draft: Draft<Pki>| draft.steps.iter().any(|step| step.id.starts_with("authority.create"));
        Pki.plan(&input, &seen).map(made).map_err(|failures| failures.0[0].code.clone())
    };
    let lost = Err("pki.plan.lost".to_owned());
    assert_eq!((planned(&[]), planned(&["h1"])), (lost.clone(), lost));
    assert_eq!(planned(&["h1", "h2"]), Ok(true), "no host has a root");
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let cases = golden::cases("pki");
    let all: String = cases.iter().filter_map(|c| c.read("plan.json")).collect();
    for step in [
        "data.create:",
        "data.remove:",
        "authority.create:",
        "authority.change:",
        "authority.remove:",
        "root.create:",
        "root.change:",
        "root.remove:",
        "certificate.create:",
        "certificate.change:",
        "certificate.remove:",
        "intent.create:",
        "intent.change:",
        "intent.remove:",
        "boot.remove:",
    ] {
        assert!(all.contains(&format!("\"{step}")), "no case has a step {step}");
    }
    for words in
        ["state due becomes valid", "state foreign becomes valid", "\"wave\": 1", "host: certificate old"]
    {
        let words = words.replace("host: ", "h1: ");
        assert!(all.contains(&words), "no case plans: {words}");
    }
    for code in ["pki.plan.kept", "pki.plan.unused"] {
        assert!(all.contains(code), "no case warns: {code}");
    }
    let refused: String = cases.iter().filter_map(|c| c.read("error.txt")).collect();
    for words in [
        "existing authorities are not supported yet",
        "keys are not encrypted on their host yet",
        "the key of the root is on the host of the authority yet",
        "only keys of ECDSA on P-256 are supported yet",
        "owners of keys are not supported yet",
        "modes of keys are not supported yet",
        "the authority may not issue certificates for www.example.org",
        "the authority may not issue certificates for 203.0.113.1",
        "the authority of stack duo is on h1, not on h2",
        "cannot be used: /var/lib/lsx/pki/duo/data/authority/root.pem is missing",
        "certificate pg has to come from h1, which does not take part",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}
