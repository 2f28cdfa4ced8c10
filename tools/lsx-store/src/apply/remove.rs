//! Removes the content of a volume, what killed runs have left of it, and its record.

use super::{aside, folder, record};
use crate::model::{Driver, REMOVED, State, Volume};
use common::host::removal::tree;
use common::host::volume::{self, FOLDER, mounted};
use common::host::{beneath, btrfs, file};
use common::{Failure, log};
use rustix::fs::{self, RenameFlags};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Removes a volume with its content. A run that is killed in the middle leaves a record that is unfinished, and nothing at the
/// volume's path, or all of it.
///
/// # Errors
/// Of the file system; while somebody uses it.
pub(crate) fn volume(stack: &str, volume: &Volume) -> Result<(), Failure> {
    mounted::down(stack, &volume.name, Path::new(&volume.path))?;
    record::write(stack, volume, State::Unfinished)?;
    rest(stack, volume)
}

/// Removes the content and then the record. What leaves is not unfinished in between: it must not be made anew.
///
/// # Errors
/// Of the file system.
pub(super) fn rest(stack: &str, volume: &Volume) -> Result<(), Failure> {
    content(stack, volume)?;
    // Last, so that a run that is killed before leaves something to go on from.
    record::remove(stack, &volume.name)
}

/// Removes the content, with what killed runs have left of it, and the folder of volumes if it was the last one.
///
/// # Errors
/// Of the file system.
pub(super) fn content(stack: &str, volume: &Volume) -> Result<(), Failure> {
    own(stack, volume)?;
    let root = Path::new(&volume.path).parent().unwrap_or(Path::new("/"));
    let made = folder::open(root).is_ok_and(volume::is_made);
    let own = root.starts_with(volume::ROOT);
    root.ancestors().take(if own { 2 } else { usize::from(made) }).for_each(file::remove_empty);
    Ok(())
}

/// What a killed run has left of a volume that was being made or removed.
///
/// # Errors
/// Of the file system.
pub(crate) fn leftovers(stack: &str, volume: &Volume) -> Result<(), Failure> {
    if let Some(root) = Path::new(&volume.path).parent() {
        aside::forget_root(stack, root);
    }
    let Some(root) = root(volume)? else { return Ok(()) };
    asides(stack, volume).iter().try_for_each(|left| tree(&root, &text(left)).map_err(|e| told(volume, e)))
}

/// The names of what is being removed, and of what is being made.
fn asides(stack: &str, volume: &Volume) -> [String; 2] {
    [".lsx-removed-", ".lsx-new-"].map(|begin| format!("{begin}{}-{stack}", volume.name))
}

/// The folder that a volume is in; none if there is none.
fn root(volume: &Volume) -> Result<Option<OwnedFd>, Failure> {
    let Some(root) = Path::new(&volume.path).parent() else { return Ok(None) };
    match folder::open(root) {
        Err(Errno::NOENT) => Ok(None),
        root => root.map(Some).map_err(|e| told(volume, e)),
    }
}

fn told(volume: &Volume, e: Errno) -> Failure {
    let failure = file::failure(Path::new(&volume.path), "remove volume", &e.into());
    if e == Errno::XDEV { failure.hint("something is mounted in it: unmount that first") } else { failure }
}

/// The volume's own folder.
fn own(stack: &str, volume: &Volume) -> Result<(), Failure> {
    leftovers(stack, volume)?;
    let path = Path::new(&volume.path);
    let (Some(root), Some(name)) = (root(volume)?, path.file_name()) else { return Ok(()) };
    match volume::mark_at(path) {
        Ok(Some(mark)) if mark == volume::mark(stack, &volume.name) || mark == volume.leaving(stack) => {}
        // The plan has said that it is not the volume, or a killed run has not made or already removed it.
        Ok(_) if !matches!(volume.state, State::Ready | State::Unmounted) => return Ok(()),
        Ok(mark) => return Err(folder::foreign(volume, stack, mark.as_deref())),
        Err(e) => return Err(file::failure(path, "remove volume", &e)),
    }
    if volume.driver == Driver::Btrfs && btrfs::is_subvolume(path) {
        return put_away(stack, volume, &root, name);
    }
    let [aside, _] = asides(stack, volume);
    let removed = || {
        fs::renameat_with(&root, name, &root, &aside, RenameFlags::NOREPLACE)?;
        fs::fsync(&root)?;
        tree(&root, &text(&aside))
    };
    removed().map_err(|e| told(volume, e))
}

/// A subvolume stays as it was, read-only, where nobody finds it by accident.
fn put_away(stack: &str, volume: &Volume, root: &OwnedFd, name: &OsStr) -> Result<(), Failure> {
    let path = Path::new(&volume.path);
    let folder = path.with_file_name(REMOVED);
    file::private_folder(&folder)?;
    let to = beneath::file(root, REMOVED.as_bytes(), FOLDER).map_err(|e| told(volume, e))?;
    let at = log::now().replace(':', "");
    let kept = format!("{stack}-{}-{at}", volume.name);
    fs::renameat_with(root, name, &to, &kept, RenameFlags::NOREPLACE).map_err(|e| told(volume, e))?;
    fs::syncfs(&to).map_err(|e| told(volume, e))?;
    btrfs::freeze(&folder.join(kept))
}

fn text(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}
