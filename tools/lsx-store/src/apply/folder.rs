//! The folder of a volume's content: opened without following links, made aside and renamed, and marked.

use crate::model::{Driver, State, Volume};
use common::host::volume::{self, FOLDER, mounted};
use common::host::{btrfs, file};
use common::{Failure, Kind};
use rustix::fs::{self, CWD, Gid, Mode, ResolveFlags, Uid};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Opens a folder to which no link leads. Those of lsx itself may be on another disk by a link of the administrator.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    if path.starts_with(volume::ROOT) {
        return fs::open(path, FOLDER, Mode::empty());
    }
    fs::openat2(CWD, path, FOLDER, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Opens the folder of a volume that is there. Since it was seen, something else may have been put in its place.
///
/// # Errors
/// Something else; of the file system.
pub(crate) fn own(stack: &str, volume: &Volume) -> Result<OwnedFd, Failure> {
    let path = Path::new(&volume.path);
    let told = |e: io::Error| file::failure(path, "open volume", &e);
    let found = match open(path) {
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(foreign(volume, stack, None)),
        found => found.map_err(|e| told(e.into()))?,
    };
    match volume::mark_of(&found).map_err(told)? {
        Some(mark) if mark == volume::mark(stack, &volume.name) => Ok(found),
        other => Err(foreign(volume, stack, other.as_deref())),
    }
}

/// A recorded volume as it is now.
///
/// # Errors
/// If its folder cannot be read for another reason than that it is not there.
pub(crate) fn seen(stack: &str, kept: Volume) -> Result<Volume, Failure> {
    if kept.state == State::Moved {
        return Ok(kept);
    }
    let path = PathBuf::from(&kept.path);
    let told = |e: io::Error| file::failure(&path, "look at volume", &e);
    let state = match open(&path) {
        _ if kept.state == State::Unfinished => State::Unfinished,
        // One with the mark of the volume is complete, or was given it back.
        ref found
            if matches!(kept.state, State::Arriving | State::Leaving)
                && !owned(stack, &kept, found.as_ref().ok()) =>
        {
            kept.state
        }
        Err(Errno::NOENT) => State::Missing,
        Err(Errno::NOTDIR | Errno::LOOP) => State::Foreign,
        Err(e) => return Err(told(e.into())),
        // One that was copied to a plain folder has no limit any more.
        Ok(_) if kept.driver == Driver::Btrfs && !btrfs::is_subvolume(&path) && mark(&path)? => {
            State::Foreign
        }
        Ok(content) => match volume::mark_of(&content).map_err(told)? {
            Some(mark) if mark == volume::mark(stack, &kept.name) => {
                if mounted::done(stack, &kept.name, &path, &content) {
                    State::Ready
                } else {
                    State::Unmounted
                }
            }
            // Where its disk should be mounted is an empty folder then.
            None if empty(&content) => State::Missing,
            _ => State::Foreign,
        },
    };
    let there = matches!(state, State::Ready | State::Unmounted) && kept.driver == Driver::Btrfs;
    let size_bytes = if there { btrfs::quota(&path).and_then(|quota| quota.limit) } else { kept.size_bytes };
    Ok(Volume { state, size_bytes, ..kept })
}

/// Whether what was found is the volume itself.
fn owned(stack: &str, kept: &Volume, found: Option<&OwnedFd>) -> bool {
    let mark = found.and_then(|found| volume::mark_of(found).ok().flatten());
    mark.is_some_and(|mark| mark == volume::mark(stack, &kept.name))
}

/// Bytes that a volume uses, if its driver knows that.
pub(crate) fn used(volume: &Volume) -> Option<u64> {
    match volume.driver {
        Driver::Btrfs => btrfs::quota(Path::new(&volume.path)).map(|quota| quota.used),
        Driver::Directory => None,
    }
}

/// Whether others than lsx-store have made subvolumes in it.
pub(crate) fn divided(volume: &Volume) -> bool {
    volume.driver == Driver::Btrfs && btrfs::has_others(Path::new(&volume.path))
}

/// Sets the limit of a volume.
///
/// # Errors
/// If it cannot be set, or if more is used.
pub(crate) fn resize(volume: &Volume) -> Result<(), Failure> {
    match volume.driver {
        Driver::Btrfs => btrfs::limit(Path::new(&volume.path), volume.size_bytes),
        Driver::Directory => Ok(()),
    }
}

fn mark(path: &Path) -> Result<bool, Failure> {
    let there = volume::mark_at(path).map_err(|e| file::failure(path, "look at volume", &e))?;
    Ok(there.is_some())
}

fn empty(folder: impl AsFd) -> bool {
    fs::Dir::read_from(folder)
        .is_ok_and(|entries| entries.flatten().all(|entry| [c".", c".."].contains(&entry.file_name())))
}

/// Something else is where a volume would be; `mark` names another volume.
pub(crate) fn foreign(volume: &Volume, stack: &str, mark: Option<&str>) -> Failure {
    let of = mark.map_or("that lsx-store has not made".to_owned(), |mark| format!("of volume {mark}"));
    let message = format!("there is something else at {}, {of}", volume.path);
    let failure = Failure::new(Kind::Failed, "store.foreign", message);
    failure.at(format!("store.volumes.{}", volume.name)).hint(match mark {
        Some(_) => "give one of the two another name, or another store.root".to_owned(),
        None => format!(
            "move it away; or to take a folder over with its content: setfattr -n trusted.lsx.volume -v {} {}",
            volume::mark(stack, &volume.name),
            volume.path
        ),
    })
}

pub(super) fn unmarked(path: &Path, error: &io::Error) -> Failure {
    let failure = file::failure(path, "mark volume", error);
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::OPNOTSUPP) => failure.hint(
            "its file system has no attributes (xattr) of root; ext4, xfs, btrfs, zfs and tmpfs have them",
        ),
        _ => failure,
    }
}

/// Sets owner and mode as far as the document says so by number, and differently from before; names are those of an image,
/// so lsx-ct sets them.
///
/// # Errors
/// Of the file system.
pub(crate) fn give(folder: impl AsFd, volume: &Volume, before: Option<&Volume>) -> io::Result<()> {
    let owner = volume.owner.as_deref().filter(|_| before.is_none_or(|before| before.owner != volume.owner));
    if let Some((user, group)) = owner.and_then(numbers) {
        fs::fchown(&folder, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    let mode = volume.mode.as_deref().filter(|_| before.is_none_or(|before| before.mode != volume.mode));
    let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
    if let Some(mode) = mode.or(before.is_none().then_some(0o755)) {
        fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

/// `999:999`, or `999`, whose group has the same number.
fn numbers(owner: &str) -> Option<(u32, u32)> {
    let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
    Some((user.parse().ok()?, group.parse().ok()?))
}
