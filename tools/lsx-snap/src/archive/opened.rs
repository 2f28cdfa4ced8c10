//! Opens what is in a volume: no link is followed, and nothing is opened that is mounted there.

use super::missed::Missed;
use rustic_core::{ErrorKind, ReadSourceOpen, RusticError, RusticResult};
use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// How files are opened: without waiting for a pipe.
pub(super) const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// Opens something in a folder: itself, and nothing that is mounted there.
///
/// # Errors
/// Of the file system; that something is mounted there.
pub(super) fn within(folder: &OwnedFd, name: &OsStr, how: OFlags) -> io::Result<OwnedFd> {
    let how = how.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    match fs::openat2(folder, name, how, Mode::empty(), ResolveFlags::NO_XDEV) {
        Err(Errno::XDEV) => Err(io::Error::other("something is mounted there")),
        opened => Ok(opened?),
    }
}

/// A file that is opened when its turn comes.
pub(super) struct Opens {
    pub(super) folder: Arc<OwnedFd>,
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    /// Its bytes when it was seen.
    pub(super) size: u64,
    pub(super) missed: Arc<Missed>,
}

impl ReadSourceOpen for Opens {
    type Reader = Bytes;

    fn open(self) -> RusticResult<Bytes> {
        let same = |file: &OwnedFd| {
            fs::fstat(file).is_ok_and(|there| {
                there.st_ino == self.inode && FileType::from_raw_mode(there.st_mode) == FileType::RegularFile
            })
        };
        let file = within(&self.folder, &self.name, FILE).and_then(|file| {
            if same(&file) { Ok(file) } else { Err(io::Error::other("another file has its name now")) }
        });
        match file {
            Ok(file) => {
                Ok(Bytes { file: file.into(), left: self.size, path: self.path, missed: self.missed })
            }
            Err(e) => {
                self.missed.add(format!("{}: {e}", self.path.display()));
                Err(RusticError::with_source(ErrorKind::InputOutput, "cannot open a file", e))
            }
        }
    }
}

/// The bytes of a file, as many as it had when it was seen: one that is written to all the time has no end.
pub(super) struct Bytes {
    file: File,
    left: u64,
    path: PathBuf,
    missed: Arc<Missed>,
}

impl Read for Bytes {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(to.len(), |left| left.min(to.len()));
        let read = self.file.read(&mut to[..most]).inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                self.missed.add(format!("{}: {e}", self.path.display()));
            }
        })?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_far_as_it_was_seen() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a"), "words and more").unwrap();
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        let folder: Arc<OwnedFd> = Arc::new(File::open(temp.path()).unwrap().into());
        assert!(within(&folder, OsStr::new("link"), FILE).is_err());
        let inode = fs::fstat(within(&folder, OsStr::new("a"), FILE).unwrap()).unwrap().st_ino;
        let opens = |name: &str, size| {
            let (folder, missed) = (Arc::clone(&folder), Arc::new(Missed::default()));
            Opens { folder, name: name.into(), path: name.into(), inode, size, missed }
        };
        let mut text = String::new();
        opens("a", 5).open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "words");
        std::fs::write(temp.path().join("b"), "another").unwrap();
        let other = opens("b", 7);
        let missed = Arc::clone(&other.missed);
        assert!(other.open().is_err());
        assert_eq!(missed.all(), (1, vec!["b: another file has its name now".to_owned()]));
    }
}
