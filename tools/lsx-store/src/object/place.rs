//! Folders and files of a bucket: opened so that no name and no link leads out of it; made and removed with the objects in them.

use super::key::OWN;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, mkdirat, openat2, renameat_with, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// How files are opened for reading: nobody is waited for at the other end of a pipe.
pub(super) const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// How folders are opened.
pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// No way leads out, and no link is followed.
pub(super) const STAY: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A name that nobody has.
pub(crate) fn random() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Opens a folder in a folder.
pub(super) fn folder(at: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat2(at, name, FOLDER, Mode::empty(), STAY)
}

/// Opens a folder in a folder; makes it if it is missing.
pub(super) fn made(at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match folder(at, name) {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    match mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    rustix::fs::fsync(at)?;
    Ok(folder(at, name)?)
}

/// The file of an object, by its names.
pub(super) fn file(bucket: &OwnedFd, names: &[String]) -> io::Result<Option<File>> {
    let path = names.join("/");
    match opened(bucket, &path)? {
        Some((_, true)) => Ok(opened(bucket, &format!("{path}/{OWN}"))?.and_then(plain)),
        other => Ok(other.and_then(plain)),
    }
}

fn plain((file, folder): (File, bool)) -> Option<File> {
    (!folder && file.metadata().is_ok_and(|about| about.is_file())).then_some(file)
}

/// Opens a path; whether it is a folder.
pub(super) fn opened(at: impl AsFd, path: &str) -> io::Result<Option<(File, bool)>> {
    match openat2(at, path, FILE, Mode::empty(), STAY) {
        Ok(file) => {
            let file = File::from(file);
            let folder = file.metadata()?.is_dir();
            Ok(Some((file, folder)))
        }
        // A link or a socket is no object, nor is what is below a file.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The folder in which an object is to be, and its name there. Missing folders are made, and an object that is in their way becomes
/// the one of its folder. Called with the lock of the bucket.
pub(super) fn room(bucket: &OwnedFd, drafts: &OwnedFd, names: &[String]) -> io::Result<(OwnedFd, String)> {
    let Some((last, folders)) = names.split_last() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut at = bucket.try_clone()?;
    for name in folders {
        at = match folder(&at, name) {
            Ok(inner) => inner,
            Err(Errno::NOTDIR) => {
                enfold(&at, drafts, name)?;
                folder(&at, name)?
            }
            Err(Errno::NOENT) => made(&at, name)?,
            Err(e) => return Err(e.into()),
        };
    }
    match folder(&at, last) {
        Ok(inner) => Ok((inner, OWN.to_owned())),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok((at, last.clone())),
        Err(e) => Err(e.into()),
    }
}

/// Puts a folder in the place of an object, with the object in it: in one moment, so that no reader misses it.
fn enfold(at: &OwnedFd, drafts: &OwnedFd, name: &str) -> io::Result<()> {
    let there = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(there.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::PermissionDenied.into()); // somebody else's link, or a pipe
    }
    let aside = random()?;
    let inner = made(drafts, &aside)?;
    let done = || -> io::Result<()> {
        rustix::fs::linkat(at, name, &inner, OWN, AtFlags::empty())?;
        rustix::fs::fsync(&inner)?;
        renameat_with(drafts, &aside, at, name, RenameFlags::EXCHANGE)?;
        Ok(rustix::fs::fsync(at)?)
    };
    let done = done();
    if done.is_err() {
        let _ = unlinkat(&inner, OWN, AtFlags::empty());
        let _ = unlinkat(drafts, &aside, AtFlags::REMOVEDIR);
    } else {
        unlinkat(drafts, &aside, AtFlags::empty())?;
    }
    done
}

/// Removes an object, and the folders that are empty then. Whether it was there. Called with the lock of the bucket.
pub(super) fn remove(bucket: &OwnedFd, names: &[String]) -> io::Result<bool> {
    let mut way = vec![bucket.try_clone()?];
    let mut inner = names.to_vec();
    for name in names {
        match folder(way.last().unwrap_or(bucket), name) {
            Ok(folder) => way.push(folder),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => break,
            Err(e) => return Err(e.into()),
        }
    }
    if way.len() == names.len() + 1 {
        inner.push(OWN.to_owned());
    } else if way.len() != names.len() {
        return Ok(false); // a folder on the way is missing
    }
    let (Some(at), Some(last)) = (way.last(), inner.last()) else { return Ok(false) };
    match unlinkat(at, last, AtFlags::empty()) {
        Err(Errno::NOENT | Errno::ISDIR) => return Ok(false),
        other => other?,
    }
    emptied(way, &inner)?;
    Ok(true)
}

/// Removes the folders of an object that has gone to another one, as far as they are empty.
pub(super) fn prune(bucket: &OwnedFd, names: &[String]) -> io::Result<()> {
    let mut way = vec![bucket.try_clone()?];
    for name in names {
        let Ok(inner) = folder(way.last().unwrap_or(bucket), name) else { break };
        way.push(inner);
    }
    emptied(way, names)
}

/// Removes empty folders from the end of a way with these names, and waits for the disk.
fn emptied(mut way: Vec<OwnedFd>, names: &[String]) -> io::Result<()> {
    while way.len() > 1 && unlinkat(&way[way.len() - 2], &names[way.len() - 2], AtFlags::REMOVEDIR).is_ok() {
        way.pop();
    }
    way.last().map_or(Ok(()), |at| Ok(rustix::fs::fsync(at)?))
}
