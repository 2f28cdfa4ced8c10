//! Files inside an instance's root, seen from the host. What runs in it may have put anything there, so nothing leads out of it
//! (openat2(2)), nothing that is no plain file is opened, and nothing is read without an end.

use crate::accounts::{Account, Accounts, Alone};
use crate::render::bundle::IDS;
use common::{Failure, Kind};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

/// No passwd(5) or group(5) is longer.
const TEXT: u64 = 4 << 20;
/// As many links as the kernel itself goes by (path_resolution(7)).
const LINKS: usize = 40;
/// A folder to look into, or something to look at, whatever it is.
const AT: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// What a file is called while it is written.
const TEMPORARY: &str = ".lsx-new";

/// A root, and the first of the ids of its users.
pub(super) struct Root {
    folder: OwnedFd,
    ids: u32,
}

impl Root {
    pub(super) fn open(root: &Path, ids: Option<u32>) -> Result<Root, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| failed(root, "open", e))?;
        Ok(Root { folder, ids: ids.unwrap_or_default() })
    }

    /// The text of a file; `None` when there is none.
    ///
    /// # Errors
    /// What is there and is no plain file, or has no end.
    pub(super) fn read(&self, path: &Path) -> Result<Option<String>, Failure> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file = match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), within) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::NXIO) => return Err(strange(path, "a socket")),
            file => file.map_err(|e| failed(path, "read", e))?,
        };
        plain(path, &rustix::fs::fstat(&file).map_err(|e| failed(path, "read", e))?)?;
        let mut bytes = Vec::new();
        let read = File::from(file).take(TEXT + 1).read_to_end(&mut bytes);
        read.map_err(|e| failed(path, "read", Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        if bytes.len() as u64 > TEXT {
            let message = format!("{} in the instance is longer than {} MiB", path.display(), TEXT >> 20);
            return Err(Failure::new(Kind::Failed, "ct.oci.place", message));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The first of its ids.
    pub(super) fn ids(&self) -> u32 {
        self.ids
    }

    /// A folder; `None` where there is none, or something else.
    pub(super) fn folder_at(&self, path: &Path) -> Result<Option<OwnedFd>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), within) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            folder => folder.map(Some).map_err(|e| failed(path, "look into", e)),
        }
    }

    /// Writes a file with its owner and mode, in place of the file or link that is there; missing folders are root's, 0755.
    ///
    /// # Errors
    /// What is there and is neither a plain file nor a link; a link on the way that others than root can change.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32, owner: &Account) -> Result<(), Failure> {
        let told = |e| failed(path, "write", e);
        let folder = self.parent(path)?;
        let name = path.file_name().ok_or_else(|| told(Errno::ISDIR))?;
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if kind(&there) == FileType::Symlink => {}
            Ok(there) => plain(path, &there)?,
            Err(Errno::NOENT) => {}
            Err(e) => return Err(told(e)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::unlinkat(&folder, TEMPORARY, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => {}
            Err(e) => return Err(told(e)),
        }
        let file = rustix::fs::openat(&folder, TEMPORARY, flags, Mode::from_raw_mode(0o600)).map_err(told)?;
        let mut file = File::from(file);
        let written = self.give(&file, owner).and_then(|()| {
            file.write_all(bytes).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            rustix::fs::renameat(&folder, TEMPORARY, &folder, name)
        });
        written.map_err(|e| {
            let _ = rustix::fs::unlinkat(&folder, TEMPORARY, AtFlags::empty());
            told(e)
        })
    }

    /// The folder a path lies in, walked name by name; missing ones are made.
    pub(super) fn parent(&self, path: &Path) -> Result<OwnedFd, Failure> {
        let told = |e| failed(path, "find the folder of", e);
        let mut left: VecDeque<OsString> = names(path.parent().unwrap_or(Path::new("/")));
        let mut way = vec![self.folder.try_clone().map_err(|_| told(Errno::MFILE))?];
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            let Some(here) = way.last() else { return Err(told(Errno::NOENT)) };
            if name == ".." {
                if way.len() > 1 {
                    way.pop(); // above the root is the root
                }
                continue;
            }
            let next = match rustix::fs::openat(here, &name, AT, Mode::empty()) {
                Err(Errno::NOENT) => self.folder(here, &name).map_err(told)?,
                next => next.map_err(told)?,
            };
            let there = rustix::fs::fstat(&next).map_err(told)?;
            match kind(&there) {
                FileType::Directory => way.push(next),
                FileType::Symlink => {
                    links += 1;
                    self.trusts(path, &name, &there, &rustix::fs::fstat(here).map_err(told)?)?;
                    let target = rustix::fs::readlinkat(&next, "", Vec::new()).map_err(told)?;
                    if links > LINKS {
                        return Err(told(Errno::LOOP));
                    }
                    if target.as_bytes().starts_with(b"/") {
                        way.truncate(1);
                    }
                    let target = OsString::from_vec(target.into_bytes());
                    for name in names(Path::new(&target)).into_iter().rev() {
                        left.push_front(name);
                    }
                }
                other => {
                    return Err(strange(
                        path,
                        &format!("below {}, which is {}", name.display(), word(other)),
                    ));
                }
            }
        }
        way.pop().ok_or_else(|| told(Errno::NOENT))
    }

    /// Only what root alone has made and can change leads elsewhere: a link that somebody else of the instance put there would have
    /// root write where that one may not.
    fn trusts(&self, path: &Path, name: &OsStr, link: &Stat, folder: &Stat) -> Result<(), Failure> {
        let roots = |stat: &Stat| stat.st_uid == self.ids;
        if roots(link) && roots(folder) && folder.st_mode & 0o022 == 0 {
            return Ok(());
        }
        let message = format!(
            "{} in the instance goes by the symbolic link {}, which others than its root can change",
            path.display(),
            name.display()
        );
        Err(Failure::new(Kind::Failed, "ct.oci.place", message)
            .hint("write the path that it leads to, or remove it there"))
    }

    fn folder(&self, at: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
        rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(at, name, flags, Mode::empty())?;
        rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
        self.give(&made, &Account::default())?;
        Ok(made)
    }

    fn give(&self, file: impl AsFd, owner: &Account) -> rustix::io::Result<()> {
        let (user, group) = (self.ids + owner.user, self.ids + owner.group);
        rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
    }

    /// Somebody in it, by its own passwd(5) and group(5).
    ///
    /// # Errors
    /// Who is not known there, or has a number that no instance has.
    pub(super) fn account(&self, text: &str, alone: Alone) -> Result<Account, Failure> {
        if text.is_empty() {
            return Ok(Account::default());
        }
        let file = |path| self.read(Path::new(path)).map(Option::unwrap_or_default);
        let accounts = Accounts::read(&file("/etc/passwd")?, &file("/etc/group")?);
        let found = accounts.resolve(text, alone).map_err(|who| {
            Failure::new(Kind::Data, "ct.user", format!("the image has no {who}"))
                .hint("write its number, or make it in the image")
        })?;
        found.within(IDS).map_err(|who| {
            Failure::new(
                Kind::Data,
                "ct.user",
                format!("{text}: {who} is beyond the {IDS} ids of an instance"),
            )
            .hint("take a number below, or another image")
        })
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn plain(path: &Path, stat: &Stat) -> Result<(), Failure> {
    match kind(stat) {
        FileType::RegularFile => Ok(()),
        other => Err(strange(path, word(other))),
    }
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "no folder",
    }
}

fn strange(path: &Path, what: &str) -> Failure {
    let message = format!("{} in the instance is {what}, and no plain file", path.display());
    Failure::new(Kind::Failed, "ct.oci.place", message).hint("remove it there, or write another path")
}

fn failed(path: &Path, verb: &str, error: Errno) -> Failure {
    let error = std::io::Error::from(error);
    let message = format!("cannot {verb} {} in the instance: {error}", path.display());
    let failure = Failure::new(Kind::Failed, "ct.oci.place", message);
    if error.kind() == std::io::ErrorKind::StorageFull { failure.hint("the disk is full") } else { failure }
}

#[cfg(test)]
mod tests;
