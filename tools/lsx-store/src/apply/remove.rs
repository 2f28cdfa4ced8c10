//! Removes the content of a volume. What instances have made there is hostile: links are not followed, nothing that is mounted in
//! it is touched, and folders may be nested without end.

use super::{aside, btrfs, folder, mount, record};
use crate::model::{Driver, REMOVED, State, Volume};
use common::host::file;
use common::host::volume::{self, FOLDER};
use common::{Failure, log};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Removes a volume with its content. A run that is killed in the middle leaves a record that is unfinished, and nothing at the
/// volume's path, or all of it.
///
/// # Errors
/// Of the file system; while somebody uses it.
pub(crate) fn volume(stack: &str, volume: &Volume) -> Result<(), Failure> {
    mount::down(stack, volume)?;
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
    let to = inside(root, &text(REMOVED)).map_err(|e| told(volume, e))?;
    let at = log::now().replace(':', "");
    let kept = format!("{stack}-{}-{at}", volume.name);
    fs::renameat_with(root, name, &to, &kept, RenameFlags::NOREPLACE).map_err(|e| told(volume, e))?;
    fs::syncfs(&to).map_err(|e| told(volume, e))?;
    btrfs::freeze(&folder.join(kept))
}

fn text(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}

/// Removes a folder with everything in it. Folders in folders are first moved up: so two descriptors are enough for any depth.
pub(crate) fn tree(above: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let top = match inside(above, name) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut number = 0_u64;
    loop {
        let mut folders = Vec::new();
        each(&top, |entry, is_folder| {
            if is_folder {
                folders.push(entry.to_owned())
            } else {
                fs::unlinkat(&top, entry, AtFlags::empty())?
            }
            Ok(())
        })?;
        if folders.is_empty() {
            return fs::unlinkat(above, name, AtFlags::REMOVEDIR);
        }
        for folder in folders {
            let open = inside(&top, &folder)?;
            each(&open, |entry, is_folder| {
                if !is_folder {
                    return fs::unlinkat(&open, entry, AtFlags::empty());
                }
                loop {
                    number += 1;
                    let to = text(&format!(".lsx-{number}"));
                    match fs::renameat_with(&open, entry, &top, &to, RenameFlags::NOREPLACE) {
                        Err(Errno::EXIST) => {} // another run was killed here
                        // A mount, or a folder that cannot be moved out, such as a nested subvolume.
                        Err(Errno::XDEV | Errno::BUSY) => return tree(&open, entry),
                        done => return done,
                    }
                }
            })?;
            fs::unlinkat(&top, &folder, AtFlags::REMOVEDIR)?;
        }
    }
}

/// A folder in a folder: no link, and nothing that is mounted there.
fn inside(above: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    fs::openat2(above, name, FOLDER, Mode::empty(), how)
}

/// Calls `work` with every entry. It may remove them: the list is read first.
fn each(folder: &OwnedFd, mut work: impl FnMut(&CStr, bool) -> Result<(), Errno>) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)?.collect::<Result<Vec<_>, _>>()? {
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            kind => kind,
        };
        work(name, kind == FileType::Directory)?;
    }
    Ok(())
}
