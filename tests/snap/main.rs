//! lsx-snap without hosts: golden cases with the program.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use common::document;
use common::plan::Kept;
use common::stack::{ReadOptions, Resolved, Stack, read, resolve};
use common::tool::{ObservedOf, Tool as _};
use lsx_snap::Snap;
use lsx_snap::model::{Facts, JobSeen, Key, RepositorySeen, State};
use lsx_tests::golden;
use lsx_tests::{Tool, blessing};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "/var/lib/lsx/bin/0123456789abcdef/lsx-snap";

fn tool() -> Tool {
    Tool { name: lsx_snap::PROGRAM.to_owned(), path: PathBuf::from(env!("CARGO_BIN_EXE_lsx-snap")) }
}

fn resolved(text: &str) -> (Stack, Resolved) {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    (stack, resolved)
}

#[test]
fn every_case_gives_what_it_gave() {
    golden::run(&tool(), |case| case.remade(|text, up| left(text, up, &case.folder)));
}

/// The observed documents of the hosts of a stack.
fn left(text: &str, up: bool, folder: &Path) -> Vec<Value> {
    let (stack, all) = resolved(text);
    let documents = all.hosts.iter().map(|host| {
        let seen = Facts { program: PROGRAM.to_owned(), ..Facts::default() };
        let mut seen = ObservedOf::<Snap> {
            schema: document::schema("snap", "observed"),
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
            raise(&stack, &all, &mut seen, folder);
        }
        seen.base = lsx_snap::plan::base(&seen.objects);
        serde_json::to_value(seen).unwrap()
    });
    documents.collect()
}

/// The objects of a host on which a stack is up.
fn raise(stack: &Stack, all: &Resolved, seen: &mut ObservedOf<Snap>, folder: &Path) {
    let beside = |path: &str| folder.join(path);
    let key = |name: &String| {
        let found = common::secret::find(stack, name, &beside).unwrap();
        (name.clone(), Key { digest: found.digest, place: None })
    };
    let targets = stack.snap.iter().flat_map(|snap| snap.to.values());
    let keys: BTreeMap<String, Key> = targets.map(|target| key(&target.key)).collect();
    let Some(intent) = lsx_snap::plan::wanted(stack, all, &seen.host, &keys) else { return };
    let digest = Snap::intent_key(&intent);
    // In the order in which a host is observed.
    let kept = Kept::of(digest, PROGRAM, &seen.host, false).into_iter().rev();
    let kept = [Kept::data("snap", &all.stack)].into_iter().chain(kept);
    seen.objects = kept.map(|kept| kept.have("snap")).collect();
    let job = |job| JobSeen { stack: all.stack.clone(), job, last: None, unsaved: Vec::new() };
    seen.seen.jobs = intent.jobs.into_iter().map(job).collect();
    let repository =
        |repository| RepositorySeen { stack: all.stack.clone(), repository, state: State::Ready };
    seen.seen.repositories = intent.repositories.into_iter().map(repository).collect();
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let cases = golden::cases("snap");
    let all: String = cases.iter().filter_map(|c| c.read("plan.json")).collect();
    for step in
        ["data.create:", "data.remove:", "intent.create:", "intent.change:", "intent.remove:", "boot.remove:"]
    {
        assert!(all.contains(&format!("\"{step}")), "no case has a step {step}");
    }
    assert!(all.contains("\"place\": \"/FOLDER/seed\""), "no plan sends a password");
    let refused: String = cases.iter().filter_map(|c| c.read("error.txt")).collect();
    for words in [
        "repositories elsewhere are not supported yet",
        "nothing is deleted there yet, but others can",
        "limits are not supported yet",
        "snapshots without a repository are not supported yet",
        "instances are not stopped for snapshots yet",
        "excluded paths are not supported yet",
        "secret backup is no password of a repository: it has several lines, or control characters",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}
