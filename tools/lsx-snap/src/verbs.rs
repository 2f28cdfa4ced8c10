//! The verbs `take` and `list`, on the operator's machine.

use crate::listed::Listed;
use crate::model::{List, ListAt, Taken, TakenAt};
use crate::take::{Answer, Order};
use crate::{Snap, plan, secrets};
use clap::Args;
use common::cli::Global;
use common::stack::{Resolved, Stack};
use common::tool::Tool as _;
use common::verb::{self, HostSet, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind, document, fleet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Flags of `take`.
#[derive(Debug, Args)]
pub(crate) struct TakeArgs {
    /// Jobs of `snap.what`; default: all
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Limit the list to this volume
    #[arg(value_name = "VOLUME")]
    volume: Option<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// The stack, its selected jobs, and the hosts that take part.
pub(crate) struct Asked {
    pub(crate) stack: Stack,
    pub(crate) resolved: Resolved,
    from: StackArgs,
    jobs: BTreeSet<String>,
    pub(crate) hosts: HostSet<Snap>,
    pub(crate) here: BTreeSet<String>,
}

impl Asked {
    /// What a host is asked.
    pub(crate) fn order(&self, wanted: Option<String>) -> Order {
        Order { stack: self.stack.name.clone(), jobs: self.jobs.clone(), wanted }
    }

    /// The same, with what the document says of the jobs there: a host that has not got it does not take something else.
    fn orders(&self) -> Result<BTreeMap<String, Order>, Failures> {
        let jobs = self.stack.snap.iter().flat_map(|snap| &snap.what);
        let needed: BTreeSet<&String> =
            jobs.filter(|(name, _)| self.jobs.contains(*name)).flat_map(|(_, job)| &job.to).collect();
        let beside = |path: &str| PathBuf::from(self.from.beside(path));
        let keys = secrets::of_stack(&self.stack, &|name| needed.iter().any(|one| *one == name), &beside)?;
        let wanted = |host: &String| {
            let intent = plan::wanted(&self.stack, &self.resolved, host, &keys);
            intent.and_then(|intent| plan::narrowed(intent, &self.jobs)).as_ref().map(plan::key)
        };
        Ok(self.here.iter().map(|host| (host.clone(), self.order(wanted(host)))).collect())
    }
}

/// The stack, and the jobs that are named.
///
/// # Errors
/// Those of the document; no such job.
pub(crate) fn asked(
    named: &[String],
    stack: Option<&PathBuf>,
    scope: &ScopeArgs,
    global: &Global,
) -> Result<Asked, Failures> {
    let from = StackArgs { input: stack.cloned(), ..StackArgs::default() };
    let (document, resolved, only, hosts) = verb::host_set_of(&Snap, &from, scope, global)?;
    let all: BTreeSet<String> = document.snap.iter().flat_map(|snap| snap.what.keys()).cloned().collect();
    let unknown = named.iter().filter(|name| !all.contains(*name)).map(|name| {
        let message = format!("stack {} has no snapshot job {name}", document.name);
        let known: Vec<&str> = all.iter().map(String::as_str).collect();
        let hint = if known.is_empty() {
            "write snap.what".to_owned()
        } else {
            format!("it has {}", known.join(", "))
        };
        Failure::new(Kind::Usage, "usage.job", message).hint(hint)
    });
    Failures(unknown.collect()).verdict()?;
    if all.is_empty() {
        let message = format!("stack {} has no snapshot jobs", document.name);
        return Err(Failure::new(Kind::Data, "snap.none", message).hint("write snap.what").into());
    }
    let meant = |name: &String| only.kept(name) && (named.is_empty() || named.contains(name));
    let jobs = all.into_iter().filter(meant).collect();
    let here = resolved.hosts.iter().filter(|host| hosts.has(&host.name)).map(|host| host.name.clone());
    let here = here.collect();
    Ok(Asked { stack: document, resolved, from, jobs, hosts, here })
}

/// Asks hosts, and shows what went wrong after what went well.
pub(crate) fn answers<A: DeserializeOwned>(
    hosts: &mut HostSet<Snap>,
    (call, orders): (&str, BTreeMap<String, impl Serialize>),
    failures: &mut Vec<Failure>,
) -> BTreeMap<String, A> {
    let asked: BTreeMap<String, Value> =
        orders.into_iter().map(|(host, order)| (host, json!(order))).collect();
    let mut all = BTreeMap::new();
    // Events only say that a host is at work.
    for (host, answer) in hosts.hear(call, asked, &mut |_, _| {}) {
        match answer.and_then(|answer| Ok(fleet::shape::<A>(answer)?)) {
            Ok(answer) => _ = all.insert(host, answer),
            Err(wrong) => failures.extend(wrong.0.into_iter().map(|failure| failure.on(&host))),
        }
    }
    all
}

/// Runs snapshot jobs.
///
/// # Errors
/// Everything that was not saved.
pub(crate) fn take(args: &TakeArgs, global: &Global) -> Result<(), Failures> {
    let asked = asked(&args.jobs, args.stack.as_ref(), &args.scope, global)?;
    let orders = asked.orders()?;
    let (mut hosts, stack) = (asked.hosts.renewing(), asked.stack.name);
    hosts.lock(&stack, &[Snap::NAME], &asked.here)?;
    let (mut snapshots, mut failures) = (Vec::new(), Vec::new());
    for (host, answer) in answers::<Answer>(&mut hosts, ("take", orders), &mut failures) {
        snapshots.extend(answer.snapshots.into_iter().map(|one| TakenAt { host: host.clone(), ..one }));
        failures.extend(answer.failures.into_iter().map(|failure| failure.on(&host)));
    }
    if snapshots.is_empty() && failures.is_empty() {
        let message = format!("no host has a volume of these snapshot jobs of stack {stack}");
        failures.push(Failure::new(Kind::Failed, "snap.none", message).hint("do their hosts take part?"));
    }
    let schema = document::schema(Snap::NAME, "taken");
    global.output(Snap::TABLES).emit(&[Taken { schema, stack, snapshots }])?;
    Failures(failures).verdict()
}

/// Lists snapshots.
///
/// # Errors
/// Repositories that cannot be read.
pub(crate) fn list(args: &ListArgs, global: &Global) -> Result<(), Failures> {
    let mut asked = asked(&[], args.stack.as_ref(), &args.scope, global)?;
    let orders = asked.here.iter().map(|host| (host.clone(), asked.order(None))).collect();
    let (mut snapshots, mut failures) = (Vec::new(), Vec::new());
    for (host, answer) in answers::<Listed>(&mut asked.hosts, ("list", orders), &mut failures) {
        let meant = |one: &ListAt| args.volume.as_ref().is_none_or(|volume| one.snapshot.volume == *volume);
        let at = answer.snapshots.into_iter().filter(meant);
        snapshots.extend(at.map(|one| ListAt { host: host.clone(), ..one }));
        failures.extend(answer.failures.into_iter().map(|failure| failure.on(&host)));
    }
    let (schema, stack) = (document::schema(Snap::NAME, "list"), asked.stack.name);
    global.output(Snap::TABLES).emit(&[List { schema, stack, snapshots }])?;
    Failures(failures).verdict()
}
