//! lsx-ct's driver for LXD against a real LXD, on a throwaway host. What the driver says is looked at a second time in what
//! LXD's own client and the kernel say.
//!
//! This program is also what runs in the host (`act`). `cargo test -p lsx-ct --test lxd -- WORD` runs the cases whose name
//! has the word.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program is the tests and what they run in the host"
)]

mod act;
mod cases;
mod host;
mod others;

use host::Host;
use lsx_tests::lab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// One promise, named as a sentence.
pub(crate) type Case = (&'static str, fn(&Host));

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "act") {
        return act::main();
    }
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let all = || cases::CASES.iter().chain(others::CASES);
    if args.iter().any(|a| a == "--list") {
        all().for_each(|(case, _)| println!("{case}: test"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&Case> = all()
        .filter(|(case, _)| words.is_empty() || words.iter().any(|w| case.contains(w.as_str())))
        .collect();
    if let Some(why) = lab::missing().or_else(host::missing) {
        wanted.iter().for_each(|(case, _)| eprintln!("SKIPPED: lxd {case}: {why}"));
        return ExitCode::SUCCESS;
    }
    if wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    let host = Host::up();
    let mut failed = Vec::new();
    for (case, body) in &wanted {
        let start = Instant::now();
        let ok = catch_unwind(AssertUnwindSafe(|| body(&host))).is_ok();
        println!("test {case} ... {} ({:.1?})", if ok { "ok" } else { "FAILED" }, start.elapsed());
        if !ok {
            failed.push(*case);
            host.sweep();
        }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let passed = wanted.len() - failed.len();
    println!("\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored", failed.len());
    failed.iter().for_each(|name| println!("FAILED {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
