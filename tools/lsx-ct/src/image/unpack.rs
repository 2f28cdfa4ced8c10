//! Unpacks a layer's archive into a folder for overlayfs: with owners, modes, times, attributes and links of the archive,
//! and its whiteouts in the kernel's format.

use super::entries::{Entries, Entry};
use super::limits::{self, Bounds};
use super::place::{Tree, TreeEntry, clean, escape, failed};
use super::{refused, unreadable};
use common::Failure;
use common::host::file;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use tar::EntryType;

/// Devices contained in archives of whole systems. They are created for each instance instead.
const DEVICES: [&[u8]; 8] = [
    b"dev/null",
    b"dev/zero",
    b"dev/full",
    b"dev/random",
    b"dev/urandom",
    b"dev/tty",
    b"dev/console",
    b"dev/ptmx",
];
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Unpacks an archive into an empty folder. After a failure the caller removes what was unpacked.
pub(super) fn unpack<R: Read>(source: R, folder: &Path, what: &Path, bounds: Bounds) -> Result<(), Failure> {
    let mut entries = Entries::new(source, bounds);
    let mut layer = Unpacking {
        tree: Tree::open(folder)?,
        folders: Vec::new(),
        what,
        kept: limits::Kept::default(),
        room: limits::Room::default(),
        buffer: vec![0; 1 << 17],
    };
    while let Some(entry) = entries.next().map_err(|e| unreadable(what, &e))? {
        layer.entry(&entry, &mut entries)?;
    }
    layer.times()
}

struct Unpacking<'a> {
    tree: Tree,
    /// Folders and their times, which are set last, because every new file changes them.
    folders: Vec<(Vec<u8>, (i64, u32))>,
    what: &'a Path,
    kept: limits::Kept,
    room: limits::Room,
    buffer: Vec<u8>,
}

impl Unpacking<'_> {
    fn entry<R: Read>(&mut self, entry: &Entry, data: &mut Entries<R>) -> Result<(), Failure> {
        let name = clean(&entry.name)?;
        self.room.take(self.tree.root(), 0).map_err(|e| self.full(&e))?;
        if name.is_empty() {
            return if entry.kind.is_dir() {
                self.folder(&name, entry)
            } else {
                Err(escape(&entry.name, "not a valid name"))
            };
        }
        let own = name.rsplit(|b| *b == b'/').next().unwrap_or(&name);
        if own.starts_with(WHITEOUT) {
            return self.whiteout(&name);
        }
        match entry.kind {
            EntryType::Directory => self.folder(&name, entry),
            EntryType::Regular | EntryType::Continuous => self.file(&name, entry, data),
            EntryType::Symlink => self.symlink(&name, entry),
            EntryType::Link => self.link(&name, entry),
            EntryType::Fifo => {
                let place = self.fresh(&name)?;
                self.node(&name, &place, FileType::Fifo)?;
                let (folder, own) = place.at();
                let mode = Mode::from_raw_mode(entry.mode);
                self.owned(&name, &place, entry)?;
                rustix::fs::chmodat(folder, own, mode, AtFlags::empty()).map_err(|e| failed(&name, e))
            }
            EntryType::Char | EntryType::Block if DEVICES.contains(&name.as_slice()) => Ok(()),
            EntryType::Char | EntryType::Block => Err(refused(
                "device",
                format!("the layer has the device {} ({}:{})", shown(&name), entry.device.0, entry.device.1),
            )
            .hint("only the standard devices may be in an image")),
            other => {
                Err(refused("archive", format!("{}: an entry of the unknown type {other:?}", shown(&name))))
            }
        }
    }

    fn full(&self, error: &std::io::Error) -> Failure {
        file::failure(self.what, "unpack", error)
    }

    /// A path with any existing entry removed.
    fn fresh(&mut self, name: &[u8]) -> Result<TreeEntry, Failure> {
        let place = self.tree.place(name)?;
        self.tree.clear(name, &place)?;
        Ok(place)
    }

    fn node(&self, name: &[u8], place: &TreeEntry, kind: FileType) -> Result<(), Failure> {
        let (folder, own) = place.at();
        rustix::fs::mknodat(folder, own, kind, Mode::empty(), 0).map_err(|e| failed(name, e))
    }

    fn folder(&mut self, name: &[u8], entry: &Entry) -> Result<(), Failure> {
        if !name.is_empty() {
            let place = self.tree.place(name)?;
            let (folder, own) = place.at();
            let stat = rustix::fs::statat(folder, own, AtFlags::SYMLINK_NOFOLLOW);
            let kind = stat.as_ref().map(|s| FileType::from_raw_mode(s.st_mode));
            if kind != Ok(FileType::Directory) {
                let hidden = kind == Ok(FileType::CharacterDevice);
                self.tree.clear(name, &place)?;
                rustix::fs::mkdirat(folder, own, Mode::from_raw_mode(0o700)).map_err(|e| failed(name, e))?;
                if hidden {
                    self.opaque(name)?;
                }
            }
        }
        let opened = self.tree.opened(name)?;
        self.attributes(name, opened.as_fd(), entry)?;
        self.kept.name(name)?;
        super::parents::said(&*opened).map_err(|e| failed(name, e))?;
        self.folders.push((name.to_vec(), entry.mtime));
        Ok(())
    }

    fn file<R: Read>(&mut self, name: &[u8], entry: &Entry, data: &mut Entries<R>) -> Result<(), Failure> {
        let place = self.fresh(name)?;
        let (folder, own) = place.at();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(folder, own, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(opened.map_err(|e| failed(name, e))?);
        loop {
            match data.read(&mut self.buffer).map_err(|e| unreadable(self.what, &e))? {
                0 => break,
                count => self
                    .room
                    .take(&file, count as u64)
                    .and_then(|()| file.write_all(&self.buffer[..count]))
                    .map_err(|e| file::failure(Path::new(&*String::from_utf8_lossy(name)), "unpack", &e))?,
            }
        }
        self.attributes(name, file.as_fd(), entry)?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(|e| failed(name, e))
    }

    fn symlink(&mut self, name: &[u8], entry: &Entry) -> Result<(), Failure> {
        let place = self.fresh(name)?;
        let (folder, own) = place.at();
        rustix::fs::symlinkat(entry.link.as_slice(), folder, own).map_err(|e| failed(name, e))?;
        self.owned(name, &place, entry)
    }

    /// A hard link to an earlier file of this layer.
    fn link(&mut self, name: &[u8], entry: &Entry) -> Result<(), Failure> {
        let target = clean(&entry.link)?;
        if target == name {
            return Ok(());
        }
        let found = self.tree.existing(&target)?;
        let place = self.fresh(name)?;
        let ((from, old), (to, new)) = (found.at(), place.at());
        rustix::fs::linkat(from, old, to, new, AtFlags::empty()).map_err(|e| match e {
            Errno::NOENT | Errno::PERM => escape(
                name,
                &format!("it is a link to {}, which is not a file of this layer", shown(&target)),
            ),
            e => failed(name, e),
        })
    }

    /// `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` everything in its folder. An entry of this layer with that
    /// name is kept, whichever came first.
    fn whiteout(&mut self, name: &[u8]) -> Result<(), Failure> {
        let (parent, own) = name
            .iter()
            .rposition(|b| *b == b'/')
            .map_or((&b""[..], name), |at| (&name[..at], &name[at + 1..]));
        if own == OPAQUE {
            self.tree.place(name)?;
            return self.opaque(parent);
        }
        if own.starts_with(b".wh..wh.") {
            return Ok(()); // internal files of aufs
        }
        let hidden = &own[WHITEOUT.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(escape(name, "it does not name a file to hide"));
        }
        let path = [parent, hidden].join(&b'/');
        let path = clean(&path)?;
        let place = self.tree.place(&path)?;
        let (folder, own) = place.at();
        match rustix::fs::statat(folder, own, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => self.node(&path, &place, FileType::CharacterDevice),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => self.opaque(&path),
            Ok(_) => Ok(()),
            Err(e) => Err(failed(&path, e)),
        }
    }

    fn opaque(&mut self, name: &[u8]) -> Result<(), Failure> {
        let folder = self.tree.opened(name)?;
        rustix::fs::fsetxattr(&*folder, OPAQUE_XATTR, b"y", XattrFlags::empty()).map_err(|e| failed(name, e))
    }

    /// Owner, then mode, then attributes: the kernel removes setuid bits and capabilities when the owner changes.
    fn attributes(&self, name: &[u8], fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), Failure> {
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        rustix::fs::fchown(fd, Some(uid), Some(gid)).map_err(|e| failed(name, e))?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(|e| failed(name, e))?;
        // No others: trusted.overlay.* in an archive would control overlayfs.
        for (key, value) in &entry.xattrs {
            if key == "security.capability" || key.starts_with("user.") {
                rustix::fs::fsetxattr(fd, key.as_str(), value, XattrFlags::empty())
                    .map_err(|e| failed(name, e))?;
            }
        }
        Ok(())
    }

    /// Owner and time of entries that cannot be opened.
    fn owned(&self, name: &[u8], place: &TreeEntry, entry: &Entry) -> Result<(), Failure> {
        let (folder, own) = place.at();
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        rustix::fs::chownat(folder, own, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|()| rustix::fs::utimensat(folder, own, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|e| failed(name, e))
    }

    fn times(&mut self) -> Result<(), Failure> {
        for (name, mtime) in std::mem::take(&mut self.folders).iter().rev() {
            // A folder replaced by a later entry has no time to restore.
            if let Ok(folder) = self.tree.opened(name) {
                rustix::fs::futimens(&*folder, &times(*mtime)).map_err(|e| failed(name, e))?;
            }
        }
        rustix::fs::syncfs(self.tree.root()).map_err(|e| failed(b".", e))
    }
}

fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
