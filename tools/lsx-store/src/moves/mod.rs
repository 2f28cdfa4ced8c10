//! The verb `volume move`: a volume goes to another host. Its content is copied while it is used; then its instances are stopped, the last
//! differences are copied until a pass finds none, the copy becomes the volume, and what was the volume is removed.

mod aim;
mod ends;
mod steps;
#[cfg(test)]
mod tests;

use crate::Store;
use crate::apply::moved::Ask;
use crate::model::Moved;
use aim::{Aim, Looked};
use clap::{Args, Subcommand};
use common::cli::Global;
use common::stdio::Output;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs, StackArgs, usual_stack};
use common::{Failure, Failures, Kind, document, log, people};
use ends::Fleet;
use std::collections::BTreeSet;
use std::path::PathBuf;

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
    let stopped = steps::whole(&mut fleet, &found, &mut moved)?;
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
    let answers = hosts.hear("move", asked, &mut |_, _| {}).into_iter();
    answers.map(|(host, answer)| (host, answer.and_then(|seen| Ok(common::fleet::shape(seen)?)))).collect()
}
