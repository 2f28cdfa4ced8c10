//! Golden folders: what a plan says, byte for byte. Their images come from one small archive, `image.tar` beside them.
//!
//! `LSX_BLESS=1` writes the actual output; review `git diff` afterwards.

use crate::{Hosts, simulate, tool};
use common::plan::Step;
use common::stack::{ReadOptions, read, resolve};
use common::tool::{Draft, Goal, ObservedOf, PlanInput, PlanOf};
use lsx_ct::Ct;
use lsx_ct::model::Object;
use lsx_tests::golden::{self, Case};
use lsx_tests::{blessing, top};
use serde_json::Value;

#[test]
fn every_case_gives_what_it_gave() {
    golden::run(&tool(), remade);
}

/// What lsx-ct would have left on the hosts, changed as in the case.
fn remade(case: &Case) -> Option<String> {
    let (was, edits) = case.drift()?;
    let (stack, _) =
        read(was.as_ref().unwrap_or(&case.text()), "stack.yaml", &ReadOptions::default()).unwrap();
    let resolved = resolve(&stack).unwrap();
    let name = stack.name.clone();
    let goal = Goal::Up(Box::new(stack), Box::new(resolved));
    let mut hosts =
        simulate::bare(&PlanInput { goal, stack: name, ..crate::plan_input("stack: x\n").unwrap() });
    if let Some(was) = was {
        let plan: PlanOf<Ct> = planned(case, &was, &hosts);
        let steps: Vec<Step<Object>> = plan.steps;
        hosts = simulate::after(&Draft { steps, ..Draft::default() }, &hosts);
    }
    for edit in &edits {
        let host = hosts.get_mut(edit["host"].as_str().unwrap()).unwrap();
        let mut document = serde_json::to_value(&*host).unwrap();
        golden::edit(&mut document, edit);
        let seen: ObservedOf<Ct> = serde_json::from_value(document).unwrap_or_else(|e| panic!("{edit}: {e}"));
        *host = simulate::looked(seen.stack.as_deref().unwrap(), &seen.host, seen.objects, seen.seen);
    }
    Some(told(&hosts))
}

/// The program's own plan, so that images have the digests that it finds.
fn planned(case: &Case, was: &str, hosts: &Hosts) -> PlanOf<Ct> {
    let folder = tempfile::tempdir().unwrap();
    let observed = folder.path().join("observed.json");
    std::fs::write(&observed, told(hosts)).unwrap();
    let base = case.folder.display().to_string();
    let args = ["plan", "--base", &base, "--observed", observed.to_str().unwrap()];
    let document: Value = tool().run(args).input(was.as_bytes()).end().with(0).document();
    serde_json::from_value(document).unwrap()
}

/// One document a line.
fn told(hosts: &Hosts) -> String {
    hosts.values().map(|seen| serde_json::to_string(seen).unwrap() + "\n").collect()
}

/// As `plan` on a terminal: signs, the old and the new host, and the totals.
#[test]
fn a_move_and_a_kept_instance_have_their_signs() {
    let shown = |case: &str, args: &[&str]| {
        let folder = top("tests/fixtures/ct").join(case);
        let plan = ["plan", "stack.yaml", "--observed", "observed.json", "--table"];
        tool().run(plan).args(args).within(&folder).end().with(0)
    };
    let moved = shown("moved", &["--allow-move"]);
    assert_eq!(moved.stdout, "> tail  h2 -> h1\n1 to move\n");
    assert!(moved.stderr.contains("tail moves from h2 to h1 and loses its files"), "{}", moved.stderr);
    let renamed = shown("renamed-kept", &["-q"]);
    assert!(renamed.stdout.starts_with("+ end ") && renamed.stdout.contains("= tail "), "{}", renamed.stdout);
    assert!(renamed.stdout.ends_with("1 to add, 1 kept (--prune removes it)\n"), "{}", renamed.stdout);
    assert!(renamed.stderr.contains("end is created in addition to tail"), "{}", renamed.stderr);
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let read =
        |name: &'static str| golden::cases("ct").iter().filter_map(|c| c.read(name)).collect::<String>();
    let (plans, refused) = (read("plan.json"), read("error.txt"));
    for kind in ["instance", "intent", "boot"] {
        for verb in ["create", "change", "remove"] {
            assert!(plans.contains(&format!("\"{kind}.{verb}:")), "no case has a step {kind}.{verb}");
        }
    }
    for words in [
        "created in addition to",
        "remnant.remove:",
        "volume.remove:",
        "recreated",
        "restarted",
        "changed while it runs",
        "needed by",
    ] {
        assert!(plans.contains(words), "no case says: {words}");
    }
    for words in [
        "would write to volume",
        "would move to",
        "--prune would remove",
        "cannot run driver",
        "does not belong to stack",
        "exceeds",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}
