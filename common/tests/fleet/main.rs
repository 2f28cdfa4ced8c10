//! The fleet against real SSH servers on this machine. This program is the tests, the tool that is copied (`agent`), and
//! the replacement of sudo (by its name), so that only OpenSSH must be installed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "this program is the tests and the tool at once"
)]

mod access;
mod cases;
mod ends;
mod lab;
mod masters;
mod slow;
mod tool;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args[0].ends_with("sudo") {
        return tool::sudo(&args[1..]);
    }
    if args.get(1).is_some_and(|arg| arg == "agent") {
        return tool::agent();
    }
    if args.get(1).is_some_and(|arg| arg == "control") {
        return ends::control(&args[2..]);
    }
    if args.get(1).is_some_and(|arg| arg == "slow") {
        return slow::forward(&args[2..]);
    }
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Some(why) = lab::missing() {
        eprintln!("SKIPPED: every fleet test: {why}");
        return ExitCode::SUCCESS;
    }
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with('-'));
    let (mut failed, mut passed) = (Vec::new(), 0);
    for (name, case) in cases::ALL {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let start = std::time::Instant::now();
        let ok = catch_unwind(AssertUnwindSafe(case)).is_ok();
        println!("test {name} ... {} ({:?})", if ok { "ok" } else { "FAILED" }, start.elapsed());
        if ok { passed += 1 } else { failed.push(*name) }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
