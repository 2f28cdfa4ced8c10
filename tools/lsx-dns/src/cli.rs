//! The flags of lsx-dns, and which function each verb is.

use crate::model::Counted;
use crate::{Dns, PROGRAM, observe, serve};
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::cli::Global;
use common::host::service::server;
use common::tool::Tool as _;
use common::{Failures, verb};
use std::process::ExitCode;

/// Names of a stack, answered on its gateways
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, about, long_about = description(), after_long_help = common::manual::ending(AFTER), subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Shared(Box<verb::Verb>),
    /// Serve the names of a stack on this host, as `up` configured it; `up` starts this
    Serve(ServeArgs),
    /// Show what the server of a stack on this host has answered
    Counts(CountsArgs),
}

/// Flags of `counts`.
#[derive(Debug, Args)]
struct CountsArgs {
    /// Name of the stack
    #[arg(value_name = "NAME")]
    stack: String,
    /// Print text for Prometheus, such as for the textfile collector of its node exporter
    #[arg(long, conflicts_with = "table")]
    prometheus: bool,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Name of the stack
    #[arg(value_name = "NAME")]
    stack: String,
    /// Be a worker, whose supervisor is on standard input
    #[arg(long, hide = true)]
    worker: bool,
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  dns.plan.driver   a driver that is not supported yet: 65
  dns.serve         a server does not serve, with the last lines of its log: 1
  stack.*           the stack file is invalid, at the place that is named: 65

Files:
  /etc/lsx/STACK/dns.json            on each host with a server: desired state, restored after a reboot
  /etc/lsx/boot.d/40-STACK-dns       on each host with a server: restores it after a reboot
  /run/lsx/STACK/dns/                on each host with a server: its configuration, state and socket
  /var/lib/lsx/dns/STACK/            on each host with a server: its log

Examples:
  lsx-net up office.yaml | lsx-dns up
  lsx-dns plan office.yaml --table
  lsx-dns check office.yaml --table
  lsx-dns observe --table
  lsx-dns counts office --prometheus
  lsx-dns down office.yaml

See also:
  lsx(7), lsx-net(1), lsx-stack(5), lsx-json(5)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    ("Verbs for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Verbs for a server", &["counts", "serve"]),
    ("Other verbs", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&Dns, verb, &cli.global, Cli::command()),
        Verb::Counts(args) => counts(args, &cli.global),
        Verb::Serve(args) if args.worker => Ok(serve::work(observe::server(&args.stack).user())?),
        Verb::Serve(args) => Ok(server::run(observe::configured(&args.stack)?)?),
    }
}

fn counts(args: &CountsArgs, global: &Global) -> Result<(), Failures> {
    let counted = Counted::new(&args.stack, observe::counts(&args.stack)?);
    let output = global.output(Dns::TABLES);
    Ok(if args.prometheus { output.text(&counted.prometheus())? } else { output.emit(&[counted])? })
}
