//! The host that a volume leaves: who uses it, how it is marked, how it stays or goes.

use super::{folder, record, remove};
use crate::carry::source;
use crate::model::{State, Volume};
use common::host::file;
use common::host::volume::{self, instances, mounted, users};
use common::{Failure, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A move to another host, as the record of the volume says while it leaves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Going {
    pub(crate) to: String,
    pub(crate) move_id: Option<String>,
    /// When the copy was begun, and by which clock.
    pub(crate) since: Option<i64>,
    pub(crate) clock: Option<String>,
}

/// What is true from the moment on when nobody uses the volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Left {
    /// No instance has filled it from its image yet.
    pub(crate) new: bool,
    /// What was changed from then on is compared by its content.
    pub(crate) since: i64,
}

fn failed(message: String) -> Failure {
    Failure::new(Kind::Failed, "store.move", message)
}

/// The record of a volume.
pub(super) fn kept(stack: &str, name: &str) -> Result<Volume, Failure> {
    let found = record::all(stack)?.0.into_iter().find(|volume| volume.name == name);
    found.ok_or_else(|| failed(format!("volume {name} is not here any more")))
}

/// Where a volume that moves is: with its own mark, or that of one that nobody may use.
pub(super) fn held(stack: &str, name: &str) -> Result<OwnedFd, Failure> {
    let volume = kept(stack, name)?;
    let path = Path::new(&volume.path);
    let found = folder::open(path).map_err(|e| file::failure(path, "open volume", &e.into()))?;
    let mark = volume::mark_of(&found).map_err(|e| file::failure(path, "open volume", &e))?;
    match mark {
        Some(mark) if mark == volume::mark(stack, name) || mark == volume.leaving(stack) => Ok(found),
        other => Err(folder::foreign(&volume, stack, other.as_deref())),
    }
}

/// Instances with a volume that run, as lsx-ct says, and those that a move before has stopped.
///
/// # Errors
/// Of lsx-ct.
pub(super) fn running(stack: &str, name: &str) -> Result<BTreeSet<String>, Failure> {
    let (all, before) = (instances::of(stack, name)?, kept(stack, name)?.stopped);
    let mut names: BTreeSet<String> = before.into_iter().filter(|name| all.contains(name)).collect();
    names.extend(instances::running(stack, name)?);
    Ok(names)
}

/// Stops instances. Before that their names are in the record, so that whatever is killed, the next run starts them again.
///
/// # Errors
/// Of lsx-ct.
pub(super) fn halt(stack: &str, name: &str, names: &[String]) -> Result<(), Failure> {
    let volume = kept(stack, name)?;
    record::write(stack, &Volume { stopped: names.to_vec(), ..volume.clone() }, volume.state)?;
    instances::act(stack, &["stop"], names)
}

/// Starts those again that are still here.
///
/// # Errors
/// Of lsx-ct.
pub(super) fn run(stack: &str, name: &str, names: &[String]) -> Result<(), Failure> {
    let all = instances::of(stack, name)?;
    instances::act(stack, &["start"], names.iter().filter(|name| all.contains(*name)))?;
    let volume = kept(stack, name)?;
    if volume.stopped.is_empty() {
        return Ok(());
    }
    record::write(stack, &Volume { stopped: Vec::new(), ..volume.clone() }, volume.state)
}

/// Nobody uses the volume from here on.
///
/// # Errors
/// Kind `Again` if somebody does; of the file system.
pub(super) fn leave(stack: &str, name: &str, going: Going) -> Result<Left, Failure> {
    let volume = kept(stack, name)?;
    let (content, path) = (held(stack, name)?, Path::new(&volume.path));
    users::none(stack, name, path)?;
    mounted::down(stack, name, path)?;
    let Going { to, move_id, since, clock } = going;
    let compared = source::compared(&content, since, clock.as_deref())?;
    let left = Volume { peer: Some(to), since, clock, move_id, ..volume.clone() };
    record::write(stack, &left, State::Leaving)?;
    let marked = volume::set_mark(&content, &volume.leaving(stack), false);
    marked.map_err(|e| file::failure(path, "mark volume", &e))?;
    // One that began in between has it open.
    users::none(stack, name, path).inspect_err(|_| _ = stay(stack, &volume))?;
    // From here on nobody fills it.
    Ok(Left { new: volume::is_new(&content), since: compared })
}

/// Gives a volume its mark back, and its place. Instances that were stopped are started by [`run`].
///
/// # Errors
/// Of the file system.
pub(super) fn stay(stack: &str, volume: &Volume) -> Result<(), Failure> {
    let content = held(stack, &volume.name)?;
    let mark = volume::mark(stack, &volume.name);
    volume::set_mark(&content, &mark, false)
        .map_err(|e| file::failure(Path::new(&volume.path), "mark volume", &e))?;
    mounted::up(stack, &volume.name, Path::new(&volume.path), &content)?;
    record::write(stack, &Volume { stopped: volume.stopped.clone(), ..volume.still() }, State::Ready)
}

/// Removes what is left of a volume that has moved. If the document may not say yet where it is, its record says that.
///
/// # Errors
/// Of the file system; a volume that does not leave, or by another move.
pub(super) fn gone(stack: &str, name: &str, move_id: Option<&str>, told: bool) -> Result<(), Failure> {
    let volume = kept(stack, name)?;
    if volume.state != State::Leaving || volume.move_id.as_deref() != move_id {
        return Err(failed(format!("volume {name} does not leave this host by this move")));
    }
    if told {
        return remove::rest(stack, &volume);
    }
    remove::content(stack, &volume)?;
    record::write(stack, &Volume { peer: volume.peer.clone(), ..volume.still() }, State::Moved)
}
