//! lsx-ct's driver for LXD and Incus with real servers on a simulated host. Its results are compared with the server's own
//! client and the kernel.
//!
//! This program is also what runs in the host (`act`). `cargo test -p lsx-ct --test lxd -- WORD` runs the cases whose name
//! has the word, as `incus::`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program is the tests and what they run in the host"
)]

mod cases;
mod disk;
mod first;
mod forkfile;
mod held;
mod host;
mod ids;
mod jobs;
mod needed;
mod operation;
mod others;
mod room;
mod volumes;
mod whole;

use host::{ENGINES, Engine, Host};
use lsx_tests::groups::tried;
use lsx_tests::lab;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

/// One property, named as a sentence.
pub(crate) type Case = (&'static str, fn(&Host));
/// The same with the engine's name before it.
type Named = (String, fn(&Host));

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "act") {
        return operation::main();
    }
    if args.first().is_some_and(|a| a == "guard") {
        // What the driver starts of its own program, which is this one here; `held` tests it with lsx-ct.
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    if args.iter().any(|a| a == "--list") {
        ENGINES.iter().flat_map(|engine| wanted(engine, &[])).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let run = |engine| run(engine, wanted(engine, &words));
    let verdicts: Vec<(String, bool)> = std::thread::scope(|scope| {
        let both: Vec<_> = ENGINES.iter().map(|engine| scope.spawn(move || run(engine))).collect();
        both.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    let failed: Vec<&String> = verdicts.iter().filter(|(_, ok)| !ok).map(|(name, _)| name).collect();
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let (passed, took) = (verdicts.len() - failed.len(), start.elapsed());
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; finished in {took:.0?}",
        failed.len()
    );
    failed.iter().for_each(|name| println!("FAILED {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The cases of an engine that have one of the words, by their full names.
fn wanted(engine: &Engine, words: &[&String]) -> Vec<Named> {
    let all = [
        cases::CASES,
        disk::CASES,
        first::CASES,
        held::CASES,
        forkfile::CASES,
        ids::CASES,
        jobs::CASES,
        needed::CASES,
        others::CASES,
        room::CASES,
        volumes::CASES,
        whole::CASES,
    ]
    .into_iter()
    .flatten();
    let named = all.map(|(case, body)| (format!("{}::{case}", engine.driver), *body));
    named.filter(|(name, _)| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()))).collect()
}

/// Runs cases on their own host, in order; returns which passed.
fn run(engine: &'static Engine, cases: Vec<Named>) -> Vec<(String, bool)> {
    if let Some(why) = lab::missing().or_else(|| host::missing(engine)) {
        cases.iter().for_each(|(name, _)| eprintln!("SKIPPED: {name}: {why}"));
        return Vec::new();
    }
    if cases.is_empty() {
        return Vec::new();
    }
    let Ok(host) = catch_unwind(|| Host::up(engine)) else {
        return vec![(format!("{}: no host", engine.driver), false)];
    };
    let verdict = |(name, body): Named| {
        let ok = tried(&name, || body(&host));
        if !ok {
            host.sweep();
        }
        (name, ok)
    };
    cases.into_iter().map(verdict).collect()
}
