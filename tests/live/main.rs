//! lsx-net on simulated hosts. Every property is checked twice: in the tool's output, and in the kernel by another way.
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
mod authority;
mod balance;
mod certificates;
mod checks;
mod clients;
mod crash;
mod crowd;
mod docker;
mod dying;
mod earlier;
mod ended;
mod faulty;
mod firewalls;
mod forged;
mod gone;
mod health;
mod held;
mod interrupt;
mod kernel;
mod load;
mod many;
mod narrow;
mod neighbours;
mod notes;
mod office;
mod outside;
mod partial;
mod peer;
mod reach;
mod reboot;
mod secrets;
mod stack;
mod together;
mod traffic;
mod waves;
mod wire;

use lsx_tests::groups::{self, Group};
use lsx_tests::lab::Lab;
use std::process::ExitCode;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_lsx-net");

/// One property of networks.
type Case = groups::Case<Lab>;

/// The longest first.
const GROUPS: &[Group<Lab>] = &[
    Group { name: "crash", share: || lab(2, &[]), cases: &[crash::CASES, interrupt::CASES, waves::CASES] },
    Group {
        name: "partial",
        share: || lab(3, &["--disk", "400M"]),
        cases: &[partial::CASES, together::CASES, waves::CASES_OF_THREE],
    },
    Group {
        name: "reboot",
        share: || lab(2, &[]),
        cases: &[reboot::CASES, held::CASES, many::CASES, notes::CASES, gone::CASES],
    },
    Group {
        name: "balance",
        share: || lab(2, &[]),
        cases: &[
            balance::CASES,
            earlier::CASES,
            clients::CASES,
            certificates::CASES,
            dying::CASES,
            health::CASES,
            faulty::CASES,
            secrets::CASES,
        ],
    },
    Group {
        name: "attach",
        share: || lab(2, &[]),
        cases: &[attach::CASES, crowd::CASES, checks::CASES, narrow::CASES],
    },
    Group { name: "reach", share: || lab(3, &[]), cases: &[reach::CASES, outside::CASES, ended::CASES] },
    Group {
        name: "traffic",
        share: || lab(3, &[]),
        cases: &[traffic::CASES, wire::CASES, forged::CASES, neighbours::CASES],
    },
    Group { name: "docker", share: || lab(2, &["--with", "docker"]), cases: &[docker::CASES] },
    Group { name: "office", share: || lab(3, &[]), cases: &[office::CASES] },
    Group { name: "firewalls", share: || lab(2, &[]), cases: &[firewalls::CASES] },
];

fn lab(hosts: usize, options: &[&str]) -> Lab {
    Lab::up(hosts, options, TOOL)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("peer") => peer::main(&args[1..]),
        _ => groups::main("live", GROUPS),
    }
}
