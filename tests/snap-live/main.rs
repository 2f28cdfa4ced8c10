//! lsx-snap on simulated hosts. What it saves is read back by Debian's restic, and compared by other programs.
//!
//! `cargo test -p lsx-snap --test snap-live -- WORD` runs the cases whose name has the word.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "this program is the tests: it stops at the first surprise"
)]

mod crash;
mod faults;
mod restored;
mod saved;
mod shot;
mod vault;

use lsx_tests::groups::{self, Group};
use std::process::ExitCode;
use vault::Vault;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_lsx-snap");

/// One property of snapshots.
type Case = groups::Case<Vault>;

const GROUPS: &[Group<Vault>] = &[Group {
    name: "snapshots",
    share: Vault::up,
    cases: &[saved::CASES, restored::CASES, shot::CASES, faults::CASES, crash::CASES],
}];

fn main() -> ExitCode {
    groups::main("snap-live", GROUPS)
}
