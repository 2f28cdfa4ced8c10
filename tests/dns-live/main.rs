//! lsx-dns on simulated hosts. Every property is checked twice: in the tool's output, and by dig in an instance's place.
//!
//! `cargo test -p lsx-dns --test dns-live -- WORD` runs the cases whose name has the word. This program is also the client that
//! asks without a pause (`load`).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program is the tests and the client at once"
)]

mod alike;
mod behind;
mod boot;
mod booted;
mod change;
mod checks;
mod clients;
mod cloud;
mod counts;
mod crash;
mod cut;
mod dhcp;
mod disk;
mod drivers;
mod edited;
mod files;
mod gateways;
mod leased;
mod lent;
mod load;
mod metadata;
mod names;
mod office;
mod once;
mod pair;
mod peers;
mod taken;
mod town;
mod transfer;
mod update;

use lsx_tests::groups::{self, Group};
use lsx_tests::lab::Lab;
use std::process::ExitCode;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_lsx-dns");

/// One property of names.
type Case = groups::Case<Lab>;

/// The longest first.
const GROUPS: &[Group<Lab>] = &[
    Group {
        name: "boot",
        share: town::lab,
        cases: &[boot::CASES, files::CASES, once::CASES, booted::CASES, taken::CASES],
    },
    Group {
        name: "updates",
        share: town::lab,
        cases: &[
            update::CASES,
            edited::CASES,
            peers::CASES,
            transfer::CASES,
            pair::CASES,
            behind::CASES,
            cut::CASES,
            gateways::CASES,
            lent::CASES,
            disk::CASES,
        ],
    },
    Group {
        name: "names",
        share: town::lab,
        cases: &[
            names::CASES,
            counts::CASES,
            change::CASES,
            checks::CASES,
            drivers::CASES,
            alike::CASES,
            clients::CASES,
            crash::CASES,
        ],
    },
    Group {
        name: "hosts",
        share: town::lab,
        cases: &[dhcp::CASES, leased::CASES, metadata::CASES, cloud::CASES],
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("load") => load::main(&args[1..]),
        Some("crowd") => leased::crowd(&args[1..]),
        Some("listen") => load::listen(&args[1..]),
        Some("upstream") => load::upstream(&args[1..]),
        _ => groups::main("dns-live", GROUPS),
    }
}
