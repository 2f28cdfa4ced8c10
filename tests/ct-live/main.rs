//! lsx-ct on simulated hosts. Every property is checked twice: in the tool's output, and by another way: the runtime,
//! /proc, control groups, traffic. Cases of a group share a lab and run in order; `cargo test --test ct-live -- WORD` runs
//! some.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this program is the tests")]

mod again;
mod begin;
mod border;
mod change;
mod cloud;
mod compose;
mod copied;
mod crash;
mod exec;
mod given;
mod hostile;
mod ids;
mod life;
mod lost;
mod machines;
mod names;
mod plans;
mod proxy;
mod reach;
mod ready;
mod recipes;
mod registry;
mod room;
mod runtime;
mod seeded;
mod shop;
mod shown;
mod system;
mod tls;
mod together;
mod without;

use cloud::Cloud;
use lsx_tests::groups::{self, Group};
use std::process::ExitCode;

/// One property of containers.
type Case = groups::Case<Cloud>;

/// The longest first.
const GROUPS: &[Group<Cloud>] = &[
    Group { name: "engines", share: shop::engines, cases: &[shop::ENGINES, seeded::CASES] },
    Group { name: "shop", share: shop::cloud, cases: &[shop::CASES, machines::CASES] },
    Group {
        name: "stack",
        share: two,
        cases: &[
            begin::CASES,
            exec::CASES,
            copied::CASES,
            border::CASES,
            change::CASES,
            ready::CASES,
            shown::CASES,
            again::CASES,
            plans::CASES,
            tls::CASES,
            registry::CASES,
            names::CASES,
        ],
    },
    Group {
        name: "files",
        share: || Cloud::up(1),
        cases: &[
            reach::CASES,
            hostile::CASES,
            given::CASES,
            ids::CASES,
            lost::CASES,
            without::CASES,
            recipes::CASES,
            proxy::CASES,
            room::CASES,
        ],
    },
    Group { name: "crash", share: two, cases: &[crash::CASES, together::CASES] },
    Group { name: "life", share: || Cloud::up(1), cases: &[life::CASES, runtime::CASES, system::CASES] },
    Group { name: "compose", share: || Cloud::up(1), cases: &[compose::CASES] },
];

fn two() -> Cloud {
    Cloud::up(2)
}

fn main() -> ExitCode {
    groups::main("ct-live", GROUPS)
}
