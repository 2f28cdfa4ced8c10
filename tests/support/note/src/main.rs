//! lsx-note writes one note for each instance of a stack on the instance's host.
//!
//! It is the smallest tool, for the tests of what all tools share: a note is a file below /var/lib/lsx/note. The environment of
//! an instance says more: NOTE is the text, WAVE its wave, and a text that begins with `fail` cannot be written. The secrets of
//! an instance are sent to its host, and EVERY is a number of seconds after which the host adds a line to a file. SERVE is a
//! program that its host keeps running, SERVER a text that the tool itself serves on its port instead, with ROUTER in the router of the stack, and with UNPRIVILEGED without root; with DATA the
//! host has a folder that `down` keeps.

mod object;
mod plan;
mod tool;

use clap::{CommandFactory, Parser, Subcommand};
use common::cli::Global;
use common::verb;
use std::process::ExitCode;

/// Notes about the instances of a stack on their hosts
#[derive(Debug, Parser)]
#[command(name = tool::PROGRAM, version, about, long_about = common::manual::description(include_str!("main.rs")), after_long_help = common::manual::ending(AFTER), subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Shared(verb::Verb<tool::Tool>),
}

const AFTER: &str = "  note.refused      the text of a note begins with `fail`: 1

Files:
  /var/lib/lsx/note/STACK/INSTANCE   on each host: the notes

Examples:
  lsx-note plan office.yaml --table
  lsx-note up office.yaml
  lsx-note down office.yaml";

const GROUPS: common::help::Groups = &[
    ("Verbs for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Verbs of the tool", &[]),
    ("Other verbs", &["schema", "completions", "help"]),
];

fn main() -> ExitCode {
    common::cli::main::<Cli>(
        tool::PROGRAM,
        GROUPS,
        |cli| &cli.global,
        |cli| {
            let Verb::Shared(verb) = &cli.verb;
            verb::run(&tool::Tool, verb, &cli.global, Cli::command())
        },
    )
}
