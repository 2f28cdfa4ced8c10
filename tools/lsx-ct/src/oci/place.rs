//! Files in an instance's root, accessed from the host. The instance may have created anything there, so paths cannot lead
//! out of it (openat2(2)), only regular files are opened, and reads are limited.

use crate::accounts::{Account, Accounts, Alone};
use crate::model::Ids;
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

/// Maximum size of passwd(5) or group(5).
const TEXT: u64 = 4 << 20;
/// Maximum number of symbolic links followed, as in the kernel (path_resolution(7)).
const LINKS: usize = 40;
/// Opens a folder to search, or any entry to examine.
const AT: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The name of a file while it is written.
const TEMPORARY: &str = ".lsx-new";

/// A root, and the ids of its users.
pub(super) struct Root {
    folder: OwnedFd,
    ids: Ids,
}

impl Root {
    pub(super) fn open(root: &Path, ids: Ids) -> Result<Root, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| failed(root, "open", e))?;
        Ok(Root { folder, ids })
    }

    /// The text of a file; `None` if it is missing.
    ///
    /// # Errors
    /// If it is not a regular file, or too large.
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
            let message = format!("{} in the instance is larger than {} MiB", path.display(), TEXT >> 20);
            return Err(Failure::new(Kind::Failed, "ct.oci.place", message));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The first of its ids.
    pub(super) fn ids(&self) -> Ids {
        self.ids
    }

    /// A folder; `None` if it is missing or something else.
    pub(super) fn folder_at(&self, path: &Path) -> Result<Option<OwnedFd>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), within) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            folder => folder.map(Some).map_err(|e| failed(path, "look into", e)),
        }
    }

    /// Writes a file with its owner and mode, replacing a file or link; missing folders are created for root, 0755.
    ///
    /// # Errors
    /// If something other than a regular file or link is there; a link on the path that users other than root can change.
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

    /// Removes a file or a symbolic link; a missing one is no error.
    ///
    /// # Errors
    /// As [`Root::write`].
    pub(super) fn remove(&self, path: &Path) -> Result<(), Failure> {
        let (folder, name) = (self.parent(path)?, path.file_name().unwrap_or_default());
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(e) => Err(failed(path, "remove", e)),
        }
    }

    /// The folder of a path, resolved name by name; missing ones are created.
    pub(super) fn parent(&self, path: &Path) -> Result<OwnedFd, Failure> {
        let told = |e| failed(path, "find the folder of", e);
        let mut left: VecDeque<OsString> = names(path.parent().unwrap_or(Path::new("/")));
        let mut way = vec![self.folder.try_clone().map_err(|_| told(Errno::MFILE))?];
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            let Some(here) = way.last() else { return Err(told(Errno::NOENT)) };
            if name == ".." {
                if way.len() > 1 {
                    way.pop(); // the parent of the root is the root
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

    /// Creates the folder below a tmpfs if it is missing, and sets its mode to that of the tmpfs: runc 1.1 gives a tmpfs the mode of
    /// an existing folder below it, whatever the mount option says.
    pub(super) fn mounted_over(&self, path: &Path, mode: u32) -> Result<(), Failure> {
        let told = |e| failed(path, "make", e);
        let (folder, Some(name)) = (self.parent(path)?, path.file_name()) else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let there = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => self
                .folder(&folder, name)
                .and_then(|_| rustix::fs::openat(&folder, name, flags, Mode::empty())),
            there => there,
        };
        match there {
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(()), // the runtime reports that
            there => {
                there.and_then(|there| rustix::fs::fchmod(there, Mode::from_raw_mode(mode))).map_err(told)
            }
        }
    }

    /// Puts an empty file in the place of a symbolic link, which would lead a mount away. Anything else is left to the runtime.
    pub(super) fn unlinked(&self, path: &Path) -> Result<(), Failure> {
        let (Ok(folder), Some(name)) = (self.parent(path), path.file_name()) else { return Ok(()) };
        let there = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let link = there.is_ok_and(|there| kind(&there) == FileType::Symlink);
        if link { self.write(path, b"", 0o644, &Account::default()) } else { Ok(()) }
    }

    /// Only a link that root alone can have created is followed: another user of the instance could otherwise make root
    /// write anywhere.
    fn trusts(&self, path: &Path, name: &OsStr, link: &Stat, folder: &Stat) -> Result<(), Failure> {
        let roots = |stat: &Stat| stat.st_uid == self.ids.first;
        if roots(link) && roots(folder) && folder.st_mode & 0o022 == 0 {
            return Ok(());
        }
        let message = format!(
            "{} in the instance leads through the symbolic link {}, which users other than its root can change",
            path.display(),
            name.display()
        );
        Err(Failure::new(Kind::Failed, "ct.oci.place", message)
            .hint("write the target path instead, or remove the link in the instance"))
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
        let (user, group) = (self.ids.first + owner.user, self.ids.first + owner.group);
        rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
    }

    /// A user of the instance, by its own passwd(5) and group(5).
    ///
    /// # Errors
    /// If it is unknown there, or its number is outside the instance's ids.
    pub(super) fn account(&self, text: &str, alone: Alone) -> Result<Account, Failure> {
        if text.is_empty() {
            return Ok(Account::default());
        }
        let file = |path| self.read(Path::new(path)).map(Option::unwrap_or_default);
        let accounts = Accounts::read(&file("/etc/passwd")?, &file("/etc/group")?);
        let found = accounts.resolve(text, alone).map_err(|who| {
            Failure::new(Kind::Data, "ct.user", format!("no {who} in the image"))
                .hint("write its number, or add it to the image")
        })?;
        let size = self.ids.size;
        found.within(size).map_err(|who| {
            Failure::new(
                Kind::Data,
                "ct.user",
                format!("{text}: {who} exceeds the {size} ids of the instance"),
            )
            .hint("write a larger number as ids: of the instance, or use a lower user")
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
        _ => "not a folder",
    }
}

fn strange(path: &Path, what: &str) -> Failure {
    let message = format!("{} in the instance is {what}, not a regular file", path.display());
    Failure::new(Kind::Failed, "ct.oci.place", message)
        .hint("remove it in the instance, or write another path")
}

fn failed(path: &Path, verb: &str, error: Errno) -> Failure {
    let error = std::io::Error::from(error);
    let message = format!("cannot {verb} {} in the instance: {error}", path.display());
    let failure = Failure::new(Kind::Failed, "ct.oci.place", message);
    if error.kind() == std::io::ErrorKind::StorageFull { failure.hint("the disk is full") } else { failure }
}

#[cfg(test)]
mod tests;
