//! Selects instances and their hosts.

use crate::Ct;
use crate::act::{self, Target};
use clap::Args;
use common::cli::Global;
use common::host::{Lock, name as host_name, root};
use common::stack::{Stack, hint};
use common::tool::Tool;
use common::verb::{self, HostSet, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Selects instances.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OnArgs {
    /// The stack file; default: a document from a pipe where a verb plans, else $LSX_STACK, else ./stack.yaml, else this host
    /// where a verb acts on instances
    #[arg(long, value_name = "FILE")]
    pub(super) stack: Option<PathBuf>,
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
}

/// Where instances are.
pub(super) enum Where {
    /// On this host.
    Here,
    /// On the hosts of a stack.
    Fleet(Box<HostSet<Ct>>),
}

impl Where {
    /// Takes the locks of the targets' stacks on all their hosts or on none, waiting a little for other runs. Those of this
    /// host are held until they are dropped, those of other hosts until the host_set is dropped.
    pub(super) fn lock(&mut self, targets: &Targets) -> Result<Vec<Lock>, Failures> {
        let stacks: BTreeSet<&str> = targets.values().flatten().map(|target| target.stack.as_str()).collect();
        let never = AtomicBool::new(false);
        match self {
            Where::Here => {
                let take =
                    |stack| Lock::wait(stack, Ct::NAME, verb::LOCK_WAIT, &never).map_err(Failures::from);
                stacks.into_iter().map(take).collect()
            }
            Where::Fleet(host_set) => {
                let hosts = targets.keys().cloned().collect();
                stacks
                    .into_iter()
                    .try_for_each(|stack| host_set.lock(stack, &[Ct::NAME], &hosts))
                    .map(|()| Vec::new())
            }
        }
    }
}

/// Targets by host.
pub(super) type Targets = BTreeMap<String, Vec<Target>>;

/// The instances that fit the patterns; all if there is none.
pub(super) fn targets(
    tool: &Ct,
    on: &OnArgs,
    patterns: &[String],
    global: &Global,
) -> Result<(Where, Targets), Failures> {
    with_document(tool, on, patterns, global).map(|(place, targets, _)| (place, targets))
}

/// The document of the targets, and its source.
pub(super) type Document = Option<(Stack, StackArgs)>;

/// The same, with the document.
pub(super) fn with_document(
    tool: &Ct,
    on: &OnArgs,
    patterns: &[String],
    global: &Global,
) -> Result<(Where, Targets, Document), Failures> {
    let Some(input) = on.stack.clone().or_else(verb::usual_stack) else {
        on.scope.of_this_host()?;
        return Ok((Where::Here, here(patterns)?, None));
    };
    let from = StackArgs { input: Some(input), ..StackArgs::default() };
    let (stack, resolved, only, host_set) = verb::host_set_of(tool, &from, &on.scope, global)?;
    let mut targets = Targets::new();
    let mut used = vec![false; patterns.len()];
    for at in &resolved.instances {
        let fits = |p: &String| matches(p, &at.name) || *p == at.of;
        match patterns.iter().position(fits) {
            Some(n) => used[n] = true,
            None if patterns.is_empty() => {}
            None => continue,
        }
        if host_set.has(&at.host) && only.instance(&at.of, &at.name) {
            let target = Target { stack: resolved.stack.clone(), name: at.name.clone() };
            targets.entry(at.host.clone()).or_default().push(target);
        }
    }
    let names: Vec<&str> = resolved.instances.iter().map(|at| at.name.as_str()).collect();
    unknown(patterns, &used, &format!("stack {}", resolved.stack), &names)?;
    Ok((Where::Fleet(Box::new(host_set)), targets, Some((stack, from))))
}

pub(super) fn hosts(tool: &Ct, on: &OnArgs, global: &Global) -> Result<(Where, Targets), Failures> {
    let own = || vec![Target::default()];
    let Some(input) = on.stack.clone().or_else(verb::usual_stack) else {
        on.scope.of_this_host()?;
        root()?;
        return Ok((Where::Here, Targets::from([(host_name(), own())])));
    };
    let stack = StackArgs { input: Some(input), ..StackArgs::default() };
    let (_, resolved, _, host_set) = verb::host_set_of(tool, &stack, &on.scope, global)?;
    let taking_part = resolved.hosts.iter().filter(|h| host_set.has(&h.name));
    let targets = taking_part.map(|h| (h.name.clone(), own())).collect();
    Ok((Where::Fleet(Box::new(host_set)), targets))
}

/// Instances of this host, by NAME or STACK/NAME; a name used by two stacks needs the stack.
fn here(patterns: &[String]) -> Result<Targets, Failures> {
    root()?;
    let all = act::all(None)?;
    let mut targets: Vec<Target> = Vec::new();
    let mut used = vec![false; patterns.len()];
    for (_, found) in &all {
        let whole = format!("{}/{}", found.stack, found.name);
        let fits = |p: &String| if p.contains('/') { matches(p, &whole) } else { matches(p, &found.name) };
        let n = patterns.iter().position(fits);
        match n {
            Some(n) => used[n] = true,
            None if patterns.is_empty() => {}
            None => continue,
        }
        let plain = n.is_some_and(|n| !patterns[n].contains(['*', '?', '/']));
        if plain && targets.iter().any(|t| t.name == found.name) {
            let message = format!("several stacks have an instance {}", found.name);
            return Err(Failure::new(Kind::Usage, "usage.name", message)
                .hint(format!("write {whole}"))
                .into());
        }
        targets.push(Target { stack: found.stack.clone(), name: found.name.clone() });
    }
    let names: Vec<&str> = all.iter().map(|(_, found)| found.name.as_str()).collect();
    unknown(patterns, &used, "this host", &names)?;
    Ok(Targets::from([(host_name(), targets)]))
}

fn unknown(patterns: &[String], used: &[bool], place: &str, names: &[&str]) -> Result<(), Failures> {
    let unused = patterns.iter().zip(used).filter(|(_, used)| !**used);
    let failures = unused.map(|(pattern, _)| {
        let message = format!("{place} has no instance {pattern}");
        Failure::new(Kind::Usage, "usage.name", message).hint(hint(pattern, names.iter().copied()))
    });
    Failures(failures.collect()).verdict()
}

/// A shell pattern with `*` and `?`, which must match the whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    for c in pattern {
        let before = fits.clone();
        for i in 0..=name.len() {
            let one = i > 0 && before[i - 1] && (c == '?' || c == name[i - 1]);
            fits[i] = if c == '*' { before[..=i].contains(&true) } else { one };
        }
    }
    fits[name.len()]
}

pub(super) fn no_target() -> Failures {
    Failure::new(Kind::Usage, "usage.on", "an instance or host, or a program, is missing")
        .hint("example: exec db date; several instances: --on 'web*'; hosts: --hosts; terminal: -t NAME")
        .into()
}

/// The program and its arguments, from what follows the instance.
pub(super) fn program(mut words: Vec<String>) -> Result<Vec<String>, Failures> {
    match words.first() {
        Some(first) if first == "--" => _ = words.remove(0),
        Some(flag) if flag.starts_with('-') => {
            let message = format!("`{flag}` follows the instance, where the program is expected");
            let hint = "flags come before the instance: lsx-ct exec --stack FILE NAME -- PROGRAM";
            return Err(Failure::new(Kind::Usage, "usage.on", message).hint(hint).into());
        }
        _ => {}
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_pattern_fits_whole_names() {
        for (pattern, name) in
            [("web*", "web-1"), ("web", "web"), ("*", ""), ("w?b", "web"), ("*/web*", "office/web-2")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("web", "web-1"), ("web", "aweb"), ("?", ""), ("w*b", "web-1")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
