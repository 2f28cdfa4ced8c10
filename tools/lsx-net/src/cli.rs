//! The flags of lsx-net, and which function each verb is.

mod targets;

pub use targets::Probed;

use crate::attach::{self, Attach};
use crate::{Net, PROGRAM};
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::cli::Global;
use common::stack::{ReadOptions, hint};
use common::stdio::{self, Output};
use common::tool::Tool;
use common::{Failure, Failures, Kind, verb};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Isolated networks across the hosts of a stack
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
    Shared(verb::Verb<Net>),
    /// Create the interfaces of instances in their network namespaces; those that exist are kept
    Attach(AttachArgs),
    /// Remove the interfaces of instances; missing ones are no error
    Detach(AttachArgs),
    /// Probe targets from this host by ICMP, TCP connect, banner, HTTP or HTTPS; exit 1 when one fails
    Probe(ProbeArgs),
}

/// Flags of `probe`.
#[derive(Debug, Args)]
struct ProbeArgs {
    /// Targets, such as icmp:10.0.0.1, tcp:10.0.0.1:22, banner:10.0.0.1:22, http://10.0.0.1:80/health or https://10.0.0.1/;
    /// default: standard input, with one target or JSON object per line
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Probe every interface of this stack's instances by ICMP
    #[arg(long, value_name = "STACK", conflicts_with = "targets")]
    stack: Option<PathBuf>,
    /// Time limit of each target
    #[arg(long, value_name = "TIME", value_parser = common::cli::duration)]
    timeout: Option<std::time::Duration>,
    /// ICMP: number of echo requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,
    /// ICMP: payload in bytes
    #[arg(long, value_name = "BYTES")]
    size: Option<u32>,
    /// ICMP: set the don't-fragment bit
    #[arg(long)]
    df: bool,
    /// HTTP: expected status, such as 200 or 2xx
    #[arg(long, value_name = "CODE")]
    status: Option<String>,
    /// HTTP: expected header, whose value starts with PREFIX; may be repeated
    #[arg(long, value_name = "NAME=PREFIX")]
    header: Vec<String>,
    /// HTTPS: PEM file of the authorities that are trusted; default: those of this host
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// HTTPS: the name that the certificate of the server must have, and the Host header; default: the address
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Banner: expected text; may be repeated
    #[arg(long, value_name = "TEXT")]
    banner: Vec<String>,
    /// Probe from this network namespace, by path or by name in /run/netns
    #[arg(long, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// Number of targets probed at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_parallel: usize,
}

/// Flags of `attach` and `detach`.
#[derive(Debug, Args)]
struct AttachArgs {
    /// Interfaces, one JSON object per line, or a resolved stack; `-` or absent: standard input
    #[arg(value_name = "NICS")]
    input: Option<PathBuf>,
    /// With a resolved stack: the instance that owns the interfaces
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The network namespace, by path or by name in /run/netns
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    netns: Option<PathBuf>,
    /// The network namespace of this process
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
}

/// The comment at the head of `lib.rs`: DESCRIPTION in help and manual.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  net.plan.port     a published port is already in use on the host: 65
  net.plan.unsupported  a type of network that lsx does not support yet: 65
  stack.*           the stack file is invalid, at the place that is named: 65

Files:
  /etc/lsx/STACK/net.json            on each host: desired state, restored after a reboot
  /etc/lsx/boot.d/10-STACK-net       on each host: restores it after a reboot
  /run/lsx/STACK/                    on each host: the nftables rules as they were loaded
  /run/lsx/STACK/balance/            on hosts of load balancers: the configuration of HAProxy, its sockets stats and master
  /var/lib/lsx/net/STACK/log/        on hosts of load balancers: the log of HAProxy
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
    ("Verbs for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Verbs for interfaces and probes", &["attach", "detach", "probe"]),
    ("Other verbs", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    let output = cli.global.output(Net::TABLES);
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&Net, verb, &cli.global, Cli::command()),
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
    let json = text.trim_start().starts_with(['{', '[']);
    if !json && common::stack::read(text, file, &ReadOptions::default()).is_ok() {
        let message = format!("{file}: a stack as people write it, but one with addresses is expected");
        return Err(Failure::new(Kind::Data, "net.attach.input", message)
            .hint(format!("{PROGRAM} resolve {file} | {PROGRAM} attach --instance NAME"))
            .into());
    }
    let mut wanted = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|e| wrong(&e))?;
        if value.get("resolved").is_some() {
            let name = instance.ok_or_else(|| {
                Failure::new(
                    Kind::Usage,
                    "usage.instance",
                    "the input is a stack: name the instance with --instance NAME",
                )
            })?;
            wanted.extend(of_stack(&value["resolved"], name)?.map_err(|e| wrong(&e))?);
        } else {
            wanted.push(serde_json::from_value(value).map_err(|e| wrong(&e))?);
        }
    }
    Ok(wanted)
}

/// The interfaces of an instance.
///
/// # Errors
/// An unknown instance; inside, an interface that is not valid.
fn of_stack(resolved: &Value, instance: &str) -> Result<serde_json::Result<Vec<Attach>>, Failure> {
    let all = resolved["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = all.iter().find(|i| i["name"] == instance) else {
        let message = format!("the stack has no instance {instance}");
        let names = all.iter().filter_map(|i| i["name"].as_str());
        return Err(Failure::new(Kind::Usage, "usage.name", message).hint(hint(instance, names)));
    };
    let nics = found["nics"].as_array().into_iter().flatten();
    Ok(nics
        .map(|nic| {
            let nic = serde_json::from_value(nic.clone())?;
            let stack = resolved["stack"].as_str().unwrap_or_default().to_owned();
            Ok(Attach { stack, instance: instance.to_owned(), netns: None, pid: None, adopt: false, nic })
        })
        .collect())
}
