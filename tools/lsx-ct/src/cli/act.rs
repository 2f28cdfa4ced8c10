//! The verbs that act on instances: which ones, on which hosts, and one answer for each.

use super::hear::Teller;
use super::targets::{Targets, Where, targets};
use crate::Ct;
use crate::act::{self, Acted, Order, Target, Top};
use clap::Args;
use common::cli::Global;
use common::fleet;
use common::stdio::Output;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Which instances.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OnArgs {
    /// The hosts of this stack; absent: of $LSX_STACK, else of stack.yaml here, else this host
    #[arg(long, value_name = "FILE")]
    pub(super) stack: Option<PathBuf>,
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
}

/// Flags of `start`, and of its sisters.
#[derive(Debug, Args)]
pub(super) struct ActArgs {
    /// Instances by name, or by pattern, as 'web*'; with several stacks on a host as STACK/NAME
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// How many at once on a host
    #[arg(long, value_name = "N", default_value_t = 8)]
    max_parallel: usize,
}

/// Flags of `stop` and `restart`.
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    act: ActArgs,
    /// How long an instance has to end by itself before it is killed; 10s when absent
    #[arg(long, visible_alias = "timeout", value_name = "TIME", value_parser = common::cli::duration)]
    grace: Option<Duration>,
}

/// Flags of `wait`.
#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    act: ActArgs,
    /// How long, as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = common::cli::duration)]
    timeout: Duration,
}

/// What the four verbs are told.
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
    /// Instances by their keys in the stack
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// The stack file, YAML or JSON; absent: what comes by a pipe, else $LSX_STACK, else stack.yaml here
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    /// Leave this host alone and report it as skipped; may be given several times
    #[arg(long, value_name = "HOST")]
    offline: Vec<String>,
}

/// Flags of `top`.
#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Instances by name, or by pattern; absent: all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// Measure once, also on a terminal
    #[arg(long)]
    once: bool,
}

/// Flags of `logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Instances by name, or by pattern
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// The last lines of each; absent: 100, with --since all
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Go on with what is written from now on, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only lines from a time on, as 2026-11-26T03:00:00Z, or of the last 90s or 5m; LXD and Incus know no times
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// Only what was written, without JSON; of several instances with their names in front
    #[arg(long)]
    plain: bool,
    /// With --plain on a terminal: control characters as they were written, such as colours
    #[arg(long, requires = "plain")]
    raw: bool,
}

pub(super) fn act(
    tool: Ct,
    what: &str,
    args: &Acting<'_>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (mut place, targets) = targets(tool, &args.act.on, &args.act.names, global)?;
    // `up` and `down` must not find an instance stopped or started under their hands.
    let _held = if what == "wait" { Vec::new() } else { place.lock(&targets)? };
    let timeout_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
    let grace_ms = args.grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let order =
        |targets| Order { parallel: args.act.max_parallel, timeout_ms, grace_ms, ..Order::to(targets) };
    let acted: Vec<Acted> = ask(&mut place, what, targets, order, |a: &mut Acted, host| a.host = host, None)?;
    output.emit(&acted)?;
    let failed: Vec<Failure> = acted
        .iter()
        .filter_map(|a| {
            Some(
                Failure::new(Kind::Failed, "ct.act", format!("{}: {}", a.instance, a.why.as_ref()?))
                    .on(&a.host),
            )
        })
        .collect();
    Failures(failed).verdict()
}

pub(super) fn part(
    tool: Ct,
    away: bool,
    args: &PartArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let stack = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
    let scope = ScopeArgs { offline: args.offline.clone(), ..ScopeArgs::default() };
    verb::part(tool, away, stack, scope, &args.names, global, output)
}

/// One measurement; on a terminal one after the other, each in the place of the one before, until somebody ends it.
pub(super) fn top(tool: Ct, args: &TopArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    if args.once || !output.on_terminal() {
        return measure(tool, args, global, output);
    }
    loop {
        // Taken anew each time: instances come and go, and a session of a host has an end.
        measure(tool, args, global, &Output { fresh: true, ..output.people() })?;
    }
}

fn measure(tool: Ct, args: &TopArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let all = vec!["*".to_owned()];
    let (mut place, targets) =
        targets(tool, &args.on, if args.names.is_empty() { &all } else { &args.names }, global)?;
    let order = |targets| Order { parallel: 1, ..Order::to(targets) };
    let rows: Vec<Top> = ask(&mut place, "top", targets, order, |t: &mut Top, host| t.host = host, None)?;
    Ok(output.emit(&rows)?)
}

/// A time, or how long ago, as RFC 3339 in milliseconds: so all times of logs are written, and order by their text.
fn since(text: &str) -> Result<String, String> {
    let at = match common::cli::duration(text) {
        Ok(ago) => common::log::ago(ago),
        Err(_) => common::log::time(text)
            .ok_or_else(|| "write a time as 2026-11-26T03:00:00Z, or 90s, 5m, 1h".to_owned())?,
    };
    Ok(at)
}

pub(super) fn logs(tool: Ct, args: &LogsArgs, global: &Global, output: &Output) -> Result<(), Failures> {
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
    let hear = |host: &str, event| match args.plain {
        true => Teller::lines(host, event).iter().try_for_each(|line| teller.plain(line)),
        false => output.emit(&Teller::lines(host, event)),
    };
    let hear = |host: &str, event| hear(host, event).unwrap_or_else(|e| tracing::warn!("{e}"));
    let hear: Option<Hear<'_>> = args.follow.then_some(&hear);
    let lines = ask(&mut place, "logs", targets, order, |l: &mut act::Line, host| l.host = host, hear)?;
    if args.plain {
        return Ok(lines.iter().try_for_each(|line| teller.plain(line))?);
    }
    if args.follow && lines.is_empty() {
        return Ok(());
    }
    Ok(output.emit(&lines)?)
}

/// Hears what a host says before it answers.
pub(super) type Hear<'a> = &'a (dyn Fn(&str, serde_json::Value) + Sync);

/// Sends an order to every host that has targets; answers in the order of hosts.
pub(super) fn ask<A: DeserializeOwned>(
    place: &mut Where,
    what: &str,
    targets: Targets,
    order: impl Fn(Vec<Target>) -> Order,
    name: impl Fn(&mut A, String),
    hear: Option<Hear<'_>>,
) -> Result<Vec<A>, Failures> {
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
        Where::Fleet(crew) => match hear {
            Some(hear) => crew.hear(what, inputs, &mut |host, event| hear(host, event)),
            None => crew.call(what, inputs),
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
    Failures(failures).verdict()?;
    Ok(all)
}
