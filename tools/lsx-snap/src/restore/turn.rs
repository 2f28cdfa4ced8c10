//! One volume gets the other one of its two contents. Nothing uses it meanwhile; each step may be done again.

use super::beside;
use super::record;
use crate::model::{Half, Restored};
use common::host::volume::{self, instances, mounted, users};
use common::{Failure, Kind, log};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Makes the volume have what it is to have, and shows it where other tools find it.
///
/// # Errors
/// Kind `Again` if somebody uses it; of the file system.
pub(super) fn turn(stack: &str, one: &Restored, looked: Option<(u64, u64)>) -> Result<(), Failure> {
    let (name, path) = (&one.volume, Path::new(&one.path));
    let wanted = one.half.as_ref().is_some_and(|half| half.restored);
    if beside::has(one)? != wanted {
        users::none(stack, name, path)?;
        mounted::down(stack, name, path)?;
        // One that began in between has it open.
        users::none(stack, name, path)?;
        beside::exchange(stack, one, looked)?;
    }
    beside::aside(stack, one)?;
    mounted::up(stack, name, path, beside::open(path)?)
}

/// The volume stays what it is, where other tools find it.
///
/// # Errors
/// Of the file system.
pub(super) fn stay(stack: &str, one: &Restored) -> Result<(), Failure> {
    let path = Path::new(&one.path);
    beside::aside(stack, one)?;
    mounted::up(stack, &one.volume, path, beside::open(path)?)
}

/// Starts what was stopped, if it is still here.
///
/// # Errors
/// Of lsx-ct.
pub(super) fn started(stack: &str, one: &Restored) -> Result<(), Failure> {
    let names = one.half.iter().flat_map(|half| &half.stopped);
    let all = instances::of(stack, &one.volume)?;
    instances::act(stack, &["start"], names.filter(|name| all.contains(*name)))
}

/// It is done: what is of no use is removed.
///
/// # Errors
/// Of the file system.
pub(super) fn done(stack: &str, one: &Restored) -> Result<(), Failure> {
    let Some(half) = &one.half else { return Ok(()) };
    if half.drop {
        beside::remove(one)?;
        return record::forget(stack, one);
    }
    record::put(stack, &Restored { undone: !half.restored, half: None, ..one.clone() })
}

/// Steps of a plan are carried out at the same time, and each ends all that belongs together.
static ONE: Mutex<()> = Mutex::new(());

/// How a restore that was killed ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The volume is no longer one of the stack: what is beside it stays.
    Gone,
    /// The volume gets what it was to have.
    On,
    /// It stays as it was.
    Stay,
}

/// Once one of those that are exchanged together has what it is to have, all get it: all had been compared before.
fn ends(stack: &str, one: &Restored, all: &[Restored]) -> Result<End, Failure> {
    let gone = |one: &Restored| Path::new(&one.path).symlink_metadata().is_err();
    if gone(one) {
        if !volume::stored(stack, &one.volume) {
            return Ok(End::Gone);
        }
        let message =
            format!("volume {} is not at {}, and a restore of it is half done", one.volume, one.path);
        return Err(Failure::new(Kind::Failed, "snap.half", message).hint("is its disk mounted?"));
    }
    let mut on = one.half.as_ref().is_some_and(|half| half.drop);
    for other in all.iter().filter(|other| other.group == one.group && !gone(other)) {
        let alone = one.group.is_empty() && other.token != one.token;
        let restored = other.half.as_ref().is_some_and(|half| half.restored);
        on |= !alone && beside::has(other)? == restored;
    }
    Ok(if on { End::On } else { End::Stay })
}

/// The content of the volume. Nothing runs with one that it is not to have.
fn content(stack: &str, one: &mut Restored, end: End) -> Result<(), Failure> {
    let Some(half) = one.half.clone() else { return Ok(()) };
    match end {
        End::Gone => return Ok(()),
        End::Stay => return stay(stack, one),
        End::On => {}
    }
    if beside::has(one)? != half.restored {
        let running = instances::running(stack, &one.volume)?;
        let stopped: BTreeSet<String> = half.stopped.iter().chain(&running).cloned().collect();
        one.half = Some(Half { stopped: stopped.into_iter().collect(), ..half });
        record::put(stack, one)?;
        instances::act(stack, &["stop"], &running)?;
    }
    turn(stack, one, None)
}

/// Starts what was stopped. One that is not ready does not leave it half done.
fn over(stack: &str, one: &Restored, end: End) -> Result<(), Failure> {
    let Some(half) = &one.half else { return Ok(()) };
    let run = if end == End::Gone { Ok(()) } else { started(stack, one) };
    match end {
        End::On => done(stack, one)?,
        End::Stay if half.restored && !one.undone => {
            beside::remove(one)?;
            record::forget(stack, one)?;
        }
        End::Stay | End::Gone => record::put(stack, &Restored { half: None, ..one.clone() })?,
    }
    let what = match end {
        End::On => "what a killed run has begun with it is finished",
        End::Stay => "it stays as it was: a killed run had not exchanged it",
        End::Gone => "it is not there any more",
    };
    log::note(&format!("volume {}: {what}", one.volume));
    run
}

/// Ends restores that were killed: those of some volumes, with what is exchanged together with them, or all. Contents come first, so that no
/// instance starts with some of them.
///
/// # Errors
/// Those that cannot be ended yet.
pub(crate) fn end_all(stack: &str, volumes: Option<&BTreeSet<String>>) -> Result<(), Failure> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = record::read(stack)?;
    all.retain(|one| one.half.is_some());
    let meant = |one: &&Restored| volumes.is_none_or(|volumes| volumes.contains(&one.volume));
    let groups: BTreeSet<String> = all.iter().filter(meant).map(|one| one.group.clone()).collect();
    all.retain(|one| meant(&one) || (!one.group.is_empty() && groups.contains(&one.group)));
    let ends = all.iter().map(|one| ends(stack, one, &all)).collect::<Result<Vec<End>, _>>()?;
    for (one, end) in all.iter_mut().zip(&ends) {
        content(stack, one, *end)?;
    }
    let run: Vec<Failure> =
        all.iter().zip(ends).filter_map(|(one, end)| over(stack, one, end).err()).collect();
    run.into_iter().next().map_or(Ok(()), Err)
}

/// Removes what restores keep beside volumes, and forgets them.
///
/// # Errors
/// One that is not done; of the file system.
pub(crate) fn settle(stack: &str, volumes: Option<&BTreeSet<String>>) -> Result<Vec<Restored>, Failure> {
    let mut all = record::read(stack)?;
    all.retain(|one| volumes.is_none_or(|volumes| volumes.contains(&one.volume)));
    if let Some(half) = all.iter().find(|one| one.half.is_some()) {
        let message = format!("a restore of volume {} is half done", half.volume);
        return Err(
            Failure::new(Kind::Failed, "snap.half", message).hint("run `lsx-snap up` first, which ends it")
        );
    }
    for one in &all {
        beside::remove(one)?;
        record::forget(stack, one)?;
    }
    Ok(all)
}
