//! lsx-net without hosts: golden cases with the program, properties and malformed documents with the library.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

mod broken;
mod drift;
mod golden;
mod laws;
mod secrets;
mod simulate;
mod soak;

use common::Failures;
use common::secret::{self, Found};
use common::stack::resolved::HostAt;
use common::stack::{Only, ReadOptions, read, resolve};
use common::tool::{Draft, Goal, ObservedOf, Risk};
use lsx_net::Net;
use lsx_net::plan::{Gathered, PlanInput};
use lsx_tests::golden::Case;
use lsx_tests::{Tool, entries, golden as support, top};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What hosts have, by name.
type Hosts = BTreeMap<String, ObservedOf<Net>>;

/// What was observed in a golden folder.
fn observed(case: &Case) -> Hosts {
    let lines = case.read("observed.json").unwrap_or_else(|| panic!("{}: no observed.json", case.name));
    let one = |line| serde_json::from_str::<ObservedOf<Net>>(line).unwrap();
    lines.lines().map(one).map(|seen| (seen.host.clone(), seen)).collect()
}

/// All golden folders, by name.
fn cases() -> Vec<Case> {
    support::cases("net")
}

fn tool() -> Tool {
    Tool { name: lsx_net::PROGRAM.to_owned(), path: PathBuf::from(env!("CARGO_BIN_EXE_lsx-net")) }
}

/// The input for `up` of a stack, with everything allowed.
fn plan_input(text: &str) -> Result<PlanInput, Failures> {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default())?;
    let resolved = resolve(&stack)?;
    let secrets: Vec<String> = stack.secrets.keys().cloned().collect();
    let (name, goal) = (stack.name.clone(), Goal::Up(Box::new(stack), Box::new(resolved)));
    Ok(PlanInput {
        stack: name,
        goal,
        only: Only::default(),
        prune: true,
        yes: true,
        accepted: vec![Risk::Renumber],
        destroy_data: false,
        gathered: gathered(&secrets),
        hosts: Vec::new(),
    })
}

/// What would be read of secrets: the digest follows from the name.
fn gathered(secrets: &[String]) -> Gathered {
    let found = |name: &String| {
        (name.clone(), Found { digest: secret::digest(name.as_bytes()), place: format!("/stack/{name}") })
    };
    Gathered { secrets: secrets.iter().map(found).collect() }
}

fn down(input: &PlanInput) -> PlanInput {
    PlanInput { goal: Goal::Down, ..input.clone() }
}

fn plan(input: &PlanInput, hosts: &Hosts) -> Draft<Net> {
    lsx_net::plan::plan(input, hosts).unwrap_or_else(|failures| panic!("{failures}"))
}

/// Hosts of a stack without anything of lsx.
fn bare(input: &PlanInput) -> Hosts {
    let Goal::Up(stack, resolved) = &input.goal else { return Hosts::new() };
    let one = |host: &HostAt| {
        let mut seen = simulate::bare(&input.stack, host);
        seen.seen.haproxy = !stack.balance.is_empty();
        (host.name.clone(), seen)
    };
    resolved.hosts.iter().map(one).collect()
}

/// Stacks of every shape: those that ship, those of the golden folders, those of the stack's own.
fn stacks() -> Vec<(String, String)> {
    let shipped = entries("scripts/stacks").into_iter();
    let own = entries("tests/fixtures/stack").into_iter().map(|folder| folder.join("stack.yaml"));
    let golden = cases().into_iter().map(|case| case.folder.join(&case.stack));
    let all = shipped.chain(own).chain(golden);
    let text = |path: PathBuf| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?));
    // What this version does not support (macvlan, vlan, gre, ovs) is refused, as golden cases show.
    let planned = |input: &PlanInput| lsx_net::plan::plan(input, &bare(input)).is_ok();
    let good: Vec<_> =
        all.filter_map(text).filter(|(_, text)| plan_input(text).is_ok_and(|w| planned(&w))).collect();
    assert!(good.len() > 20, "{} stacks in {}", good.len(), top("tests").display());
    good
}
