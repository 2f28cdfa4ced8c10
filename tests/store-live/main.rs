//! lsx-store on simulated hosts. Every property is checked twice: in the tool's output, and by the host's files and mounts.
//!
//! `cargo test -p lsx-store --test store-live -- WORD` runs the cases whose name has the word.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "this program is the tests: it stops at the first surprise"
)]

mod asked;
mod big;
mod crash;
mod depot;
mod faults;
mod hostile;
mod life;
mod moves;
mod objects;
mod remote;
mod shelf;
mod wrong;

use depot::Depot;
use lsx_tests::groups::{self, Group};
use std::process::ExitCode;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_lsx-store");

/// One property of volumes.
type Case = groups::Case<Depot>;

const GROUPS: &[Group<Depot>] = &[
    Group {
        name: "volumes",
        share: Depot::up,
        cases: &[life::CASES, wrong::CASES, crash::CASES, big::CASES, faults::CASES, moves::CASES],
    },
    Group {
        name: "objects",
        share: Depot::up,
        cases: &[objects::CASES, hostile::CASES, asked::CASES, remote::CASES],
    },
];

fn main() -> ExitCode {
    groups::main("store-live", GROUPS)
}
