//! An object that is being written: a file without a name, which is gone when its writer is.

use super::place::{FILE, STAY, random};
use super::{About, Refused};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat, openat, openat2, unlinkat};
use rustix::io::Errno;
use s3s::crypto::{Checksum as _, Crc64Nvme, Md5};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Files that others may read, such as a web server with the volume.
const MODE: Mode = Mode::from_raw_mode(0o644);

/// A file on its way to its name.
pub(crate) struct Draft {
    file: File,
    /// Its name in the folder of drafts, on file systems that have no files without one.
    name: Option<String>,
    md5: Md5,
    crc: Crc64Nvme,
    size: u64,
}

/// One that has all its bytes, on the disk.
pub(crate) struct Written {
    file: File,
    name: Option<String>,
    pub(crate) md5: [u8; 16],
    pub(crate) crc: u64,
    pub(crate) size: u64,
}

impl Draft {
    /// In a folder, such as that of the drafts of a bucket.
    pub(crate) fn new(drafts: &OwnedFd) -> io::Result<Draft> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let (file, name) = match openat(drafts, ".", flags | OFlags::TMPFILE, MODE) {
            Ok(file) => (file, None),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR | Errno::NOENT) => {
                let name = random()?;
                (openat(drafts, &name, flags | OFlags::CREATE | OFlags::EXCL, MODE)?, Some(name))
            }
            Err(e) => return Err(e.into()),
        };
        // While it is held, nobody sweeps it away.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::fchmod(&file, MODE)?;
        Ok(Draft { file: file.into(), name, md5: Md5::new(), crc: Crc64Nvme::new(), size: 0 })
    }

    /// Who may read it.
    pub(crate) fn mode(&self, mode: Mode) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.file, mode)?)
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.md5.update(bytes);
        self.crc.update(bytes);
        self.size += u64::try_from(bytes.len()).unwrap_or_default();
        self.file.write_all(bytes)
    }

    /// All bytes are there.
    pub(crate) fn done(self) -> Written {
        let Draft { file, name, md5, crc, size } = self;
        Written { file, name, md5: md5.finalize(), crc: u64::from_be_bytes(crc.finalize()), size }
    }
}

impl Written {
    /// Adds what is known of it, and waits for the disk.
    pub(super) fn settle(&self, about: &mut About) -> Result<(), Refused> {
        about.write(&self.file)?;
        Ok(self.sync()?)
    }

    /// Waits for the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives it its name. One that has the name already is replaced, in one moment.
    pub(crate) fn name(&self, drafts: &OwnedFd, folder: &OwnedFd, name: &str) -> io::Result<()> {
        let aside = match &self.name {
            Some(aside) => aside.clone(),
            None => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                match linkat(CWD, &own, folder, name, AtFlags::SYMLINK_FOLLOW) {
                    Err(Errno::EXIST) => {}
                    other => return Ok(other?),
                }
                let aside = random()?;
                linkat(CWD, &own, drafts, &aside, AtFlags::SYMLINK_FOLLOW)?;
                aside
            }
        };
        rustix::fs::renameat(drafts, &aside, folder, name).map_err(|e| {
            let _ = unlinkat(drafts, &aside, AtFlags::empty());
            e.into()
        })
    }

    /// Removes one that is not needed.
    pub(crate) fn drop(&self, drafts: &OwnedFd) {
        if let Some(name) = &self.name {
            let _ = unlinkat(drafts, name, AtFlags::empty());
        }
    }
}

/// Removes what killed servers have left in the folder of drafts; called with the lock of the bucket, so that nobody is about to
/// give one a name.
pub(super) fn sweep(drafts: &OwnedFd) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(drafts)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        match openat2(drafts, &name, FILE, Mode::empty(), STAY) {
            Ok(file) if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() => {}
            Err(Errno::ISDIR) => folder(drafts, &name),
            Ok(file) if File::from(file.try_clone()?).metadata()?.is_dir() => folder(drafts, &name),
            _ => _ = unlinkat(drafts, &name, AtFlags::empty()),
        }
    }
    Ok(())
}

/// A folder that was to take an object's place, with another name of the object in it.
fn folder(drafts: &OwnedFd, name: &str) {
    let _ = unlinkat(drafts, format!("{name}/{}", super::key::OWN), AtFlags::empty());
    let _ = unlinkat(drafts, name, AtFlags::REMOVEDIR);
}
