//! The verbs `move` and `drain`: a plan in which instances run on other hosts than the document says.

use crate::Ct;
use clap::Args;
use common::cli::Global;
use common::log;
use common::stack::{Resolved, Stack};
use common::stdio::Output;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Flags of `move`.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// The instance by its key in the stack
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it shall run
    #[arg(value_name = "HOST")]
    host: String,
    /// The stack file; absent: what comes by a pipe, else $LSX_STACK, else stack.yaml here
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Flags of `drain`.
#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// The host that shall run nothing of the stack
    #[arg(value_name = "HOST")]
    host: String,
    /// Where its instances go; may be given several times; absent: to the others, those with the fewest first
    #[arg(long, value_name = "HOST")]
    to: Vec<String>,
    /// The stack file; absent: what comes by a pipe, else $LSX_STACK, else stack.yaml here
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// A key of the stack, and what the document would have to say.
type Setting = (String, String);

pub(super) fn one(tool: Ct, args: &MoveArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let from = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
    let (stack, resolved) = verb::read_stack(&from)?;
    known(&resolved, &args.host)?;
    let instance = stack.instances.get(&args.name).ok_or_else(|| unknown(&stack, &args.name))?;
    if !instance.hosts.is_empty() || instance.count.is_some_and(|count| count > 1) {
        let message = format!("{} has several replicas", args.name);
        let hint =
            format!("write its hosts anew in the document, or: lsx-ct drain {}", instance.hosts.join(" or "));
        return Err(Failure::new(Kind::Usage, "usage.name", message).hint(hint).into());
    }
    plan(tool, from, vec![(args.name.clone(), format!("host={}", args.host))], global, output)
}

pub(super) fn all(tool: Ct, args: &DrainArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let from = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
    let (stack, resolved) = verb::read_stack(&from)?;
    args.to.iter().chain([&args.host]).try_for_each(|host| known(&resolved, host))?;
    let settings = drained(&stack, &resolved, &args.host, &args.to)?;
    for network in resolved.networks.iter().filter(|n| n.gateway.as_deref() == Some(args.host.as_str())) {
        log::warning(&format!("{} stays the gateway of network {}", args.host, network.name));
    }
    plan(tool, from, settings, global, output)
}

/// What the document would have to say for a host to run nothing: each instance goes to whoever has the fewest.
fn drained(stack: &Stack, resolved: &Resolved, host: &str, to: &[String]) -> Result<Vec<Setting>, Failure> {
    let count = |name: &str| resolved.instances.iter().filter(|at| at.host == name).count();
    let mut others: BTreeMap<&str, usize> = resolved
        .hosts
        .iter()
        .filter(|h| h.name != host && !h.offline && (to.is_empty() || to.contains(&h.name)))
        .map(|h| (h.name.as_str(), count(&h.name)))
        .collect();
    let mut settings = Vec::new();
    for (key, instance) in &stack.instances {
        let here = resolved.instances.iter().filter(|at| at.of == *key && at.host == host).count();
        if here == 0 {
            continue;
        }
        let Some((next, load)) = others.iter_mut().min_by_key(|(_, load)| **load) else {
            return Err(Failure::new(
                Kind::Usage,
                "usage.host",
                format!("{host} has no other host to drain to"),
            )
            .hint("name one that takes part: --to HOST"));
        };
        *load += here;
        let list: Vec<&str> =
            instance.hosts.iter().map(|name| if name == host { next } else { name.as_str() }).collect();
        let value =
            if list.is_empty() { format!("host={next}") } else { format!("hosts=[{}]", list.join(", ")) };
        settings.push((key.clone(), value));
    }
    Ok(settings)
}

/// The plan, and the one command that does it with the networks.
fn plan(
    tool: Ct,
    from: StackArgs,
    settings: Vec<Setting>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    if settings.is_empty() {
        log::note("nothing runs there");
    }
    let set: Vec<String> = settings.iter().map(|(key, value)| format!("instances.{key}.{value}")).collect();
    let only = settings.iter().map(|(key, _)| format!("instances.{key}")).collect::<Vec<_>>().join(",");
    let file = from.input.as_ref().map(|file| format!(" {}", file.display())).unwrap_or_default();
    let flags: String = set.iter().map(|set| format!(" --set '{set}'")).collect();
    if !set.is_empty() {
        log::note(&format!("networks and instances together: lsx up{file}{flags} --allow-move"));
        log::note("write it into the document, too: what another `up` finds there is what counts");
    }
    let scope = ScopeArgs { only: Some(only).filter(|only| !only.is_empty()), ..ScopeArgs::default() };
    verb::plan_moved(tool, StackArgs { set, ..from }, scope, global, output)
}

fn known(resolved: &Resolved, host: &str) -> Result<(), Failure> {
    if resolved.hosts.iter().any(|h| h.name == host) {
        return Ok(());
    }
    let names: Vec<&str> = resolved.hosts.iter().map(|h| h.name.as_str()).collect();
    Err(Failure::new(Kind::Usage, "usage.host", format!("no host {host}; the stack has {}", names.join(" "))))
}

fn unknown(stack: &Stack, name: &str) -> Failure {
    let names: Vec<&str> = stack.instances.keys().map(String::as_str).collect();
    Failure::new(Kind::Usage, "usage.name", format!("stack {} has no instance {name}", stack.name))
        .hint(format!("it has {}", names.join(" ")))
}
