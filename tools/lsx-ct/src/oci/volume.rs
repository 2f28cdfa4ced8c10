//! Fills a new volume from the image: owner, mode and content at its path, as Docker does. It is filled aside and renamed,
//! so that an existing one is complete. One of lsx-store exists already, perhaps as a file system of its own: it has a mark until
//! it is filled.

use super::disk::folder_with;
use super::place::Root;
use crate::accounts::Account;
use crate::model::{Ids, Volume};
use common::Failure;
use common::host::{file, volume as stored};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid, XattrFlags};
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Maximum depth of folders.
const DEPTH: usize = 128;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Creates the folder of a missing volume from that in the instance's root; sets owner and mode from the document.
///
/// # Errors
/// Errors of the file system; an unknown owner.
pub(super) fn ready(stack: &str, source: &Path, root: &Root, wanted: &Volume) -> Result<(), Failure> {
    let inside = Path::new(&wanted.path);
    match stored::ready(stack, &wanted.name)? {
        Some(folder) => fill_new(&folder, source, |to| copy_up(root, inside, to, source))?,
        None if !source.exists() => fill(source, root, inside)?,
        None => {}
    }
    let told = |e| file::failure(source, "set owner and mode of", &std::io::Error::from(e));
    if let Some(owner) = &wanted.owner {
        let Account { user, group, .. } = root.account(owner, crate::accounts::Alone::Same)?;
        rustix::fs::chown(source, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))).map_err(told)?;
    }
    if let Some(mode) = wanted.mode {
        rustix::fs::chmod(source, Mode::from_raw_mode(mode)).map_err(told)?;
    }
    Ok(())
}

fn fill(source: &Path, root: &Root, inside: &Path) -> Result<(), Failure> {
    let (Some(above), Some(name)) = (source.parent(), source.file_name()) else {
        return folder_with(source, 0o755);
    };
    folder_with(above, 0o700)?;
    sweep(above)?;
    let aside = above.join(format!(".{}.{}", name.display(), std::process::id()));
    folder_with(&aside, 0o755)?;
    let told = |e: rustix::io::Errno| file::failure(source, "fill", &e.into());
    let to = rustix::fs::open(&aside, FOLDER, Mode::empty()).map_err(told)?;
    let done = copy_up(root, inside, &to, source).and_then(|()| {
        match rustix::fs::renameat_with(
            rustix::fs::CWD,
            &aside,
            rustix::fs::CWD,
            source,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Err(rustix::io::Errno::EXIST) => file::remove_tree(&aside), // another instance of the same volume was first
            done => done.map_err(told),
        }
    });
    if done.is_err() {
        file::remove_tree(&aside)?;
    }
    done
}

/// Copies the folder of the image, if it has one.
fn copy_up(root: &Root, inside: &Path, to: &OwnedFd, source: &Path) -> Result<(), Failure> {
    let Some(from) = root.folder_at(inside)? else { return Ok(()) };
    Copy { ids: root.ids() }.folder(&from, to, 0).map_err(|e| file::failure(source, "fill", &e))
}

/// Fills a volume of lsx-store by `copy`, unless that was done. What a killed process has copied is removed first.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn fill_new(
    folder: &OwnedFd,
    source: &Path,
    copy: impl FnOnce(&OwnedFd) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if !stored::is_new(folder) {
        return Ok(());
    }
    let told = |e: std::io::Error| file::failure(source, "fill", &e);
    rustix::fs::flock(folder, rustix::fs::FlockOperation::LockExclusive).map_err(|e| told(e.into()))?;
    if !stored::is_new(folder) {
        return Ok(()); // another instance was first
    }
    for entry in std::fs::read_dir(source).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            file::remove_tree(&path)?;
        } else {
            file::remove(&path)?;
        }
    }
    copy(folder)?;
    rustix::fs::syncfs(folder).map_err(|e| told(e.into()))?;
    stored::not_new(folder).map_err(told)
}

/// Removes what killed processes left half filled.
///
/// # Errors
/// If it cannot be removed.
pub(crate) fn sweep(above: &Path) -> Result<(), Failure> {
    let left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = name.strip_prefix('.').and_then(|name| Some(name.rsplit_once('.')?.1.to_owned()));
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    };
    let entries = std::fs::read_dir(above).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(left).try_for_each(|path| file::remove_tree(&path))
}

/// Changes the owner of a volume to that of a range of ids, and those of its content; entries already in it are unchanged.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn shift(path: &Path, ids: Ids) -> Result<(), Failure> {
    let told = |e| file::failure(path, "change the owner of", &e);
    let folder = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(|e| told(e.into()))?;
    shift_below(&folder, ids, 0).map_err(told)?;
    let there = rustix::fs::fstat(&folder).map_err(|e| told(e.into()))?;
    let id = |id: u32| ids.outside(id).unwrap_or(id);
    let (user, group) = (Uid::from_raw(id(there.st_uid)), Gid::from_raw(id(there.st_gid)));
    rustix::fs::fchown(&folder, Some(user), Some(group)).map_err(|e| told(e.into()))
}

fn shift_below(folder: &OwnedFd, ids: Ids, depth: usize) -> std::io::Result<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let there = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            shift_below(&rustix::fs::openat(folder, name, FOLDER, Mode::empty())?, ids, depth + 1)?;
        }
        let (user, group) = shifted(&there, ids);
        rustix::fs::chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// An id from the beginning of the range on may be one that was changed before.
fn shifted(there: &Stat, ids: Ids) -> (Uid, Gid) {
    let id = |id: u32| if id < ids.first { ids.outside(id).unwrap_or(id) } else { id };
    (Uid::from_raw(id(there.st_uid)), Gid::from_raw(id(there.st_gid)))
}

fn too_deep() -> std::io::Error {
    std::io::Error::other(format!("folders are nested more than {DEPTH} deep"))
}

/// From the root of an instance, with shifted ids, to the disk, with unshifted ones.
struct Copy {
    ids: Ids,
}

impl Copy {
    fn folder(&self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> std::io::Result<()> {
        if depth > DEPTH {
            return Err(too_deep());
        }
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.entry((from.as_fd(), to.as_fd()), name, depth)?;
        }
        self.attributes(from.as_fd(), to.as_fd(), &rustix::fs::fstat(from)?)
    }

    fn entry(
        &self,
        (from, to): (BorrowedFd<'_>, BorrowedFd<'_>),
        name: &CStr,
        depth: usize,
    ) -> std::io::Result<()> {
        let there = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(there.st_mode) {
            FileType::Directory => {
                let below = rustix::fs::openat(from, name, FOLDER, Mode::empty())?;
                rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                self.folder(&below, &rustix::fs::openat(to, name, FOLDER, Mode::empty())?, depth + 1)
            }
            FileType::RegularFile => {
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let mut old =
                    File::from(rustix::fs::openat(from, name, OFlags::RDONLY | flags, Mode::empty())?);
                let made = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | flags;
                let mut new = File::from(rustix::fs::openat(to, name, made, Mode::from_raw_mode(0o600))?);
                data(&mut old, &mut new, there.st_size.unsigned_abs())?;
                self.attributes(old.as_fd(), new.as_fd(), &there)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                let (user, group) = self.owner(&there);
                Ok(rustix::fs::chownat(to, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
            }
            _ => Ok(()), // a socket or a pipe is created by its program
        }
    }

    /// Copies owner, mode, user attributes and time.
    fn attributes(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, there: &Stat) -> std::io::Result<()> {
        let (user, group) = self.owner(there);
        rustix::fs::fchown(to, Some(user), Some(group))?;
        rustix::fs::fchmod(to, Mode::from_raw_mode(there.st_mode))?;
        let mut names = vec![0; 1 << 16];
        let length = rustix::fs::flistxattr(from, &mut names)?;
        for name in names[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::fgetxattr(from, OsStr::from_bytes(name), &mut value)?;
            rustix::fs::fsetxattr(to, OsStr::from_bytes(name), &value[..length], XattrFlags::empty())?;
        }
        let time = |seconds, nanos| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos };
        let modified = time(there.st_mtime, there.st_mtime_nsec.try_into().unwrap_or_default());
        Ok(rustix::fs::futimens(to, &Timestamps { last_access: modified, last_modification: modified })?)
    }

    /// Its owner in the instance; an owner outside its ids becomes nobody.
    fn owner(&self, there: &Stat) -> (Uid, Gid) {
        const NOBODY: u32 = 65_534;
        let id = |id: u32| self.ids.inside(id).unwrap_or(NOBODY);
        (Uid::from_raw(id(there.st_uid)), Gid::from_raw(id(there.st_gid)))
    }
}

/// Copies the content of a file, without its holes.
fn data(from: &mut File, to: &mut File, size: u64) -> std::io::Result<()> {
    let mut at = 0;
    while at < size {
        let begin = match rustix::fs::seek(&*from, rustix::fs::SeekFrom::Data(at)) {
            Err(rustix::io::Errno::NXIO) => break, // a hole to the end
            begin => begin?,
        };
        let end = rustix::fs::seek(&*from, rustix::fs::SeekFrom::Hole(begin))?;
        from.seek(SeekFrom::Start(begin))?;
        to.seek(SeekFrom::Start(begin))?;
        std::io::copy(&mut Read::by_ref(from).take(end - begin), to)?;
        at = end;
    }
    to.flush()?;
    to.set_len(size)
}
