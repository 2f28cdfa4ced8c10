//! How a plan is shown: objects and fields, not steps; kept objects; totals.

use super::{Thing, have, thing, want};
use crate::plan::show::{Line, Mark, View, show, sum};
use crate::plan::{Plan, PlanHost, Step, diff};

fn plan(steps: Vec<Step<Thing>>) -> Plan<Thing, ()> {
    let host = |name: &str| PlanHost {
        name: name.to_owned(),
        address: std::net::Ipv4Addr::LOCALHOST,
        ssh: String::new(),
        key: None,
        local: true,
        base: String::new(),
    };
    Plan {
        schema: "lsx.x.plan/1".to_owned(),
        stack: "s".to_owned(),
        warnings: Vec::new(),
        hosts: ["h1", "h2"].map(host).to_vec(),
        skipped: Vec::new(),
        kept: Vec::new(),
        steps,
        contents: Default::default(),
        data: (),
        told: Vec::new(),
    }
}

fn steps(host: &str, wants: &[Thing], haves: &[Thing]) -> Vec<Step<Thing>> {
    let wants: Vec<_> = wants.iter().map(|one| want(one.clone(), &[])).collect();
    let haves: Vec<_> = haves.iter().map(|one| have(one.clone(), &[])).collect();
    diff(host, &wants, &haves)
}

#[test]
fn added_changed_moved_removed_and_kept_are_told_by_their_signs() {
    let bigger = Thing { size: 2, ..thing("web") };
    let mut all = steps("h1", &[thing("new"), bigger], &[thing("web"), thing("old"), thing("db")]);
    all.extend(steps("h2", &[thing("new"), thing("db")], &[]));
    let mut plan = plan(all);
    plan.kept = vec!["h2: instance cache".to_owned()];
    let text = show(&plan, View::default());
    for line in ["+ new    (h1 h2)", "~ web    size 1 -> 2  (h1)", "- old    (h1)", "> db     h1 -> h2"] {
        assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
    }
    assert!(text.contains("= cache  is not in the document and is kept  (h2)"), "{text}");
    assert!(
        text.ends_with("2 to add, 1 to change, 1 to move, 1 to remove, 1 kept (--prune removes it)\n"),
        "{text}"
    );
    let done = sum(&plan, View { done: true, ..View::default() });
    assert_eq!(done, "2 added, 1 changed, 1 moved, 1 removed, 1 kept (--prune removes it)");
}

#[test]
fn book_keeping_is_for_those_who_ask_and_never_passes_for_nothing() {
    let own = Thing { sort: "own".to_owned(), ..thing("rules") };
    let plan = plan(steps("h1", &[own], &[]));
    assert_eq!(show(&plan, View::default()), "1 internal step (-v shows them)\n");
    let verbose = show(&plan, View { verbose: true, ..View::default() });
    assert!(verbose.starts_with("+ thing.create:rules  it is in the document  (h1)\n"), "{verbose}");
}

#[test]
fn nothing_to_do_says_so_and_what_is_kept_all_the_same() {
    let mut plan = plan(Vec::new());
    assert_eq!(show(&plan, View::default()), "nothing to do\n");
    plan.kept = vec!["h1: volume data".to_owned(), "h2: volume data".to_owned()];
    let text = show(&plan, View { down: true, ..View::default() });
    assert!(text.contains("= volume data  is data and is kept  (h1 h2)"), "{text}");
    assert!(text.ends_with("nothing to do, 2 kept (--destroy-data removes them)\n"), "{text}");
}

#[test]
fn colours_are_asked_for_and_names_cannot_bring_their_own() {
    let evil = thing("a\x1b[2J");
    let mut plan = plan(steps("h1", &[evil], &[]));
    plan.told.push(Line { host: "h1".into(), mark: Mark::Add, name: "port\x1b".into(), text: "x\ny".into() });
    let plain = show(&plan, View::default());
    assert!(!plain.contains('\x1b') && plain.lines().count() == 3, "{plain:?}");
    let coloured = show(&plan, View { colour: true, ..View::default() });
    assert!(coloured.contains("\x1b[32m+\x1b[0m"), "{coloured:?}");
}
