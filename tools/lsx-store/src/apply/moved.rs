//! The hosts' side of `move`: what one of them does at a time. Whatever is killed in between, the content is whole on one of the hosts, and a record
//! on each says how far it was.

use super::leaving::{self, Going, held, kept};
use super::{able, aside, record};
use crate::carry::{Entry, Got, Listing, Raw, Want, source, target};
use crate::model::{Facts, State, Volume};
use crate::object::random;
use crate::observe;
use common::host::file;
use common::host::volume::{self, mounted};
use common::{Failure, Failures, Kind, fleet};
use rustix::fs::fstatvfs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::path::Path;

/// What a host is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// What is there.
    Look { stack: String },
    /// What is in memory goes to the disk. Answers with the time, its clock, and a name for the move.
    Begin { stack: String, name: String },
    /// Instances of this host that use it and run. Answers with their names.
    Running { stack: String, name: String },
    /// Stops them.
    Halt { stack: String, name: String, instances: Vec<String> },
    /// Starts them again.
    Run { stack: String, name: String, instances: Vec<String> },
    /// Makes the folder of a copy, or goes on with it.
    Arrive { stack: String, volume: Volume },
    /// Names of a folder.
    List { stack: String, name: String, path: Raw, after: Raw, last: Option<i64> },
    /// Parts of files.
    Read { stack: String, name: String, wants: Vec<Want>, room: usize },
    /// Makes the copy have these names.
    Take { stack: String, volume: Volume, listing: Listing },
    /// Sums of what the copy has.
    Sums { stack: String, volume: Volume, path: Raw, offset: u64 },
    /// Writes parts of files.
    Write { stack: String, volume: Volume, files: Vec<(Raw, Entry, u64, Got)> },
    /// What the copy has in memory goes to the disk.
    Sync { stack: String, volume: Volume },
    /// Nobody uses the volume from here on. Answers with [`Left`](leaving::Left).
    Leave { stack: String, name: String, going: Going },
    /// It stays after all.
    Stay { stack: String, name: String },
    /// The copy is the volume from here on.
    Switch { stack: String, volume: Volume, own: Entry, new: bool },
    /// Removes what is left of it where it was.
    Gone { stack: String, name: String, move_id: Option<String> },
    /// The move is over.
    Settled { stack: String, name: String },
}

/// What a host has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) facts: Facts,
    pub(crate) volumes: Vec<Volume>,
}

/// Answers.
///
/// # Errors
/// Of the file system; something else than what was asked for.
pub(crate) fn answer(input: Value) -> Result<Value, Failures> {
    common::host::root()?;
    match fleet::shape::<Ask>(input)? {
        Ask::Look { stack } => {
            let (objects, facts, _) = observe::observe(Some(&stack))?;
            let volumes = objects.iter().filter_map(|have| observe::volume_of(&have.object));
            let here = volumes.filter(|volume| volume.state != State::Moved).cloned();
            Ok(json!(Seen { facts, volumes: here.collect() }))
        }
        Ask::Arrive { stack, volume } => arrive(&stack, &volume).map(done),
        Ask::Begin { stack, name } => {
            let move_id = random().map_err(|e| Failure::new(Kind::Failed, "store.move", e.to_string()))?;
            Ok(json!((source::begin(&held(&stack, &name)?)?, source::clock()?, move_id)))
        }
        Ask::Running { stack, name } => leaving::running(&stack, &name).map(|names| json!(names)),
        Ask::Halt { stack, name, instances } => leaving::halt(&stack, &name, &instances).map(done),
        Ask::Run { stack, name, instances } => leaving::run(&stack, &name, &instances).map(done),
        Ask::List { stack, name, path, after, last } => {
            Ok(json!(source::list(&held(&stack, &name)?, &path, &after, last)?))
        }
        Ask::Read { stack, name, wants, room } => {
            read(&held(&stack, &name)?, &wants, room).map(|got| json!(got))
        }
        Ask::Take { stack, volume, listing } => Ok(json!(target::take(&copy(&stack, &volume)?, &listing)?)),
        Ask::Sums { stack, volume, path, offset } => {
            Ok(json!(target::sums(&copy(&stack, &volume)?, &path, offset)?))
        }
        Ask::Write { stack, volume, files } => {
            let root = copy(&stack, &volume)?;
            for (path, entry, offset, got) in &files {
                target::write(&root, path, entry, *offset, got)?;
            }
            Ok(Value::Null)
        }
        Ask::Sync { stack, volume } => {
            rustix::fs::syncfs(copy(&stack, &volume)?)
                .map_err(|e| file::failure(Path::new(&volume.path), "write", &e.into()))?;
            Ok(Value::Null)
        }
        Ask::Leave { stack, name, going } => leaving::leave(&stack, &name, going).map(|left| json!(left)),
        Ask::Stay { stack, name } => leaving::stay(&stack, &kept(&stack, &name)?).map(done),
        Ask::Switch { stack, volume, own, new } => switch(&stack, &volume, &own, new).map(done),
        Ask::Gone { stack, name, move_id } => {
            leaving::gone(&stack, &name, move_id.as_deref(), false).map(done)
        }
        Ask::Settled { stack, name } => settled(&stack, &name).map(done),
    }
    .map_err(Into::into)
}

fn done(_: ()) -> Value {
    Value::Null
}

/// Parts of files. Those that have no room any more are asked for again.
fn read(root: &OwnedFd, wants: &[Want], room: usize) -> Result<Vec<Got>, Failure> {
    let mut left = room;
    let mut all: Vec<Got> = Vec::new();
    for want in wants {
        let got = source::read(root, want, left)?;
        left = left.saturating_sub(usize::try_from(got.end - want.offset).unwrap_or(left));
        all.push(got);
        if left == 0 {
            break;
        }
    }
    Ok(all)
}

fn arrive(stack: &str, volume: &Volume) -> Result<(), Failure> {
    let there = record::all(stack)?.0.into_iter().find(|other| other.name == volume.name);
    match there.map(|there| there.state) {
        None | Some(State::Arriving | State::Moved) => {}
        Some(_) => {
            let message = format!("volume {} is here already", volume.name);
            return Err(Failure::new(Kind::Failed, "store.move", message));
        }
    }
    able::able(stack, volume)?;
    record::write(stack, volume, State::Arriving)?;
    aside::copied(stack, volume).map(|_| ())
}

/// The folder of a copy. With less than the reserve left on its disk, everybody else would be stopped.
fn copy(stack: &str, volume: &Volume) -> Result<OwnedFd, Failure> {
    let (_, folder) = aside::copy(stack, volume)?;
    let disk = fstatvfs(&folder).map_err(|e| file::failure(Path::new(&volume.path), "look at", &e.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    if bytes(disk.f_bavail) <= observe::reserve(bytes(disk.f_blocks)) {
        let message = format!("the disk of {} has no room for volume {}", volume.path, volume.name);
        return Err(Failure::new(Kind::Failed, "store.room", message)
            .hint("make room there, then run this again; `lsx-store up` removes the unfinished copy"));
    }
    Ok(folder)
}

fn switch(stack: &str, volume: &Volume, own: &Entry, new: bool) -> Result<(), Failure> {
    let path = Path::new(&volume.path);
    let told = |e: rustix::io::Errno| file::failure(path, "make volume", &e.into());
    let (root, content) = aside::copy(stack, volume)?;
    target::clean(&content)?;
    crate::carry::meta::set(&content, b"", own).map_err(told)?;
    // Its content is on the disk before it has its mark, which says that it is complete.
    rustix::fs::syncfs(&content).map_err(told)?;
    // A run that was killed here may have taken it for a new one.
    volume::not_new(&content)
        .and_then(|()| volume::set_mark(&content, &volume::mark(stack, &volume.name), new))
        .map_err(|e| file::failure(path, "mark volume", &e))?;
    rustix::fs::syncfs(&content).map_err(told)?;
    aside::named(stack, volume, &root)?;
    mounted::up(stack, &volume.name, path, &content)?;
    record::write(stack, &Volume { move_id: volume.move_id.clone(), ..volume.still() }, State::Ready)
}

/// Nothing is left of it elsewhere: the name of the move is not needed any more.
fn settled(stack: &str, name: &str) -> Result<(), Failure> {
    let volume = kept(stack, name)?;
    if volume.state == State::Ready { record::write(stack, &volume.still(), State::Ready) } else { Ok(()) }
}
