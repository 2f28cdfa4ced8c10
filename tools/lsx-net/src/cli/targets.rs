//! The verb `probe`: targets from words, lines or a stack; one result for each.

use super::ProbeArgs;
use crate::netlink::namespace;
use crate::observe::io_failure;
use crate::probe::{self, Outcome, Probe, Problem, StatusRule, Target};
use common::stdio::{self, Output};
use common::verb::StackArgs;
use common::{Failure, Failures, Kind, document, log, verb};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::os::fd::{AsFd, OwnedFd};

/// One result, in its envelope.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Probed {
    /// `lsx.net.probe/1`.
    schema: String,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) fn probe(args: &ProbeArgs, output: &Output) -> Result<(), Failures> {
    let mut targets = match &args.stack {
        Some(path) => of_stack(path)?,
        None if args.targets.is_empty() => lines(&stdio::read(None)?.0)?,
        None => words(&args.targets)?,
    };
    let mut failures: Vec<Failure> = Vec::new();
    for target in &mut targets {
        failures.extend(adjust(target, args).and_then(|()| target.check()).err().map(wrong));
    }
    Failures(failures).verdict()?;
    let space = args.netns.as_deref().map(space).transpose()?;
    let run = || probe::run_all(&targets, args.max_parallel);
    let outcomes = match space {
        Some(space) => {
            namespace::inside(space.as_fd(), run).map_err(|e| io_failure("enter the namespace", &e))?
        }
        None => run(),
    };
    verdict(outcomes, output)
}

fn verdict(outcomes: Vec<Outcome>, output: &Output) -> Result<(), Failures> {
    let (tried, failed) = (outcomes.len(), outcomes.iter().filter(|o| !o.ok).count());
    outcomes.iter().filter_map(ending).for_each(|message| log::warning(&message));
    let schema = document::schema("net", "probe");
    let lines: Vec<Probed> =
        outcomes.into_iter().map(|outcome| Probed { schema: schema.clone(), outcome }).collect();
    output.emit(&lines)?;
    match (tried, failed) {
        (0, _) => {
            Err(Failure::new(Kind::Failed, "net.probe.nothing", "no target given, so nothing was probed")
                .into())
        }
        (_, 0) => Ok(()),
        _ => {
            Err(Failure::new(Kind::Failed, "net.probe", format!("{failed} of {tried} targets failed")).into())
        }
    }
}

/// The warning for a good certificate that expires soon.
fn ending(outcome: &Outcome) -> Option<String> {
    let days = outcome.days_left.filter(|days| outcome.ok && *days < probe::DAYS_LEFT)?;
    let until = outcome.not_after.as_deref().unwrap_or_default();
    Some(format!("{}: the certificate of the server expires in {days} days, at {until}", outcome.target))
}

fn wrong(problem: Problem) -> Failure {
    let failure = Failure::new(Kind::Usage, "usage.target", problem.message);
    match problem.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn words(words: &[String]) -> Result<Vec<Target>, Failures> {
    let (good, bad): (Vec<_>, Vec<_>) = words.iter().map(|w| w.parse::<Target>()).partition(Result::is_ok);
    Failures(bad.into_iter().filter_map(Result::err).map(wrong).collect()).verdict()?;
    Ok(good.into_iter().flatten().collect())
}

/// One target per line: a JSON object, or the short form.
fn lines(text: &str) -> Result<Vec<Target>, Failures> {
    let mut targets = Vec::new();
    let mut failures = Vec::new();
    for (i, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.is_empty()) {
        let target = match line.starts_with('{') {
            true => serde_json::from_str::<Target>(line).map_err(|e| e.to_string()),
            false => line.parse::<Target>().map_err(|p| p.to_string()),
        };
        match target {
            Ok(target) => targets.push(target),
            Err(why) => {
                failures.push(Failure::new(Kind::Data, "net.probe.target", format!("line {i}: {why}")))
            }
        }
    }
    Failures(failures).verdict()?;
    Ok(targets)
}

/// Every interface of every instance.
fn of_stack(path: &std::path::Path) -> Result<Vec<Target>, Failures> {
    let args = StackArgs { input: Some(path.to_owned()), ..StackArgs::default() };
    let (_, resolved) = verb::read_stack(&args)?;
    let nics = resolved.instances.iter().flat_map(|i| i.nics.iter().map(move |n| (i, n)));
    Ok(nics
        .map(|(instance, nic)| Target {
            name: Some(format!("{}.{}", instance.name, nic.network)),
            ..Target::new(Probe::Icmp(probe::Icmp::default()), nic.address.addr().to_string())
        })
        .collect())
}

/// Applies the flags to a target, as far as they concern its kind of probe.
fn adjust(target: &mut Target, args: &ProbeArgs) -> Result<(), Problem> {
    if let Some(timeout) = args.timeout {
        target.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    }
    match &mut target.probe {
        Probe::Icmp(icmp) => {
            icmp.count = args.count.unwrap_or(icmp.count);
            icmp.size_bytes = args.size.unwrap_or(icmp.size_bytes);
            icmp.df |= args.df;
        }
        Probe::Banner(_) => target.expect.banner.extend(args.banner.iter().cloned()),
        Probe::Http(http) => {
            if http.tls {
                let ca = args.ca.as_ref().map(|path| path.to_string_lossy().into_owned());
                http.ca = ca.or_else(|| http.ca.take());
                http.server_name = args.server_name.clone().or_else(|| http.server_name.take());
            }
            if let Some(status) = &args.status {
                let rule: StatusRule =
                    serde_json::from_value(Value::String(status.clone())).map_err(|e| {
                        Problem::new(format!("--status {status}: {e}"))
                            .hint("write 200, or 2xx for all of them")
                    })?;
                target.expect.status.push(rule);
            }
            for header in &args.header {
                let (name, prefix) = header.split_once('=').unwrap_or((header, ""));
                target.expect.headers.insert(name.to_owned(), prefix.to_owned());
            }
        }
        Probe::Tcp(_) => {}
    }
    Ok(())
}

fn space(path: &std::path::Path) -> Result<OwnedFd, Failure> {
    let name = path.to_string_lossy();
    let place = if path.is_absolute() {
        namespace::NamespaceRef::Path(path)
    } else {
        namespace::NamespaceRef::Name(&name)
    };
    namespace::open(place).map_err(|e| io_failure(&format!("open the network namespace {name}"), &e))
}
