//! lsx-net on throwaway hosts. Every promise is looked at twice: in what the tool says, and in the kernel by another way.
//!
//! Cases of a group share a lab and run in order; two groups run at once. `cargo test --test live -- WORD` runs the cases
//! whose name has the word. This program is also the peer that stands in instances: it serves and asks (`peer`).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "this program is the tests and the peer at once"
)]

mod attach;
mod crash;
mod docker;
mod kernel;
mod office;
mod partial;
mod peer;
mod reboot;
mod stack;
mod traffic;

use lsx_tests::lab::{self, Lab};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_lsx-net");

/// One promise, named as a sentence.
type Case = (&'static str, fn(&Lab));

/// Cases that share a lab.
struct Group {
    name: &'static str,
    hosts: usize,
    options: &'static [&'static str],
    cases: &'static [Case],
}

/// The longest first.
const GROUPS: &[Group] = &[
    Group { name: "crash", hosts: 2, options: &[], cases: crash::CASES },
    Group { name: "traffic", hosts: 3, options: &[], cases: traffic::CASES },
    Group { name: "partial", hosts: 3, options: &["--disk", "400M"], cases: partial::CASES },
    Group { name: "docker", hosts: 2, options: &["--with", "docker"], cases: docker::CASES },
    Group { name: "reboot", hosts: 2, options: &[], cases: reboot::CASES },
    Group { name: "attach", hosts: 2, options: &[], cases: attach::CASES },
    Group { name: "office", hosts: 3, options: &[], cases: office::CASES },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "peer") {
        return peer::main(&args[1..]);
    }
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |group: &str, case: &str| {
        words.is_empty() || words.iter().any(|w| format!("{group}::{case}").contains(w.as_str()))
    };
    let all = || GROUPS.iter().flat_map(|g| g.cases.iter().map(move |(case, _)| (g.name, *case)));
    if args.iter().any(|a| a == "--list") {
        all().for_each(|(group, case)| println!("{group}::{case}: test"));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = lab::missing() {
        all().for_each(|(group, case)| eprintln!("SKIPPED: live {group}::{case}: {why}"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let (queue, failed, passed) = (Mutex::new(GROUPS.iter()), Mutex::new(Vec::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(group) = { queue.lock().unwrap().next() } {
                    let cases: Vec<&Case> =
                        group.cases.iter().filter(|(case, _)| wanted(group.name, case)).collect();
                    run(group, &cases, &failed, &passed);
                }
            });
        }
    });
    let (failed, passed) = (failed.into_inner().unwrap(), passed.into_inner().unwrap());
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let took = start.elapsed();
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; finished in {took:.0?}",
        failed.len()
    );
    failed.iter().for_each(|name| println!("FAILED {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(group: &Group, cases: &[&Case], failed: &Mutex<Vec<String>>, passed: &Mutex<usize>) {
    if cases.is_empty() {
        return;
    }
    let Ok(lab) = catch_unwind(|| Lab::up(group.hosts, group.options, TOOL)) else {
        failed.lock().unwrap().push(format!("{}: no lab", group.name));
        return;
    };
    for (case, body) in cases {
        let start = Instant::now();
        let name = format!("{}::{case}", group.name);
        let ok = catch_unwind(AssertUnwindSafe(|| body(&lab))).is_ok();
        println!("test {name} ... {} ({:.1?})", if ok { "ok" } else { "FAILED" }, start.elapsed());
        if ok { *passed.lock().unwrap() += 1 } else { failed.lock().unwrap().push(name) }
    }
}
