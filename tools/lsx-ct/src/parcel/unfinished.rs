//! A file while it is copied: without a name, or beside its target, and renamed when it is complete.

use super::failed;
use common::host::file;
use common::{Failure, Kind};
use nix::libc;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The beginning of the names of unfinished files.
const BESIDE: &str = ".lsx-cp-";

/// How an unfinished file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Without a name, where the file system can: whatever ends this process, nothing is left.
    Unnamed,
    /// With a name that another process can find, which continues it.
    Named,
}

/// See the first line of this file. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Unfinished {
    at: PathBuf,
    file: File,
    /// Its name, if it has one.
    beside: Option<PathBuf>,
    written: u64,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.beside.iter().for_each(|path| _ = file::remove(path));
    }
}

impl Unfinished {
    /// A new file for a path; at an offset, the one that another process began.
    pub(super) fn begin(at: &Path, (offset, mode): (u64, u32), keep: Keep) -> io::Result<Unfinished> {
        if std::fs::symlink_metadata(at).is_ok_and(|found| found.is_dir()) {
            return Err(io::Error::other("there is a folder of this name"));
        }
        let name = beside(at);
        let made = |file, beside| Unfinished { at: at.to_owned(), file, beside, written: offset };
        if offset > 0 {
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let file = OpenOptions::new().append(true).custom_flags(flags).open(&name)?;
            let found = file.metadata()?;
            return match found.is_file() && found.len() == offset {
                true => Ok(made(file, Some(name))),
                false => Err(io::Error::other("the file has changed meanwhile")),
            };
        }
        let new = || {
            let mut options = OpenOptions::new();
            options.write(true).mode(mode);
            options
        };
        if keep == Keep::Unnamed {
            let folder = name.parent().unwrap_or(Path::new("."));
            if let Ok(file) = new().custom_flags(libc::O_TMPFILE).open(folder) {
                return Ok(made(file, None));
            }
        }
        clear(&name)?;
        new().create_new(true).open(&name).map(|file| made(file, Some(name)))
    }

    /// Whether it is for this path.
    pub(super) fn is(&self, at: &Path) -> bool {
        self.at == at
    }

    /// Appends a piece; one that is cut off is an error.
    pub(super) fn append(&mut self, from: &mut impl Read, (offset, size): (u64, u64)) -> io::Result<()> {
        let copied = match self.written == offset {
            true => io::copy(from, &mut self.file)?,
            false => return Err(io::Error::other("a piece of it is missing")),
        };
        self.written += copied;
        if copied == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Gives it its name, in place of the file or link that has it.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let told = |at: &Path, e: io::Error| failed(at, "write", &e);
        if self.beside.is_none() {
            let name = beside(&self.at);
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            clear(&name).map_err(|e| told(&name, e))?;
            let follow = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
            let (here, there) = (nix::fcntl::AT_FDCWD, nix::fcntl::AT_FDCWD);
            nix::unistd::linkat(here, Path::new(&own), there, &name, follow)
                .map_err(|e| told(&name, e.into()))?;
            self.beside = Some(name);
        }
        let name = self.beside.clone().unwrap_or_default();
        std::fs::rename(&name, &self.at).map_err(|e| told(&self.at, e))?;
        self.beside = None;
        Ok(())
    }

    /// Leaves it to another process, by its name.
    pub(super) fn leave(mut self) -> Option<PathBuf> {
        self.beside.take()
    }
}

/// The name of a file until it is complete. It follows from the final one, so that a later process finds it, and the next copy
/// replaces what a killed one left.
fn beside(at: &Path) -> PathBuf {
    let name = at.file_name().unwrap_or_default();
    let digest = Sha256::digest(name.as_encoded_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = at.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.join(format!("{BESIDE}{digest}"))
}

/// Removes an unfinished file, and nothing else.
///
/// # Errors
/// If the path is none.
pub(super) fn abandon(path: &Path) -> Result<(), Failure> {
    let own = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(BESIDE.as_bytes()));
    match own {
        true => file::remove(path).map(drop),
        false => Err(Failure::new(Kind::Failed, "ct.parcel.path", "this is no unfinished file")),
    }
}

/// Removes what is at a path, unless it is a folder.
pub(super) fn clear(at: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => Err(io::Error::other("there is a folder of this name")),
        Ok(_) => file::remove(at).map(|_| ()).map_err(|e| io::Error::other(e.message)),
        Err(_) => Ok(()),
    }
}
