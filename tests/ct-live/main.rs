//! lsx-ct on throwaway hosts. Every promise is looked at twice: in what the tool says, and by another way: the runtime, /proc,
//! control groups, traffic. Cases of a group share a lab and run in order; `cargo test --test ct-live -- WORD` runs some.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "this program is the tests"
)]

mod begin;
mod change;
mod cloud;
mod crash;
mod exec;
mod image;
mod life;
mod ready;
mod system;

use cloud::Cloud;
use lsx_tests::lab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// One promise, named as a sentence.
type Case = (&'static str, fn(&Cloud));

/// Cases that share a lab.
struct Group {
    name: &'static str,
    hosts: usize,
    cases: &'static [&'static [Case]],
}

/// The longest first.
const GROUPS: &[Group] = &[
    Group { name: "crash", hosts: 2, cases: &[crash::CASES] },
    Group { name: "life", hosts: 1, cases: &[life::CASES, system::CASES] },
    Group { name: "stack", hosts: 2, cases: &[begin::CASES, exec::CASES, change::CASES, ready::CASES] },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |group: &str, case: &str| {
        words.is_empty() || words.iter().any(|w| format!("{group}::{case}").contains(w.as_str()))
    };
    let all =
        || GROUPS.iter().flat_map(|g| g.cases.concat().into_iter().map(move |(case, _)| (g.name, case)));
    if args.iter().any(|a| a == "--list") {
        all().for_each(|(group, case)| println!("{group}::{case}: test"));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = lab::missing() {
        all().for_each(|(group, case)| eprintln!("SKIPPED: ct-live {group}::{case}: {why}"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let (queue, failed, passed) = (Mutex::new(GROUPS.iter()), Mutex::new(Vec::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(group) = { queue.lock().unwrap().next() } {
                    let cases: Vec<Case> = group
                        .cases
                        .concat()
                        .into_iter()
                        .filter(|(case, _)| wanted(group.name, case))
                        .collect();
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

fn run(group: &Group, cases: &[Case], failed: &Mutex<Vec<String>>, passed: &Mutex<usize>) {
    if cases.is_empty() {
        return;
    }
    let Ok(cloud) = catch_unwind(|| Cloud::up(group.hosts)) else {
        failed.lock().unwrap().push(format!("{}: no lab", group.name));
        return;
    };
    for (case, body) in cases {
        let start = Instant::now();
        let name = format!("{}::{case}", group.name);
        let ok = catch_unwind(AssertUnwindSafe(|| body(&cloud))).is_ok();
        println!("test {name} ... {} ({:.1?})", if ok { "ok" } else { "FAILED" }, start.elapsed());
        if ok { *passed.lock().unwrap() += 1 } else { failed.lock().unwrap().push(name) }
    }
}
