//! Makes the folder of a volume: aside, where it is marked or filled, and then renamed.

use super::folder;
use crate::model::{Driver, Volume};
use common::Failure;
use common::host::volume::{self, FOLDER};
use common::host::{btrfs, file};
use rustix::fs::{self, Mode, RenameFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Makes the folder of a volume, or takes over one that belongs to it. Returns it, and whether it was made.
///
/// # Errors
/// Of the file system; something else that is there.
pub(crate) fn make(stack: &str, volume: &Volume) -> Result<(OwnedFd, bool), Failure> {
    let path = Path::new(&volume.path);
    let told = |e: io::Error| file::failure(path, "make volume", &e);
    let (Some(root), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(told(io::Error::other("it has no folder")));
    };
    let root = root_of(stack, root)?;
    match fs::openat(&root, name, FOLDER, Mode::empty()) {
        Ok(found) => return taken(stack, volume, found).map(|found| (found, false)),
        Err(Errno::NOENT) => {}
        Err(_) => return Err(folder::foreign(volume, stack, None)),
    }
    let folder = begun(stack, volume, &root)?;
    volume::set_mark(&folder, &volume::mark(stack, &volume.name), true)
        .map_err(|e| folder::unmarked(path, &e))?;
    folder::give(&folder, volume, None).map_err(told)?;
    fs::fsync(&folder).map_err(|e| told(e.into()))?;
    if volume.driver == Driver::Btrfs {
        fs::syncfs(&folder).map_err(|e| told(e.into()))?;
    }
    named(stack, volume, &root)?;
    Ok((folder, true))
}

/// The name of a volume's folder that is not the volume yet.
fn aside_name(stack: &str, volume: &Volume) -> String {
    format!(".lsx-new-{}-{stack}", volume.name)
}

/// Makes it. One of a run that was killed is taken: nobody else has written there.
fn begun(stack: &str, volume: &Volume, root: &OwnedFd) -> Result<OwnedFd, Failure> {
    let path = Path::new(&volume.path);
    let told = |e: Errno| file::failure(path, "make volume", &e.into());
    let aside = aside_name(stack, volume);
    let path_aside = path.with_file_name(&aside);
    match volume.driver {
        Driver::Btrfs if btrfs::is_subvolume(&path_aside) => {}
        Driver::Btrfs => btrfs::create(&path_aside)?,
        Driver::Directory => match fs::mkdirat(root, &aside, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(told(e)),
        },
    }
    folder::resize(&Volume { path: path_aside.display().to_string(), ..volume.clone() })?;
    fs::openat(root, &aside, FOLDER, Mode::empty()).map_err(told)
}

/// Makes the folder of a copy.
///
/// # Errors
/// Of the file system; something else that is at the place of the volume.
pub(super) fn copied(stack: &str, volume: &Volume) -> Result<OwnedFd, Failure> {
    let path = Path::new(&volume.path);
    let root = root_of(stack, path.parent().unwrap_or(path))?;
    match path.symlink_metadata() {
        Ok(_) => Err(folder::foreign(volume, stack, None)),
        Err(_) => begun(stack, volume, &root),
    }
}

/// The folder of a copy, and the one that it is in.
///
/// # Errors
/// Of the file system.
pub(super) fn copy(stack: &str, volume: &Volume) -> Result<(OwnedFd, OwnedFd), Failure> {
    let path = Path::new(&volume.path);
    let told = |e: Errno| file::failure(path, "open the copy of volume", &e.into());
    let root = folder::open(path.parent().unwrap_or(path)).map_err(told)?;
    let content = fs::openat(&root, aside_name(stack, volume), FOLDER, Mode::empty()).map_err(told)?;
    Ok((root, content))
}

/// From here on it is the volume.
///
/// # Errors
/// Of the file system; something else that is there.
pub(super) fn named(stack: &str, volume: &Volume, root: &OwnedFd) -> Result<(), Failure> {
    let path = Path::new(&volume.path);
    let told = |e: Errno| file::failure(path, "make volume", &e.into());
    let name = path.file_name().ok_or_else(|| told(Errno::INVAL))?;
    fs::renameat_with(root, aside_name(stack, volume), root, name, RenameFlags::NOREPLACE).map_err(told)?;
    fs::fsync(root).map_err(told)
}

/// How often the folder of volumes is made again that another step has removed, or made, in between.
const TRIES: usize = 8;

/// The folder that volumes are in. It is made aside, marked and renamed: one without a mark would stay when the last volume goes.
fn root_of(stack: &str, root: &Path) -> Result<OwnedFd, Failure> {
    let told = |e: Errno| file::failure(root, "make the folder of volumes", &e.into());
    let (Some(above), Some(name)) = (root.parent(), root.file_name()) else {
        return folder::open(root).map_err(told);
    };
    for _ in 0..TRIES {
        match folder::open(root) {
            // These are removed with or without a mark.
            Err(Errno::NOENT) if root.starts_with(volume::ROOT) => {
                file::private_folder(root)?;
                return folder::open(root).map_err(told);
            }
            Err(Errno::NOENT) => file::private_folder(above)?,
            found => return found.map_err(told),
        }
        let aside = root_aside(stack, name);
        let make = || {
            let above = folder::open(above)?;
            match fs::mkdirat(&above, &aside, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
            let made = fs::openat(&above, &aside, FOLDER, Mode::empty())?;
            volume::made(&made);
            fs::fsync(&made)?;
            fs::renameat_with(&above, &aside, &above, name, RenameFlags::NOREPLACE)?;
            fs::fsync(&above)
        };
        match make() {
            Err(Errno::EXIST) => forget_root(stack, root),
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(told(e)),
        }
    }
    folder::open(root).map_err(told)
}

fn root_aside(stack: &str, name: &OsStr) -> OsString {
    let mut aside = OsString::from(format!(".lsx-root-{stack}-"));
    aside.push(name);
    aside
}

/// Removes what a killed run has left of making the folder of volumes.
pub(super) fn forget_root(stack: &str, root: &Path) {
    let above = root.parent().and_then(|above| folder::open(above).ok());
    if let Some((above, name)) = above.zip(root.file_name()) {
        _ = fs::unlinkat(above, root_aside(stack, name), fs::AtFlags::REMOVEDIR);
    }
}

/// A folder that is there already: the volume's own, or in its place one that lsx-ct has made.
fn taken(stack: &str, volume: &Volume, found: OwnedFd) -> Result<OwnedFd, Failure> {
    let path = Path::new(&volume.path);
    let told = |e: io::Error| file::failure(path, "make volume", &e);
    let own = volume::mark(stack, &volume.name);
    match volume::mark_of(&found).map_err(told)? {
        Some(mark) if mark == own => {}
        None if volume.in_place(stack) => {
            volume::set_mark(&found, &own, false).map_err(|e| folder::unmarked(path, &e))?;
        }
        other => return Err(folder::foreign(volume, stack, other.as_deref())),
    }
    Ok(found)
}
