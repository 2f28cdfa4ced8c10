//! lsx-pki on simulated hosts: what it issues is judged by openssl, and used by curl through a load balancer of lsx-net.
//!
//! `cargo test -p lsx-pki --test pki-live -- WORD` runs the cases whose name has the word.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "this program is the tests: it stops at the first surprise"
)]

mod crash;
mod faults;
mod issued;
mod office;

use lsx_tests::groups::{self, Group};
use office::Office;
use std::process::ExitCode;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_lsx-pki");

/// One property of certificates.
type Case = groups::Case<Office>;

const GROUPS: &[Group<Office>] = &[Group {
    name: "certificates",
    share: Office::up,
    cases: &[issued::CASES, faults::CASES, crash::CASES],
}];

fn main() -> ExitCode {
    groups::main("pki-live", GROUPS)
}
