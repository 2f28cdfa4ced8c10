//! The verb `volume move`: a volume goes to another host. Its content is copied while it is used; then its instances are stopped, the last
//! differences are copied until a pass finds none, the copy becomes the volume, and what was the volume is removed.

mod aim;
mod ends;

use crate::Store;
use crate::apply::moved::Ask;
use crate::carry::Entry;
use crate::carry::pass::{Passed, pass};
use crate::model::Moved;
use aim::{Aim, Found, Looked};
use clap::{Args, Subcommand};
use common::cli::Global;
use common::host::wait;
use common::stdio::Output;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs, StackArgs, usual_stack};
use common::{Failure, Failures, Kind, document, log, people, signal};
use ends::Fleet;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Most passes while instances use the volume.
const LIVE: u64 = 5;
/// A pass that has sent fewer bytes is the last one of them.
const SMALL: u64 = 16 << 20;
/// How long passes may go on when nobody uses it. The second one finds nothing, unless a file was changed a moment before.
const LAST: Duration = Duration::from_secs(600);
/// Between those.
const PAUSE: Duration = Duration::from_millis(200);

/// The verbs of `volume`.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// Move a volume to another host, with the instance that uses it, which stops only for the last differences
    Move(MoveArgs),
}

/// Flags of `volume move`.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The volume, by its name in `store.volumes`
    #[arg(value_name = "NAME")]
    name: String,
    /// The host to move it to
    #[arg(value_name = "HOST")]
    host: String,
    /// The stack file; default: $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Moves a volume.
///
/// # Errors
/// Those of the document and of hosts. The volume stays where it is unless the copy is complete.
pub(crate) fn run(args: &MoveArgs, global: &Global) -> Result<(), Failures> {
    let output = global.output(Store::TABLES);
    let file = args.stack.clone().or_else(usual_stack).filter(|file| file.as_os_str() != "-");
    let file = file.ok_or_else(|| {
        Failure::new(Kind::Usage, "usage.stack", "the stack's file is needed")
            .hint("name it with --stack FILE, set LSX_STACK, or change to a folder with a stack.yaml")
    })?;
    let from = StackArgs { input: Some(file.clone()), ..StackArgs::default() };
    let (stack, resolved) = verb::read_stack(&from)?;
    let set = aim::set(&stack, &resolved, &args.name, &args.host)?;
    let to = StackArgs { set: set.clone(), ..from };
    let (stack, resolved, _, hosts) = verb::host_set_of(&Store, &to, &ScopeArgs::default(), global)?;
    aim::arrives(&resolved, &args.name, &args.host)?;
    let mut hosts = hosts.renewing();
    let names: Vec<String> = resolved.hosts.iter().map(|host| host.name.clone()).collect();
    let names: Vec<String> = names.into_iter().filter(|name| hosts.has(name)).collect();
    let seen = look(&mut hosts, &stack.name, &names);
    let found = aim::found(&seen, &args.name, &args.host)?;
    let both: BTreeSet<String> = found.from.iter().chain([&args.host]).cloned().collect();
    hosts.lock(&stack.name, &[Store::NAME], &both)?;
    // Another run may have ended meanwhile.
    let again = look(&mut hosts, &stack.name, &both.iter().cloned().collect::<Vec<_>>());
    let found = aim::found(&again, &args.name, &args.host)?;
    let facts = |host: &str| again.get(host).and_then(|seen| seen.as_ref().ok()).map(|seen| &seen.facts);
    let aim = Aim {
        stack: &stack,
        resolved: &resolved,
        name: &args.name,
        host: &args.host,
        file: &file,
        set: &set,
    };
    let volume = aim.volume(facts(&args.host), &found)?;
    let mut moved = Moved {
        schema: document::schema(Store::NAME, "moved"),
        stack: stack.name.clone(),
        volume: args.name.clone(),
        from: found.from.clone(),
        to: args.host.clone(),
        set: set.clone(),
        ..Moved::default()
    };
    let mut fleet = Fleet::new(hosts, &stack.name, volume, found.from.as_deref(), &args.host);
    let stopped = whole(&mut fleet, &found, &mut moved)?;
    // The verbs that start its instances take the locks.
    drop(fleet);
    aim.start(global).map_err(|failures| aim.told(failures))?;
    moved.stopped_ms = stopped.map_or(0, |at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX));
    told(&moved, &output)
}

fn told(moved: &Moved, output: &Output) -> Result<(), Failures> {
    let (sent, seconds) = (people::size(moved.sent_bytes), moved.stopped_ms.div_ceil(1000));
    let Moved { volume, to, .. } = moved;
    log::note(&format!(
        "volume {volume} is on {to}: {sent} sent, its instances were stopped for {seconds} s"
    ));
    if !moved.set.is_empty() {
        log::note(&format!("change the document, too, or the next `up` refuses: {}", moved.set.join(", ")));
    }
    Ok(output.emit(&[moved])?)
}

fn look(hosts: &mut verb::HostSet<Store>, stack: &str, names: &[String]) -> Looked {
    let ask = Ask::Look { stack: stack.to_owned() };
    let asked = names.iter().map(|name| (name.clone(), serde_json::json!(ask))).collect();
    let answers = hosts.call("move", asked).into_iter();
    answers.map(|(host, answer)| (host, answer.and_then(|seen| Ok(common::fleet::shape(seen)?)))).collect()
}

/// The move, as far as it is not done. Returns when the instances were stopped.
fn whole(fleet: &mut Fleet, found: &Found, moved: &mut Moved) -> Result<Option<Instant>, Failures> {
    if found.from.is_none() {
        log::note(&format!("{} has volume {} already", fleet.to, fleet.volume.name));
        return Ok(None);
    }
    let mut stopped = None;
    if !found.arrived {
        stopped = Some(copied(fleet, moved)?);
    }
    let (stack, name) = fleet.named();
    fleet.source::<serde_json::Value>(&Ask::Gone { stack, name })?;
    Ok(stopped)
}

/// Until the copy is the volume.
fn copied(fleet: &mut Fleet, moved: &mut Moved) -> Result<Instant, Failures> {
    let (stack, name) = fleet.named();
    let (since, new): (i64, bool) = fleet.source(&Ask::Begin { stack: stack.clone(), name: name.clone() })?;
    // A copy that was cut off is one of the time when it was begun.
    let since = *fleet.volume.since.get_or_insert(since);
    fleet.target::<serde_json::Value>(&Ask::Arrive { stack: stack.clone(), volume: fleet.volume.clone() })?;
    for _ in 0..LIVE {
        let passed = once(fleet, moved)?;
        log::note(&format!("copied {} of volume {name}", people::size(passed.sent)));
        if passed.sent < SMALL {
            break;
        }
    }
    let begin = Instant::now();
    let done = halted(fleet, moved, since, new);
    let Err(failures) = done else { return Ok(begin) };
    Err(aim::undone(fleet, moved, failures))
}

/// What is done while nobody uses the volume.
fn halted(fleet: &mut Fleet, moved: &mut Moved, since: i64, new: bool) -> Result<(), Failures> {
    let (stack, name) = fleet.named();
    moved.instances = fleet.source(&Ask::Halt { stack: stack.clone(), name: name.clone() })?;
    let to = fleet.to.clone();
    fleet.source::<serde_json::Value>(&Ask::Leave { stack: stack.clone(), name: name.clone(), to, since })?;
    fleet.last = Some(since);
    let mut own: Option<Result<Entry, Failures>> = None;
    wait::until(LAST, PAUSE, || {
        own = match once(fleet, moved) {
            Ok(passed) if passed.changed == 0 => Some(Ok(passed.own)),
            Ok(_) => None,
            Err(failures) => Some(Err(failures)),
        };
        own.is_some() || signal::stopping()
    });
    let Some(own) = own else {
        let message = format!("volume {name} changes although nobody uses it, or the run was interrupted");
        return Err(Failure::new(Kind::Failed, "store.move", message).into());
    };
    let volume = fleet.volume.clone();
    fleet.switching = true;
    fleet.target::<serde_json::Value>(&Ask::Switch { stack, volume, own: own?, new })?;
    Ok(())
}

fn once(fleet: &mut Fleet, moved: &mut Moved) -> Result<Passed, Failures> {
    let passed = pass(fleet)?;
    moved.passes += 1;
    moved.sent_bytes += passed.sent;
    Ok(passed)
}
