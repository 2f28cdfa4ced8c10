//! The hosts' side of `move`: what one of them does at a time. Whatever is killed in between, the content is whole on one of the hosts, and a record
//! on each says how far it was.

use super::{able, aside, folder, mount, record, remove, users};
use crate::carry::{Entry, Got, Listing, Raw, Want, source, target};
use crate::model::{Facts, State, Volume};
use crate::observe;
use common::host::service::sibling;
use common::host::{Program, file, volume};
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
    /// What is in memory goes to the disk. Answers with the time.
    Begin { stack: String, name: String },
    /// Stops instances of this host that use it. Answers with their names.
    Halt { stack: String, name: String },
    /// Starts them again.
    Run { stack: String, instances: Vec<String> },
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
    /// Nobody uses the volume from here on.
    Leave { stack: String, name: String, to: String, since: i64 },
    /// It stays after all.
    Stay { stack: String, name: String },
    /// The copy is the volume from here on.
    Switch { stack: String, volume: Volume, own: Entry, new: bool },
    /// Removes what is left of it where it was.
    Gone { stack: String, name: String },
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
            let volumes = objects.iter().filter_map(|have| observe::volume_of(&have.object).cloned());
            Ok(json!(Seen { facts, volumes: volumes.collect() }))
        }
        Ask::Arrive { stack, volume } => arrive(&stack, &volume).map(done),
        Ask::Begin { stack, name } => {
            let content = held(&stack, &name)?;
            Ok(json!((source::begin(&content)?, volume::is_new(&content))))
        }
        Ask::Halt { stack, name } => halt(&stack, &name).map(|names| json!(names)),
        Ask::Run { stack, instances } => {
            if !instances.is_empty() {
                instances_of(&stack, "start", &instances)?;
            }
            Ok(Value::Null)
        }
        Ask::List { stack, name, path, after, last } => {
            Ok(json!(source::list(&held(&stack, &name)?, &path, &after, last)?))
        }
        Ask::Read { stack, name, wants, room } => {
            let root = held(&stack, &name)?;
            let mut left = room;
            let mut all: Vec<Got> = Vec::new();
            for want in wants {
                // Those that have no room any more are asked for again.
                let got = source::read(&root, &want, left)?;
                left = left.saturating_sub(usize::try_from(got.end - want.offset).unwrap_or(left));
                all.push(got);
                if left == 0 {
                    break;
                }
            }
            Ok(json!(all))
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
        Ask::Leave { stack, name, to, since } => leave(&stack, &name, &to, since).map(done),
        Ask::Stay { stack, name } => stay(&stack, &kept(&stack, &name)?).map(done),
        Ask::Switch { stack, volume, own, new } => switch(&stack, &volume, &own, new).map(done),
        Ask::Gone { stack, name } => gone(&stack, &kept(&stack, &name)?).map(done),
    }
    .map_err(Into::into)
}

fn done(_: ()) -> Value {
    Value::Null
}

/// The record of a volume.
fn kept(stack: &str, name: &str) -> Result<Volume, Failure> {
    let found = record::all(stack)?.0.into_iter().find(|volume| volume.name == name);
    found.ok_or_else(|| {
        Failure::new(Kind::Failed, "store.move", format!("volume {name} is not here any more"))
    })
}

/// Where a volume that moves is: with its own mark, or that of one that nobody may use.
fn held(stack: &str, name: &str) -> Result<OwnedFd, Failure> {
    let volume = kept(stack, name)?;
    let path = Path::new(&volume.path);
    let found = folder::open(path).map_err(|e| file::failure(path, "open volume", &e.into()))?;
    let mark = volume::mark_of(&found).map_err(|e| file::failure(path, "open volume", &e))?;
    match mark {
        Some(mark) if mark == volume::mark(stack, name) || mark == volume.leaving(stack) => Ok(found),
        other => Err(folder::foreign(&volume, stack, other.as_deref())),
    }
}

/// The instances of this host that use a volume, stopped by lsx-ct.
fn halt(stack: &str, name: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new("/etc/lsx").join(stack).join("ct.json");
    let Some(text) = file::read(&path)? else { return Ok(Vec::new()) };
    let kept: Value = serde_json::from_str(&text)
        .map_err(|e| Failure::new(Kind::Failed, "store.move", format!("{}: {e}", path.display())))?;
    let uses = |instance: &&Value| {
        let volumes = instance["volumes"].as_array().into_iter().flatten();
        volumes.into_iter().any(|volume| volume["name"] == name)
    };
    let all = kept["instances"].as_array().into_iter().flatten().filter(uses);
    let names: Vec<String> = all.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
    if !names.is_empty() {
        instances_of(stack, "stop", &names)?;
    }
    Ok(names)
}

/// Runs a verb of lsx-ct on instances of this host.
fn instances_of(stack: &str, verb: &str, names: &[String]) -> Result<(), Failure> {
    let names = names.iter().map(|name| format!("{stack}/{name}"));
    // No document, wherever this program was started.
    let ct = Program::new(&sibling("lsx-ct").to_string_lossy()).env("LSX_STACK", "");
    ct.args(["--quiet", verb]).args(names).run(b"").map(|_| ())
}

fn arrive(stack: &str, volume: &Volume) -> Result<(), Failure> {
    let there = record::all(stack)?.0.into_iter().find(|other| other.name == volume.name);
    match there.map(|there| there.state) {
        None | Some(State::Arriving) => {}
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

fn leave(stack: &str, name: &str, to: &str, since: i64) -> Result<(), Failure> {
    let volume = kept(stack, name)?;
    let content = held(stack, name)?;
    users::none(stack, &volume)?;
    mount::down(stack, &volume)?;
    let left = Volume { peer: Some(to.to_owned()), since: Some(since), ..volume.clone() };
    record::write(stack, &left, State::Leaving)?;
    let marked = volume::set_mark(&content, &volume.leaving(stack), false);
    marked.map_err(|e| file::failure(Path::new(&volume.path), "mark volume", &e))?;
    // One that began in between has it open.
    users::none(stack, &volume).inspect_err(|_| _ = stay(stack, &volume))
}

/// Gives a volume its mark back, and its place.
///
/// # Errors
/// Of the file system.
pub(super) fn stay(stack: &str, volume: &Volume) -> Result<(), Failure> {
    let content = held(stack, &volume.name)?;
    let mark = volume::mark(stack, &volume.name);
    volume::set_mark(&content, &mark, false)
        .map_err(|e| file::failure(Path::new(&volume.path), "mark volume", &e))?;
    mount::up(stack, volume, &content)?;
    record::write(stack, &Volume { peer: None, since: None, ..volume.clone() }, State::Ready)
}

fn switch(stack: &str, volume: &Volume, own: &Entry, new: bool) -> Result<(), Failure> {
    let path = Path::new(&volume.path);
    let told = |e: rustix::io::Errno| file::failure(path, "make volume", &e.into());
    let (root, content) = aside::copy(stack, volume)?;
    target::clean(&content)?;
    crate::carry::meta::set(&content, b"", own).map_err(told)?;
    // Its content is on the disk before it has its mark, which says that it is complete.
    rustix::fs::syncfs(&content).map_err(told)?;
    volume::set_mark(&content, &volume::mark(stack, &volume.name), new)
        .map_err(|e| file::failure(path, "mark volume", &e))?;
    rustix::fs::syncfs(&content).map_err(told)?;
    aside::named(stack, volume, &root)?;
    mount::up(stack, volume, &content)?;
    record::write(stack, &Volume { peer: None, since: None, ..volume.clone() }, State::Ready)
}

/// Removes what is left of a volume that has moved.
///
/// # Errors
/// Of the file system; a volume that does not leave.
pub(super) fn gone(stack: &str, volume: &Volume) -> Result<(), Failure> {
    if volume.state != State::Leaving {
        let message = format!("volume {} does not leave this host", volume.name);
        return Err(Failure::new(Kind::Bug, "store.move", message));
    }
    remove::rest(stack, volume)
}
