//! The verbs that act on instances: selects instances and hosts, and collects one answer for each.

use super::hear::Teller;
use super::targets::{OnArgs, Targets, Where, targets};
use crate::Ct;
use crate::act::{self, Acted, Order, Target, Top};
use clap::Args;
use common::cli::Global;
use common::fleet;
use common::host::wait;
use common::stdio::Output;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Flags of `start`, and part of those of similar verbs.
#[derive(Debug, Args)]
pub(super) struct ActArgs {
    /// Instances by name or pattern, such as 'web*', or STACK/NAME when a host has several stacks
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// Number of instances handled at the same time on each host
    #[arg(long, value_name = "N", default_value_t = 8)]
    max_parallel: usize,
}

/// Flags of `stop` and `restart`.
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    act: ActArgs,
    /// Time to wait for an instance to stop before it is killed; default: its `stop_grace`, else 10s
    #[arg(long, visible_alias = "timeout", value_name = "TIME", value_parser = common::cli::duration)]
    grace: Option<Duration>,
}

/// Flags of `wait`.
#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    act: ActArgs,
    /// Time limit, such as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = common::cli::duration)]
    timeout: Duration,
}

/// The arguments of the four verbs.
pub(super) struct Acting<'a> {
    act: &'a ActArgs,
    timeout: Duration,
    grace: Option<Duration>,
}

impl<'a> From<&'a ActArgs> for Acting<'a> {
    fn from(act: &'a ActArgs) -> Self {
        Acting { act, timeout: Duration::ZERO, grace: None }
    }
}

impl<'a> From<&'a StopArgs> for Acting<'a> {
    fn from(args: &'a StopArgs) -> Self {
        Acting { grace: args.grace, ..Acting::from(&args.act) }
    }
}

impl<'a> From<&'a WaitArgs> for Acting<'a> {
    fn from(args: &'a WaitArgs) -> Self {
        Acting { timeout: args.timeout, ..Acting::from(&args.act) }
    }
}

/// Flags of `create` and `destroy`.
#[derive(Debug, Args)]
pub(super) struct PartArgs {
    /// Instances, by their keys in the stack
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// The stack file; default: a document from a pipe where a verb plans, else $LSX_STACK, else ./stack.yaml, else this host
    /// where a verb acts on instances
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    /// Do not contact this host, and report it as skipped; may be repeated
    #[arg(long, value_name = "HOST")]
    offline: Vec<String>,
}

/// Flags of `top`.
#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Instances by name or pattern; default: all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// Measure once, even on a terminal
    #[arg(long)]
    once: bool,
}

/// Flags of `logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Instances by name or pattern
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// Number of last lines of each instance; default: 100, with --since all
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Follow the log until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only lines since a time, such as 2026-11-26T03:00:00Z, 90s or 5m ago; LXD and Incus record no times
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// Print plain lines, without JSON, as on a terminal; with several instances, lines start with the name
    #[arg(long)]
    plain: bool,
    /// On a terminal: do not escape control characters, such as colours
    #[arg(long)]
    raw: bool,
}

pub(super) fn run(
    tool: &Ct,
    what: &str,
    args: &Acting<'_>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (mut place, targets) = targets(tool, &args.act.on, &args.act.names, global)?;
    // Keeps `up` and `down` from running at the same time.
    let _held = if what == "wait" { Vec::new() } else { place.lock(&targets)? };
    let timeout_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
    let grace_ms = args.grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let order =
        |targets| Order { parallel: args.act.max_parallel, timeout_ms, grace_ms, ..Order::to(targets) };
    let (acted, mut failed) =
        ask(&mut place, what, targets, order, |a: &mut Acted, host| a.host = host, None);
    output.emit(&acted)?;
    let ended = acted.iter().filter_map(|a| {
        Some(Failure::new(Kind::Failed, "ct.act", format!("{}: {}", a.instance, a.why.as_ref()?)).on(&a.host))
    });
    failed.0.extend(ended);
    failed.verdict()
}

pub(super) fn part(
    tool: &Ct,
    away: bool,
    args: &PartArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let stack = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
    let scope = ScopeArgs { offline: args.offline.clone(), ..ScopeArgs::default() };
    verb::part(tool, away, stack, scope, &args.names, global, output)
}

/// The shortest time between two pictures of `top`.
const SECOND: Duration = Duration::from_secs(1);

/// One measurement; on a terminal repeatedly, with the screen cleared each time, until interrupted.
pub(super) fn top(tool: &Ct, args: &TopArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    if args.once || !output.on_terminal() {
        return measure(tool, args, global, output);
    }
    loop {
        let begin = Instant::now();
        // A new session each time: instances come and go, and a host's session has a deadline.
        measure(tool, args, global, &Output { fresh: true, ..output.people() })?;
        // Without instances nothing is measured, and that takes no time.
        let rest = SECOND.saturating_sub(begin.elapsed());
        wait::until(rest, rest, || false);
    }
}

fn measure(tool: &Ct, args: &TopArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let (mut place, targets) = targets(tool, &args.on, &args.names, global)?;
    let order = |targets| Order { parallel: 1, ..Order::to(targets) };
    let (rows, failed) = ask(&mut place, "top", targets, order, |t: &mut Top, host| t.host = host, None);
    output.emit(&rows)?;
    failed.verdict()
}

/// A time, or a time ago, as RFC 3339 in milliseconds, the format of times in logs, which sort as text.
fn since(text: &str) -> Result<String, String> {
    let at = match common::cli::duration(text) {
        Ok(ago) => common::log::ago(ago),
        Err(_) => common::log::time(text)
            .ok_or_else(|| "write a time as 2026-11-26T03:00:00Z, or 90s, 5m, 1h".to_owned())?,
    };
    Ok(at)
}

pub(super) fn logs(tool: &Ct, args: &LogsArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let mut global = global.clone();
    if args.follow {
        global.deadline = Duration::MAX;
    }
    let (mut place, targets) = targets(tool, &args.on, &args.names, &global)?;
    let lines = args.lines.unwrap_or(if args.since.is_some() { usize::MAX } else { 100 });
    let order = |targets: Vec<Target>| Order {
        parallel: if args.follow { targets.len() } else { 8 },
        lines,
        since: args.since.clone(),
        follow: args.follow,
        ..Order::to(targets)
    };
    let teller = Teller::new(&targets, args.raw);
    let plain = args.plain || (output.on_terminal() && !output.table);
    let hear = |host: &str, event| match plain {
        true => Teller::lines(host, event).iter().try_for_each(|line| teller.plain(line)),
        false => output.emit(&Teller::lines(host, event)),
    };
    let hear = |host: &str, event| hear(host, event).unwrap_or_else(|e| tracing::warn!("{e}"));
    let hear: Option<Hear<'_>> = args.follow.then_some(&hear);
    let name = |line: &mut act::Line, host| line.host = host;
    let (lines, failed) = ask(&mut place, "logs", targets, order, name, hear);
    if plain {
        lines.iter().try_for_each(|line| teller.plain(line))?;
    } else if !args.follow || !lines.is_empty() {
        output.emit(&lines)?;
    }
    failed.verdict()
}

/// Receives the events of a host before its answer.
pub(super) type Hear<'a> = &'a (dyn Fn(&str, serde_json::Value) + Sync);

/// Sends an order to every host with targets; answers in the order of hosts, and the failures of hosts that gave none.
pub(super) fn ask<A: DeserializeOwned>(
    place: &mut Where,
    what: &str,
    targets: Targets,
    order: impl Fn(Vec<Target>) -> Order,
    name: impl Fn(&mut A, String),
    hear: Option<Hear<'_>>,
) -> (Vec<A>, Failures) {
    let inputs: BTreeMap<String, serde_json::Value> =
        targets.into_iter().map(|(host, targets)| (host, json!(order(targets)))).collect();
    let answers = match place {
        Where::Here => {
            let cancel = AtomicBool::new(false);
            let call = |host: &str, input| {
                let event = |event| {
                    if let Some(hear) = hear {
                        hear(host, event);
                    }
                };
                act::call(what, input, &cancel, &event)
            };
            inputs.into_iter().map(|(host, input)| (host.clone(), call(&host, input))).collect()
        }
        Where::Fleet(host_set) => match hear {
            Some(hear) => host_set.hear(what, inputs, &mut |host, event| hear(host, event)),
            None => host_set.call(what, inputs),
        },
    };
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for (host, answer) in answers {
        match answer.and_then(|value| fleet::shape::<Vec<A>>(value).map_err(|f| f.on(&host).into())) {
            Ok(mut some) => {
                some.iter_mut().for_each(|one| name(one, host.clone()));
                all.extend(some);
            }
            Err(why) => failures.extend(why.0),
        }
    }
    (all, Failures(failures))
}
