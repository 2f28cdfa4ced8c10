//! How a repository begins: in an empty folder, with a file in it that says whose the folder is until the repository is there. One run makes
//! it, others wait.

use super::folder::files;
use common::host::file;
use common::host::wait;
use common::{Failure, Kind};
use rustix::fs::{self, AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file.
const MARKER: &str = ".lsx-begun";
/// How long another run may take to make the repository.
const WAIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);
/// How the file is opened: itself, without waiting for a pipe.
const FILE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// What is at the path of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    /// A repository.
    Repository,
    /// Nothing, or what a killed run has begun.
    Nothing,
    /// Something else.
    Other,
}

/// What is there.
///
/// # Errors
/// Of the file system.
pub(super) fn there(folder: &Path) -> Result<There, Failure> {
    look(folder, false)
}

/// The same; with `made`, this run has just made the marker, which says nothing then.
fn look(folder: &Path, made: bool) -> Result<There, Failure> {
    let told = |e: io::Error| file::failure(folder, "read", &e);
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
        entries => entries.map_err(told)?,
    };
    let names: io::Result<Vec<OsString>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names.map_err(told)?;
    names.retain(|name| name != "lost+found" && !(made && name == MARKER));
    if folder.join("config").is_file() {
        return Ok(There::Repository);
    }
    if names.is_empty() {
        return Ok(There::Nothing);
    }
    if made || !plain(&folder.join(MARKER)) {
        return Ok(There::Other);
    }
    // Whatever the marker says: what has content is not begun anew.
    for name in ["data", "index", "snapshots"] {
        match files(&folder.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            found => {
                if !found.map_err(told)?.is_empty() {
                    return Ok(There::Other);
                }
            }
        }
    }
    Ok(There::Nothing)
}

fn plain(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| there.is_file())
}

/// This run makes the repository, and no other: the marker is locked (flock(2)).
#[derive(Debug)]
pub(super) struct Begun {
    folder: PathBuf,
    /// Has the lock.
    _file: OwnedFd,
    /// Whether this run made the marker.
    made: bool,
}

impl Begun {
    /// Waits for another run that makes it.
    ///
    /// # Errors
    /// Of the file system; kind `Again` if the other one does not end.
    pub(super) fn begin(folder: &Path) -> Result<Begun, Failure> {
        let mut begun = Ok(None);
        wait::until(WAIT, STEP, || {
            begun = Begun::attempt(folder);
            !matches!(begun, Ok(None))
        });
        begun?.ok_or_else(|| {
            let message = format!("another run makes the repository at {}", folder.display());
            Failure::new(Kind::Again, "snap.locked", message).hint("wait for it")
        })
    }

    /// None if another run has it.
    fn attempt(folder: &Path) -> Result<Option<Begun>, Failure> {
        if !folder.exists() {
            file::private_folder(folder)?;
        }
        let path = folder.join(MARKER);
        let told = |e: Errno| file::failure(&path, "write", &e.into());
        let new = FILE.union(OFlags::CREATE).union(OFlags::EXCL);
        let (file, made) = match fs::open(&path, new, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => match fs::open(&path, FILE, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(None),
                file => (file.map_err(told)?, false),
            },
            file => (file.map_err(told)?, true),
        };
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked.map_err(told)?,
        }
        // The run that had it may have removed it just now.
        let ours = fs::fstat(&file).map_err(told)?;
        let same = |there: fs::Stat| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino);
        if !fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(same) {
            return Ok(None);
        }
        let above = fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        fs::fsync(&file).and_then(|()| fs::fsync(above?)).map_err(told)?;
        Ok(Some(Begun { folder: folder.to_owned(), _file: file, made }))
    }

    /// What is there now that no other run changes it. What is begun is made ready for a new beginning: a key without a
    /// configuration would be tried first, and fit nothing.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn there(&self) -> Result<There, Failure> {
        let there = look(&self.folder, self.made)?;
        if there == There::Nothing {
            forget(&self.folder.join("keys"))?;
        }
        Ok(there)
    }

    /// Removes the marker, while it is locked.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn end(self) -> Result<(), Failure> {
        file::remove(&self.folder.join(MARKER)).map(|_| ())
    }
}

/// Removes the marker of a run that was killed after it had made the repository.
pub(super) fn tidy(folder: &Path) {
    if plain(&folder.join(MARKER))
        && let Ok(Some(begun)) = Begun::attempt(folder)
    {
        let _ = begun.end();
    }
}

/// Removes keys, and nothing else.
fn forget(keys: &Path) -> Result<(), Failure> {
    let told = |e: io::Error| file::failure(keys, "read", &e);
    if !std::fs::symlink_metadata(keys).is_ok_and(|there| there.is_dir()) {
        return Ok(());
    }
    for entry in std::fs::read_dir(keys).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name();
        let key = name.len() == 64 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
        if key && entry.file_type().map_err(told)?.is_file() {
            file::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;
    use std::fs::{create_dir, create_dir_all, remove_file, write};
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_is_empty_or_begun_is_begun() {
        let temp = tempfile::tempdir().unwrap();
        let at = temp.path().join("x");
        assert_eq!(there(&at).unwrap(), There::Nothing);
        create_dir_all(at.join("lost+found")).unwrap();
        assert_eq!(there(&at).unwrap(), There::Nothing);
        create_dir(at.join("keys")).unwrap();
        assert_eq!(there(&at).unwrap(), There::Other);
        symlink("keys", at.join(MARKER)).unwrap();
        assert_eq!(there(&at).unwrap(), There::Other);
        remove_file(at.join(MARKER)).unwrap();
        write(at.join(MARKER), "").unwrap();
        assert_eq!(there(&at).unwrap(), There::Nothing);
        create_dir(at.join("data")).unwrap();
        write(at.join("data/a"), "").unwrap();
        assert_eq!(there(&at).unwrap(), There::Other);
        write(at.join("config"), "").unwrap();
        assert_eq!(there(&at).unwrap(), There::Repository);
        tidy(&at);
        assert!(!at.join(MARKER).exists());
    }

    #[test]
    fn keys_are_removed_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let (at, key) = (temp.path(), "0a".repeat(32));
        create_dir(at.join("keys")).unwrap();
        write(at.join("keys").join(&key), "").unwrap();
        write(at.join("keys/office.key"), "").unwrap();
        symlink("office.key", at.join("keys").join("0b".repeat(32))).unwrap();
        let begun = Begun::attempt(at).unwrap().unwrap();
        // Somebody else's, since the marker was not there before.
        assert_eq!(begun.there().unwrap(), There::Other);
        assert!(Begun::attempt(at).unwrap().is_none(), "two runs have it");
        drop(begun);
        let begun = Begun::attempt(at).unwrap().unwrap();
        assert_eq!(begun.there().unwrap(), There::Nothing);
        let left = std::fs::read_dir(at.join("keys")).unwrap().count();
        assert_eq!((left, at.join("keys").join(&key).exists()), (2, false));
        begun.end().unwrap();
        assert!(!at.join(MARKER).exists());
    }
}
