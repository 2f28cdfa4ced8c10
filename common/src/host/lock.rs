//! The lock of one stack on one host: two runs exclude each other, and the lock of a dead run is released.

use crate::failure::{Failure, Kind};
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Held until dropped; the kernel releases it when the process dies (flock(2)). Its file is removed with it.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// The open file that has the lock.
    file: Flock<File>,
}

/// The code of the failure when another run holds the lock.
pub(crate) const LOCKED: &str = "host.locked";

/// Flags for opening: no symbolic link is followed, and no pipe is waited for.
pub const PLAIN: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// The hint for a folder of locks that cannot be created.
const REPAIR: &str =
    "if there is something other than a folder at that path, remove it: lsx creates the folder";

/// Folders with a folder for each stack, whose files are removed one by one.
const SWEPT: [&str; 4] = ["/run/lsx", "/etc/lsx", super::volume::RECORDS, super::file::TIMERS];
/// The interval between attempts while waiting for a lock.
const STEP: Duration = Duration::from_millis(20);

impl Lock {
    /// Takes the lock of `stack` for `tool`; waits for another run to end, at most for `limit` or until `cancel` is set.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn wait(stack: &str, tool: &str, limit: Duration, cancel: &AtomicBool) -> Result<Lock, Failure> {
        let mut taken = Lock::take(stack, tool);
        super::wait::until(limit, STEP, || {
            if taken.as_ref().is_err_and(|failure| failure.code == LOCKED) && !limit.is_zero() {
                taken = Lock::take(stack, tool);
            }
            !taken.as_ref().is_err_and(|failure| failure.code == LOCKED) || cancel.load(Ordering::Relaxed)
        });
        taken
    }

    /// Takes the lock of `stack` for `tool`, or fails at once. Removes temporary files of dead runs first.
    ///
    /// # Errors
    /// Kind `Again` when another run holds it, naming its process; `Denied` or `Failed` when /run/lsx cannot be written.
    pub fn take(stack: &str, tool: &str) -> Result<Lock, Failure> {
        let lock = Lock::take_at(Path::new("/run/lsx"), stack, tool)?;
        SWEPT.iter().for_each(|root| super::file::sweep_all(Path::new(root)));
        Ok(lock)
    }

    /// The same in another folder.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn take_at(root: &Path, stack: &str, tool: &str) -> Result<Lock, Failure> {
        let path = root.join(format!("{stack}.{tool}.lock"));
        loop {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(root);
            made.map_err(|e| super::file::failure(root, "make", &e).hint(REPAIR))?;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(PLAIN)
                .open(&path);
            let file = match file {
                // The folder was removed with the last lock in it, between the two calls.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => {
                    odd(&path)?;
                    return Err(super::file::failure(&path, "open", &e));
                }
                Ok(file) => file,
            };
            odd(&path)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) if !same(&held, &path) => {}
                Ok(mut held) => {
                    let _ = held.set_len(0);
                    let _ = writeln!(held, "{}", std::process::id());
                    return Ok(Lock { path, file: held });
                }
                Err((mut file, _)) => return Err(busy(&mut file, stack, tool)),
            }
        }
    }

    /// Adds a line to its file, after the number of the process.
    pub(crate) fn says(&self, line: &str) {
        let _ = (&*self.file).write_all(format!("{line}\n").as_bytes());
    }
}

impl Drop for Lock {
    /// While the lock is still held, so that another run's file is not removed.
    fn drop(&mut self) {
        let _ = super::file::remove(&self.path);
        self.path.parent().into_iter().for_each(super::file::remove_empty);
    }
}

/// Whether a process holds the lock at a path; false if there is something other than a file.
pub fn held(path: &Path) -> bool {
    plain(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

/// Opens a lock's file; no link is followed, and no pipe is waited for.
pub(crate) fn plain(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(PLAIN).open(path)
}

/// Fails if there is something other than a lock file at the path. It is kept: removing it is not safe if two runs do it.
///
/// # Errors
/// If it is not a regular file.
pub fn odd(path: &Path) -> Result<(), Failure> {
    let kind = match std::fs::symlink_metadata(path).map(|meta| meta.file_type()) {
        Ok(kind) if kind.is_dir() => "a folder",
        Ok(kind) if kind.is_symlink() => "a symbolic link",
        Ok(kind) if !kind.is_file() => "a pipe, a socket or a device",
        _ => return Ok(()),
    };
    let message = format!("{} is {kind}, where lsx has a lock file", path.display());
    Err(Failure::new(Kind::Failed, "host.lock", message)
        .hint(format!("lsx did not create it; remove it: rm -r {}", path.display())))
}

/// Whether the path still leads to the file: its last holder may have removed it after it was opened.
fn same(file: &File, path: &Path) -> bool {
    let number = |meta: std::io::Result<Metadata>| meta.ok().map(|m| (m.dev(), m.ino()));
    number(file.metadata()) == number(std::fs::symlink_metadata(path))
}

fn busy(file: &mut File, stack: &str, tool: &str) -> Failure {
    let mut holder = String::new();
    let _ = file.rewind();
    let _ = file.take(32).read_to_string(&mut holder);
    let number = holder.lines().next().unwrap_or_default().trim().parse::<u32>();
    let who = number.map_or_else(|_| "another run".to_owned(), |pid| format!("process {pid}"));
    Failure::new(Kind::Again, LOCKED, format!("{who} is changing stack {stack} with lsx-{tool}"))
        .hint("wait for it to end and run the same command again")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_no_file_is_left() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("lsx");
        let first = Lock::take_at(&root, "office", "net").unwrap();
        assert_eq!(Lock::take_at(&root, "office", "net").unwrap_err().kind, Kind::Again);
        let other = Lock::take_at(&root, "office", "ct").unwrap();
        drop(first);
        drop(Lock::take_at(&root, "office", "net").unwrap());
        assert!(root.exists());
        drop(other);
        assert!(!root.exists());
    }

    /// Nothing there is opened, followed, waited for or removed.
    #[test]
    fn what_is_no_lock_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let (root, path) = (temp.path(), temp.path().join("office.net.lock"));
        std::fs::write(root.join("other"), "theirs").unwrap();
        let told = |kind: &str| {
            let failure = Lock::take_at(root, "office", "net").unwrap_err();
            assert!(failure.code == "host.lock" && failure.message.contains(kind), "{failure}");
            assert!(failure.hint.unwrap().contains("rm -r ") && !held(&path));
        };
        std::fs::create_dir(&path).unwrap();
        told("a folder");
        std::fs::remove_dir(&path).unwrap();
        for target in ["other", "nowhere"] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            told("a symbolic link");
            std::fs::remove_file(&path).unwrap();
        }
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        told("a pipe");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("other")).unwrap(), "theirs");
        assert!(!root.join("nowhere").exists());
        std::fs::write(&path, [0xff; 100_000]).unwrap();
        let lock = Lock::take_at(root, "office", "net").unwrap();
        std::fs::write(&path, "\u{1b}[2J").unwrap();
        let failure = Lock::take_at(root, "office", "net").unwrap_err();
        assert!(failure.message.starts_with("another run"), "{failure}");
        assert!(held(&path));
        drop(lock);
        assert!(!path.exists());
    }

    #[test]
    fn many_who_want_it_never_have_it_together() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("lsx");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let once = || {
            let Ok(lock) = Lock::take_at(&root, "office", "net") else { return };
            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            drop(lock);
        };
        std::thread::scope(|scope| (0..8).for_each(|_| _ = scope.spawn(|| (0..500).for_each(|_| once()))));
    }
}
