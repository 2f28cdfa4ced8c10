//! lsx-ct's driver for LXD and Incus against a real one of each, on a throwaway host. What the driver says is looked at a second
//! time in what the server's own client and the kernel say.
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

mod act;
mod cases;
mod first;
mod host;
mod others;
mod whole;

use host::{ENGINES, Host};
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
    let (mut passed, mut failed) = (0, Vec::new());
    for engine in &ENGINES {
        let full = |case: &str| format!("{}::{case}", engine.driver);
        let all = [cases::CASES, first::CASES, others::CASES, whole::CASES].into_iter().flatten();
        if args.iter().any(|a| a == "--list") {
            all.for_each(|(case, _)| println!("{}: test", full(case)));
            continue;
        }
        let wanted: Vec<&Case> = all
            .filter(|(case, _)| words.is_empty() || words.iter().any(|w| full(case).contains(w.as_str())))
            .collect();
        if let Some(why) = lab::missing().or_else(|| host::missing(engine)) {
            wanted.iter().for_each(|(case, _)| eprintln!("SKIPPED: {}: {why}", full(case)));
            continue;
        }
        if wanted.is_empty() {
            continue;
        }
        let host = Host::up(engine);
        for (case, body) in wanted {
            let (start, case) = (Instant::now(), full(case));
            let ok = catch_unwind(AssertUnwindSafe(|| body(&host))).is_ok();
            println!("test {case} ... {} ({:.1?})", if ok { "ok" } else { "FAILED" }, start.elapsed());
            if ok {
                passed += 1;
            } else {
                failed.push(case);
                host.sweep();
            }
        }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored", failed.len());
    failed.iter().for_each(|name| println!("FAILED {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
