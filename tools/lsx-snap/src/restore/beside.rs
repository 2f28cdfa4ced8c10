//! Folders beside a volume: one is made for what is restored, exchanged with the volume in one moment, and removed.

use crate::model::Restored;
use crate::point;
use common::host::removal::tree;
use common::host::volume::{self, FOLDER};
use common::host::{beneath, btrfs, file};
use common::{Failure, Kind};
use rustix::fs::{self, AtFlags, CWD, Mode, RenameFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// On the folder of a content that was restored: which one. Only root can set it, and snapshots do not have it.
const TOKEN: &str = "trusted.lsx.restored";
/// The most bytes of it.
const LONG: usize = 64;

fn told(path: &Path, verb: &str, e: Errno) -> Failure {
    file::failure(path, verb, &e.into())
}

/// The folder that a volume is in, to which no link leads.
fn root(path: &Path) -> Result<OwnedFd, Failure> {
    let root = path.parent().unwrap_or(Path::new("/"));
    let found = if root.starts_with(volume::ROOT) {
        fs::open(root, FOLDER, Mode::empty())
    } else {
        fs::openat2(CWD, root, FOLDER, Mode::empty(), ResolveFlags::NO_SYMLINKS)
    };
    found.map_err(|e| told(root, "open", e))
}

fn name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_bytes()
}

/// Opens a folder that is beside a volume, or the volume's own.
///
/// # Errors
/// If it is not there.
pub(super) fn open(path: &Path) -> Result<OwnedFd, Failure> {
    beneath::file(root(path)?, name(path), FOLDER).map_err(|e| told(path, "open", e))
}

/// Makes an empty folder of the same kind as the volume, with its limit.
///
/// # Errors
/// Of the file system; something that is there.
pub(super) fn make(one: &Restored) -> Result<OwnedFd, Failure> {
    let (path, to) = (Path::new(&one.path), Path::new(&one.beside));
    if point::is_subvolume(path) {
        btrfs::create(to)?;
        if let Some(limit) = btrfs::quota(path).and_then(|quota| quota.limit) {
            btrfs::limit(to, Some(limit))?;
        }
    } else {
        let made = fs::mkdirat(root(to)?, name(to), Mode::from_raw_mode(0o700));
        made.map_err(|e| told(to, "make", e))?;
    }
    let made = open(to)?;
    fs::fchmod(&made, Mode::from_raw_mode(0o700)).map_err(|e| told(to, "make", e))?;
    Ok(made)
}

/// What was restored has a mark.
///
/// # Errors
/// Of the file system.
pub(super) fn mark(folder: &OwnedFd, one: &Restored) -> Result<(), Failure> {
    fs::fsetxattr(folder, TOKEN, one.token.as_bytes(), XattrFlags::empty())
        .and_then(|()| fs::syncfs(folder))
        .map_err(|e| told(Path::new(&one.beside), "write", e))
}

/// Whether the volume has the content that was restored.
///
/// # Errors
/// If it is not there.
pub(crate) fn has(one: &Restored) -> Result<bool, Failure> {
    Ok(token(&open(Path::new(&one.path))?) == one.token)
}

fn token(folder: &OwnedFd) -> String {
    let mut value = vec![0; LONG];
    let length = fs::fgetxattr(folder, TOKEN, &mut value).unwrap_or_default();
    String::from_utf8_lossy(&value[..length]).into_owned()
}

/// The number of a folder, and of its file system.
///
/// # Errors
/// Of the file system.
pub(super) fn number(folder: &OwnedFd) -> Result<(u64, u64), Errno> {
    fs::fstat(folder).map(|there| (there.st_dev, there.st_ino))
}

/// Exchanges the volume and what is beside it in one moment. `looked` is the volume's folder when it was looked at.
///
/// # Errors
/// Of the file system; another folder is there now.
pub(super) fn exchange(stack: &str, one: &Restored, looked: Option<(u64, u64)>) -> Result<(), Failure> {
    let (path, to) = (Path::new(&one.path), Path::new(&one.beside));
    let wrong = |e: Errno| told(path, "exchange", e);
    let (now, next, root) = (open(path)?, open(to)?, root(path)?);
    let own = volume::mark_of(&now).map_err(|e| file::failure(path, "look at", &e))?;
    let meant = |mark: &String| *mark == volume::mark(stack, &one.volume);
    let other = looked.is_some_and(|looked| number(&now) != Ok(looked)) || !own.as_ref().is_none_or(meant);
    if other {
        let message = format!("something else is at {} now", path.display());
        return Err(
            Failure::new(Kind::Again, "snap.moved", message).hint("nothing was exchanged: run this again")
        );
    }
    if let Some(own) = &own {
        volume::set_mark(&next, own, false).map_err(|e| file::failure(to, "mark", &e))?;
    }
    fs::syncfs(&next).map_err(wrong)?;
    fs::renameat_with(&root, name(path), &root, name(to), RenameFlags::EXCHANGE).map_err(wrong)?;
    fs::fsync(&root).and_then(|()| fs::syncfs(&root)).map_err(wrong)
}

/// What is beside a volume is not taken for it.
///
/// # Errors
/// Of the file system.
pub(super) fn aside(stack: &str, one: &Restored) -> Result<(), Failure> {
    let to = Path::new(&one.beside);
    if to.symlink_metadata().is_err() {
        return Ok(());
    }
    let other = open(to)?;
    let told = |e: std::io::Error| file::failure(to, "mark", &e);
    match volume::mark_of(&other).map_err(told)? {
        Some(mark) if mark == volume::mark(stack, &one.volume) => {
            volume::set_mark(&other, &format!("{mark} restored"), false).map_err(told)
        }
        _ => Ok(()),
    }
}

/// Removes what is beside a volume, if it is there.
///
/// # Errors
/// Of the file system.
pub(super) fn remove(one: &Restored) -> Result<(), Failure> {
    let to = Path::new(&one.beside);
    let Ok(root) = root(to) else { return Ok(()) };
    if fs::statat(&root, name(to), AtFlags::SYMLINK_NOFOLLOW).is_err() {
        return Ok(());
    }
    if point::is_subvolume(to) {
        return point::delete(to);
    }
    tree(&root, &CString::new(name(to)).unwrap_or_default()).map_err(|e| told(to, "remove", e))
}
