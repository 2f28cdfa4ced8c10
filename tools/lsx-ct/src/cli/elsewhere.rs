//! The verbs `move` and `drain`: a plan in which instances run on other hosts than in the document.

use crate::Ct;
use clap::Args;
use common::cli::Global;
use common::log;
use common::stack::{Resolved, Stack, hint};
use common::stdio::Output;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Flags of `move`.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// The instance, by its key in the stack
    #[arg(value_name = "NAME")]
    name: String,
    /// The host to move it to
    #[arg(value_name = "HOST")]
    host: String,
    /// The stack file; default: a document from a pipe where a verb plans, else $LSX_STACK, else ./stack.yaml, else this host
    /// where a verb acts on instances
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Flags of `drain`.
#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// The host to empty
    #[arg(value_name = "HOST")]
    host: String,
    /// Host to move instances to; may be repeated; default: the other hosts, those with the fewest instances first
    #[arg(long, value_name = "HOST")]
    to: Vec<String>,
    /// The stack file; default: a document from a pipe where a verb plans, else $LSX_STACK, else ./stack.yaml, else this host
    /// where a verb acts on instances
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// A key of the stack, and its new value.
type Setting = (String, String);

pub(super) fn one(tool: &Ct, args: &MoveArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let from = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
    let (stack, resolved) = verb::read_stack(&from)?;
    known(&resolved, &args.host)?;
    let instance = stack.instances.get(&args.name).ok_or_else(|| unknown(&stack, &args.name))?;
    if !instance.hosts.is_empty() || instance.count.is_some_and(|count| count > 1) {
        let message = format!("{} has several replicas", args.name);
        let hint =
            format!("change its hosts in the document, or use: lsx-ct drain {}", instance.hosts.join(" or "));
        return Err(Failure::new(Kind::Usage, "usage.name", message).hint(hint).into());
    }
    let setting = (args.name.clone(), format!("host={}", args.host));
    if resolved.instances.iter().any(|at| at.of == args.name && at.host == args.host) {
        log::note(&format!("{} is already on {} in the document", args.name, args.host));
        return plan(tool, from, &[setting], false, global, output);
    }
    plan(tool, from, &[setting], true, global, output)
}

pub(super) fn all(tool: &Ct, args: &DrainArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let from = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
    let (stack, resolved) = verb::read_stack(&from)?;
    args.to.iter().chain([&args.host]).try_for_each(|host| known(&resolved, host))?;
    let settings = drained(&stack, &resolved, &args.host, &args.to)?;
    for network in resolved.networks.iter().filter(|n| n.gateway.as_deref() == Some(args.host.as_str())) {
        log::warning(&format!("{} stays the gateway of network {}", args.host, network.name));
    }
    if settings.is_empty() {
        log::note(&format!("the document has no instance on {}", args.host));
    }
    plan(tool, from, &settings, !settings.is_empty(), global, output)
}

/// The changes of the document that empty a host: each instance is moved to the host with the fewest.
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
                format!("there is no other host for the instances of {host}"),
            )
            .hint("name one with --to HOST"));
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

/// Prints the plan, and if something moves the command that applies it together with the networks.
fn plan(
    tool: &Ct,
    from: StackArgs,
    settings: &[Setting],
    moves: bool,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let set: Vec<String> = settings.iter().map(|(key, value)| format!("instances.{key}.{value}")).collect();
    let only = settings.iter().map(|(key, _)| format!("instances.{key}")).collect::<Vec<_>>().join(",");
    let file = from.input.as_ref().map(|file| format!(" {}", file.display())).unwrap_or_default();
    let flags: String = set.iter().map(|set| format!(" --set '{set}'")).collect();
    let scope = ScopeArgs { only: Some(only).filter(|only| !only.is_empty()), ..ScopeArgs::default() };
    verb::plan_moved(tool, StackArgs { set, ..from }, scope, global, output)?;
    if moves {
        log::note(&format!("to move networks and instances, run: lsx up{file}{flags} --allow-move"));
        log::note("change the document, too, or the next `up` moves them back");
    }
    Ok(())
}

fn known(resolved: &Resolved, host: &str) -> Result<(), Failure> {
    if resolved.hosts.iter().any(|h| h.name == host) {
        return Ok(());
    }
    let names = resolved.hosts.iter().map(|h| h.name.as_str());
    let message = format!("stack {} has no host {host}", resolved.stack);
    Err(Failure::new(Kind::Usage, "usage.host", message).hint(hint(host, names)))
}

fn unknown(stack: &Stack, name: &str) -> Failure {
    let names = stack.instances.keys().map(String::as_str);
    Failure::new(Kind::Usage, "usage.name", format!("stack {} has no instance {name}", stack.name))
        .hint(hint(name, names))
}
