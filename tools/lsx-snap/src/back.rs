//! The verbs `restore`, `undo` and `settle` on the operator's machine: which volume of which host, and which snapshot.

use crate::archive::is_name;
use crate::listed::Listed;
use crate::model::{Back, BackAt};
use crate::restore::{Answer, Ask, Order, Turn};
use crate::verbs::{self, Asked, answers};
use crate::{Snap, plan};
use clap::Args;
use common::cli::Global;
use common::stack::hint;
use common::tool::Tool as _;
use common::verb::ScopeArgs;
use common::{Failure, Failures, Kind, document, log};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Flags of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A job of `snap.what`, whose volumes come back as their last snapshots that have all of them; or a snapshot, by the beginning of its name
    #[arg(value_name = "JOB|SNAPSHOT")]
    what: String,
    /// Limit the job to this volume; with a snapshot, the volume that gets its content; may be repeated
    #[arg(long = "volume", value_name = "VOLUME")]
    volumes: Vec<String>,
    /// The folder of the snapshot that is the volume, if lsx-snap has not saved it from this volume
    #[arg(long, value_name = "PATH")]
    from: Option<String>,
    /// Also a snapshot that lacks some of its volume
    #[arg(long)]
    incomplete: bool,
    /// Keep what was restored also if instances are not ready with it
    #[arg(long)]
    keep: bool,
    /// Restore to a new name in this folder of the volume's host instead; it is made, or has the mode 0700
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// With --to: only this file or folder of the volume
    #[arg(long, value_name = "PATH", requires = "to")]
    path: Option<String>,
    #[command(flatten)]
    on: OnArgs,
}

/// Flags of `undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// Volumes
    #[arg(value_name = "VOLUME", required = true)]
    volumes: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
}

/// Flags of `settle`.
#[derive(Debug, Args)]
pub(crate) struct SettleArgs {
    /// Volumes; default: all
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
}

/// Which stack, and which of its hosts.
#[derive(Debug, Args)]
struct OnArgs {
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
}

fn usage(code: &str, message: String, hint: String) -> Failure {
    Failure::new(Kind::Usage, code, message).hint(hint)
}

/// The hosts of volumes, of those that take part.
fn hosts(asked: &Asked, volumes: &BTreeSet<String>) -> Result<BTreeMap<String, BTreeSet<String>>, Failures> {
    let (mut all, mut failures): (BTreeMap<String, BTreeSet<String>>, Vec<Failure>) = Default::default();
    for volume in volumes {
        let here = |host: &&String| plan::is_here(&asked.stack, &asked.resolved, host, volume);
        let mut found = asked.here.iter().filter(here).peekable();
        if found.peek().is_none() {
            let message =
                format!("no host that takes part has a volume {volume} of stack {}", asked.stack.name);
            let known = asked.resolved.volumes.iter().map(|at| at.name.as_str());
            failures.push(usage("usage.volume", message, hint(volume, known)));
        }
        found.for_each(|host| _ = all.entry(host.clone()).or_default().insert(volume.clone()));
    }
    Failures(failures).verdict().map(|()| all)
}

/// The volumes that are meant, and the snapshot.
fn meant(args: &RestoreArgs, asked: &mut Asked) -> Result<(BTreeSet<String>, Option<String>), Failures> {
    let own: BTreeSet<String> = args.volumes.iter().cloned().collect();
    let jobs = asked.stack.snap.as_ref().map(|snap| snap.what.clone()).unwrap_or_default();
    if let Some(job) = jobs.get(&args.what) {
        let said = if job.volumes.is_empty() { vec![args.what.clone()] } else { job.volumes.clone() };
        let other = own.iter().find(|volume| !said.contains(volume));
        if let Some(other) = other {
            let message = format!("snapshot job {} has no volume {other}", args.what);
            return Err(usage("usage.volume", message, hint(other, said.iter().map(String::as_str))).into());
        }
        return Ok((if own.is_empty() { said.into_iter().collect() } else { own }, None));
    }
    if !is_name(&args.what) {
        let message = format!("{} is no snapshot job, and no name of a snapshot", args.what);
        return Err(usage("usage.job", message, hint(&args.what, jobs.keys().map(String::as_str))).into());
    }
    let snapshot = Some(args.what.clone());
    if own.len() > 1 {
        let message = "a snapshot is one of one volume".to_owned();
        return Err(usage("usage.volume", message, "name one --volume".to_owned()).into());
    }
    if !own.is_empty() {
        return Ok((own, snapshot));
    }
    let orders = asked.here.iter().map(|host| (host.clone(), asked.order(None))).collect();
    let mut failures = Vec::new();
    let listed = answers::<Listed>(&mut asked.hosts, ("list", orders), &mut failures);
    let all = listed.values().flat_map(|listed| &listed.snapshots).map(|one| &one.snapshot);
    let found: BTreeSet<String> =
        all.filter(|one| one.id.starts_with(&args.what)).map(|one| one.volume.clone()).collect();
    match found.len() {
        1 => Ok((found, snapshot)),
        0 => {
            let message = format!("stack {} has no snapshot {}", asked.stack.name, args.what);
            failures.insert(
                0,
                usage(
                    "usage.snapshot",
                    message,
                    "`lsx-snap list` shows them; name the --volume for one that lsx-snap has not made"
                        .to_owned(),
                ),
            );
            Err(Failures(failures))
        }
        _ => {
            let message = format!("several snapshots have names that begin with {}", args.what);
            Err(usage("usage.snapshot", message, "write more of it".to_owned()).into())
        }
    }
}

/// Restores volumes.
///
/// # Errors
/// Those of each host: its volumes are then as they were.
pub(crate) fn restore(args: &RestoreArgs, global: &Global) -> Result<(), Failures> {
    if let Some(to) = args.to.as_ref().filter(|to| !to.is_absolute()) {
        let message = format!("{} is no absolute path", to.display());
        return Err(usage("usage.to", message, "the folder is on the volume's host".to_owned()).into());
    }
    let mut asked = verbs::asked(&[], args.on.stack.as_ref(), &args.on.scope, global)?;
    let (volumes, snapshot) = meant(args, &mut asked)?;
    let hosts = hosts(&asked, &volumes)?;
    if args.to.is_some() && volumes.len() > 1 {
        let message = "one volume is restored to a folder".to_owned();
        return Err(usage("usage.volume", message, "name one --volume".to_owned()).into());
    }
    let ask = |volume: &String| Ask {
        volume: volume.clone(),
        snapshot: snapshot.clone(),
        from: args.from.clone(),
        path: args.path.clone(),
        incomplete: args.incomplete,
    };
    let order = |volumes: &BTreeSet<String>| Order {
        stack: asked.stack.name.clone(),
        volumes: volumes.iter().map(ask).collect(),
        keep: args.keep,
        to: args.to.as_ref().map(|to| to.display().to_string()),
    };
    let orders = hosts.iter().map(|(host, volumes)| (host.clone(), order(volumes))).collect();
    done("restore", asked, orders, global)
}

/// Undoes restores.
///
/// # Errors
/// As [`restore`].
pub(crate) fn undo(args: &UndoArgs, global: &Global) -> Result<(), Failures> {
    let asked = verbs::asked(&[], args.on.stack.as_ref(), &args.on.scope, global)?;
    let hosts = hosts(&asked, &args.volumes.iter().cloned().collect())?;
    let stack = asked.stack.name.clone();
    let order = |volumes| Turn { stack: stack.clone(), volumes };
    let orders = hosts.into_iter().map(|(host, volumes)| (host, order(volumes))).collect();
    done("undo", asked, orders, global)
}

/// Removes what restores keep.
///
/// # Errors
/// As [`restore`].
pub(crate) fn settle(args: &SettleArgs, global: &Global) -> Result<(), Failures> {
    let asked = verbs::asked(&[], args.on.stack.as_ref(), &args.on.scope, global)?;
    let volumes: BTreeSet<String> = args.volumes.iter().cloned().collect();
    let hosts = if volumes.is_empty() {
        asked.here.iter().map(|host| (host.clone(), BTreeSet::new())).collect()
    } else {
        hosts(&asked, &volumes)?
    };
    let stack = asked.stack.name.clone();
    let order = |volumes| Turn { stack: stack.clone(), volumes };
    let orders = hosts.into_iter().map(|(host, volumes)| (host, order(volumes))).collect();
    done("settle", asked, orders, global)
}

/// Asks hosts while their volumes neither move nor are saved, and prints what they did.
fn done(
    verb: &str,
    asked: Asked,
    orders: BTreeMap<String, impl Serialize>,
    global: &Global,
) -> Result<(), Failures> {
    let (mut hosts, stack) = (asked.hosts.renewing(), asked.stack.name);
    hosts.lock(&stack, &["store", Snap::NAME], &orders.keys().cloned().collect())?;
    let (mut volumes, mut failures) = (Vec::new(), Vec::new());
    for (host, answer) in answers::<Answer>(&mut hosts, (verb, orders), &mut failures) {
        volumes.extend(answer.volumes.into_iter().map(|one| BackAt { host: host.clone(), ..one }));
        answer.warnings.iter().for_each(|warning| log::warning(&format!("{host}: {}", warning.message)));
    }
    let (schema, verb) = (document::schema(Snap::NAME, "back"), verb.to_owned());
    if !volumes.is_empty() || failures.is_empty() {
        global.output(Snap::TABLES).emit(&[Back { schema, stack, verb, volumes }])?;
    }
    Failures(failures).verdict()
}
