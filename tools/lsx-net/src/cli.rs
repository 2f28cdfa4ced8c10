//! The flags of lsx-net, and which function each verb is.

mod targets;

pub use targets::Probed;

use crate::attach::{self, Attach};
use crate::{Net, PROGRAM};
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::cli::Global;
use common::stdio::{self, Output};
use common::tool::Tool;
use common::{Failure, Failures, Kind, verb};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Isolated networks over several hosts, from one stack file
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
    Shared(verb::Verb),
    /// Give instances their interfaces: into network namespaces, created in place; once more is fine
    Attach(AttachArgs),
    /// Take the interfaces of instances away; those that are gone are fine
    Detach(AttachArgs),
    /// Try targets from this host: ICMP, TCP port, banner, HTTP; exit 1 when one does not answer
    Probe(ProbeArgs),
}

/// Flags of `probe`.
#[derive(Debug, Args)]
struct ProbeArgs {
    /// Targets, as icmp:10.0.0.1, tcp:10.0.0.1:22, banner:10.0.0.1:22 or http://10.0.0.1:80/health; none: they come by
    /// standard input, one JSON object or one such word a line
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Every interface of this stack's instances, by ICMP
    #[arg(long, value_name = "STACK", conflicts_with = "targets")]
    stack: Option<PathBuf>,
    /// How long a target may take to answer
    #[arg(long, value_name = "TIME", value_parser = common::cli::duration)]
    timeout: Option<std::time::Duration>,
    /// Echoes a target, for ICMP
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,
    /// Bytes of payload, for ICMP
    #[arg(long, value_name = "BYTES")]
    size: Option<u32>,
    /// Do not fragment, for ICMP
    #[arg(long)]
    df: bool,
    /// The status that is good, for HTTP: 200, or 2xx for all of them
    #[arg(long, value_name = "CODE")]
    status: Option<String>,
    /// A header that must be there and begin so, for HTTP
    #[arg(long, value_name = "NAME=PREFIX")]
    header: Vec<String>,
    /// Words the banner must hold
    #[arg(long, value_name = "TEXT")]
    banner: Vec<String>,
    /// Try from inside this network namespace, by path or by name below /run/netns
    #[arg(long, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// Targets at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_parallel: usize,
}

/// Flags of `attach` and `detach`.
#[derive(Debug, Args)]
struct AttachArgs {
    /// Interfaces, one JSON object a line, or a resolved stack; `-` or nothing is standard input
    #[arg(value_name = "NICS")]
    input: Option<PathBuf>,
    /// With a resolved stack: the instance whose interfaces are meant
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The network namespace, by path or by name below /run/netns
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    netns: Option<PathBuf>,
    /// The network namespace of this process
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  net.plan.port     a published port is taken on the host: 65
  net.plan.unsupported  a network that is not built yet: 65
  stack.*           the stack file breaks a rule, at the place that is named: 65

Files:
  /etc/lsx/STACK/net.json            on each host: what is wanted there, to come back after a reboot
  /etc/lsx/boot.d/10-STACK-net       on each host: what brings it back
  /run/lsx/STACK/                    on each host: the rules as they were loaded
  /run/netns/lsx-STACK               on gateways and hosts that publish ports: the stack's router

Examples:
  lsx-net resolve office.yaml | jq '.resolved.names'
  lsx-net plan office.yaml --table
  lsx-net up office.yaml > office.json
  lsx-net check office.json --table
  lsx-net attach --instance db --netns db office.json
  lsx-net probe tcp:10.104.0.10:5432 http://10.104.0.11:80/ --table
  lsx-net observe --table
  lsx-net down office.yaml

See also:
  lsx(7), lsx-stack(5), lsx-json(5)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    ("Commands for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Commands for interfaces and probes", &["attach", "detach", "probe"]),
    ("Other commands", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    let output = cli.global.output(Net::TABLES);
    match &cli.verb {
        Verb::Shared(verb) => verb::run(Net, verb, &cli.global, Cli::command()),
        Verb::Attach(args) => nics(args, &output, attach::attach),
        Verb::Detach(args) => nics(args, &output, attach::detach),
        Verb::Probe(args) => targets::probe(args, &output),
    }
}

fn nics(
    args: &AttachArgs,
    output: &Output,
    act: fn(&[Attach]) -> Result<Vec<attach::Attached>, Failure>,
) -> Result<(), Failures> {
    let (text, file) = stdio::read(args.input.as_deref())?;
    let mut wanted = read(&text, &file, args.instance.as_deref())?;
    for one in &mut wanted {
        if args.netns.is_some() || args.pid.is_some() {
            (one.netns, one.pid) = (args.netns.clone(), args.pid);
        }
    }
    Ok(output.emit(&act(&wanted)?)?)
}

/// Interfaces from NDJSON, or from a resolved stack by the instance's name.
fn read(text: &str, file: &str, instance: Option<&str>) -> Result<Vec<Attach>, Failures> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failures::from(
            Failure::new(Kind::Data, "net.attach.input", format!("{file}: not an interface to attach: {e}"))
                .hint("lines hold stack, instance, and the fields of resolved.instances[].nics[]"),
        )
    };
    let mut wanted = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|e| wrong(&e))?;
        if value.get("resolved").is_some() {
            let name = instance.ok_or_else(|| {
                Failure::new(
                    Kind::Usage,
                    "usage.instance",
                    "a stack came: --instance NAME says whose interfaces",
                )
            })?;
            wanted.extend(of_stack(&value["resolved"], name).map_err(|e| wrong(&e))?);
        } else {
            wanted.push(serde_json::from_value(value).map_err(|e| wrong(&e))?);
        }
    }
    Ok(wanted)
}

fn of_stack(resolved: &Value, instance: &str) -> Result<Vec<Attach>, String> {
    let all = resolved["instances"].as_array().into_iter().flatten();
    let found = all
        .into_iter()
        .find(|i| i["name"] == instance)
        .ok_or_else(|| format!("the stack has no instance {instance}"))?;
    let nics = found["nics"].as_array().into_iter().flatten();
    nics.map(|nic| {
        let nic = serde_json::from_value(nic.clone()).map_err(|e| e.to_string())?;
        let stack = resolved["stack"].as_str().unwrap_or_default().to_owned();
        Ok(Attach { stack, instance: instance.to_owned(), netns: None, pid: None, adopt: false, nic })
    })
    .collect()
}
