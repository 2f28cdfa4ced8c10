//! One volume gets the other one of its two contents. Nothing uses it meanwhile; each step may be done again.

use super::beside;
use super::record;
use crate::model::Restored;
use common::host::volume::{instances, mounted, users};
use common::{Failure, Kind, log};
use std::collections::BTreeSet;
use std::path::Path;

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

/// Ends a restore that was killed. If the volume has what it is to have, or must not have what it has, that is finished; else it stays.
///
/// # Errors
/// What cannot be ended yet.
pub(super) fn end(stack: &str, one: &Restored) -> Result<(), Failure> {
    let Some(half) = &one.half else { return Ok(()) };
    if Path::new(&one.path).symlink_metadata().is_err() {
        // The volume has been removed, or its disk is not mounted: what is beside it stays.
        return record::put(stack, &Restored { half: None, ..one.clone() });
    }
    let has = beside::has(one)?;
    if has == half.restored || (half.drop && has) {
        turn(stack, one, None)?;
        // One that is not ready does not leave it half done.
        let run = started(stack, one);
        done(stack, one)?;
        run?;
        log::note(&format!("what a killed run has begun with volume {} is finished", one.volume));
        return Ok(());
    }
    stay(stack, one)?;
    started(stack, one)?;
    if half.restored && !one.undone {
        beside::remove(one)?;
        record::forget(stack, one)?;
    } else {
        record::put(stack, &Restored { half: None, ..one.clone() })?;
    }
    log::note(&format!("volume {} stays as it was: a killed run had not exchanged it", one.volume));
    Ok(())
}

/// Ends those of some volumes, or of all.
///
/// # Errors
/// Those that cannot be ended yet.
pub(crate) fn end_all(stack: &str, volumes: Option<&BTreeSet<String>>) -> Result<(), Failure> {
    let all = record::read(stack)?;
    let meant = |one: &&Restored| volumes.is_none_or(|volumes| volumes.contains(&one.volume));
    all.iter().filter(meant).try_for_each(|one| end(stack, one))
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
