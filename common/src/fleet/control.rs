//! The private folder of the SSH masters: their sockets and locks, and what is remembered about each host.

use super::Options;
use crate::{Failure, Kind};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The files of one host: the master's socket, the lock for starting the master, and the remembered [`Way`].
#[derive(Debug)]
pub(super) struct Control {
    pub(super) socket: PathBuf,
    lock: PathBuf,
    way: PathBuf,
    away: PathBuf,
}

/// How long a host counts as recently unreachable.
const AWAY: Duration = Duration::from_secs(60);

/// What is remembered of a host, so that the next run starts the tool the right way at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// The login is not root, so `sudo` is needed.
    pub(super) sudo: bool,
    /// Its architecture, when it is not this machine's.
    pub(super) arch: Option<String>,
}

impl Way {
    /// Put before every program on the host. Its messages are parsed, so they must not be translated.
    pub(super) fn front(&self) -> &'static [&'static str] {
        if self.sudo { &["env", "LC_ALL=C", "sudo", "-n"] } else { &["env", "LC_ALL=C"] }
    }
}

/// Distinguishes the fresh connections of one process.
static FRESH: AtomicU32 = AtomicU32::new(0);

impl Control {
    /// The files for an SSH target. Different targets, or one target with different configurations, never share a master.
    pub(super) fn new(options: &Options, ssh: &str, key: Option<&Path>) -> Result<Control, Failure> {
        let folder = folder(options)?;
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(ssh.as_bytes());
        part(key.map_or(b"", |path| path.as_os_str().as_encoded_bytes()));
        part(&nix::unistd::geteuid().as_raw().to_le_bytes());
        if let Some(path) = &options.ssh_config {
            let text = fs::read(path).map_err(|e| {
                let message = format!("cannot read the SSH configuration {}", path.display());
                Failure::new(Kind::Usage, "fleet.config", message).because(e)
            })?;
            part(path.as_os_str().as_encoded_bytes());
            part(&text);
        }
        if options.fresh {
            part(&std::process::id().to_le_bytes());
            part(&FRESH.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        }
        let name = hex(&hash.finalize()[..8]);
        let control = Control {
            lock: folder.join(format!("{name}.lock")),
            way: folder.join(format!("{name}.way")),
            away: folder.join(format!("{name}.away")),
            socket: folder.join(name),
        };
        // ssh binds a temporary name, 17 bytes longer, before it links the socket; the kernel allows 107 bytes.
        if control.socket.as_os_str().len() + 17 > 104 {
            let message = format!("the path {} is too long for a socket", control.socket.display());
            return Err(Failure::new(Kind::Usage, "fleet.control", message));
        }
        Ok(control)
    }

    /// Takes the lock that keeps two runs from starting two masters at one socket.
    pub(super) async fn lock(&self) -> Result<Flock<fs::File>, Failure> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&self.lock)
            .map_err(|e| failure(&self.lock, e))?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
                Err((_, error)) => return Err(failure(&self.lock, error.into())),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The inode of the socket, which changes when the master is restarted.
    pub(super) fn inode(&self) -> Option<u64> {
        fs::symlink_metadata(&self.socket).ok().map(|m| m.ino())
    }

    /// Removes a socket that has no master.
    pub(super) fn clear(&self) {
        let _ = nix::unistd::unlink(&self.socket);
    }

    /// What is remembered of the host; nothing when it is new.
    pub(super) fn way(&self) -> Way {
        let text = fs::read_to_string(&self.way).unwrap_or_default();
        let mut way = Way::default();
        for word in text.split_whitespace() {
            match word.strip_prefix("arch=") {
                Some(arch) => way.arch = Some(arch.to_owned()),
                None => way.sudo |= word == "sudo",
            }
        }
        way
    }

    /// Stores it. It only saves time, so a failure is ignored.
    pub(super) fn learn(&self, way: &Way) {
        let sudo = if way.sudo { "sudo\n" } else { "" };
        let arch = way.arch.as_ref().map(|a| format!("arch={a}\n")).unwrap_or_default();
        let Some(folder) = self.way.parent() else { return };
        let Ok(mut file) = tempfile::NamedTempFile::new_in(folder) else { return };
        if file.write_all(format!("{sudo}{arch}").as_bytes()).is_ok() {
            let _ = file.persist(&self.way);
        }
    }

    /// Whether the host did not answer recently: then the next tool of a pipeline waits for a shorter time.
    pub(super) fn away(&self) -> bool {
        let noted = fs::metadata(&self.away).and_then(|m| m.modified());
        noted.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < AWAY))
    }

    /// Records whether it answers. A failure is ignored, since this only saves time.
    pub(super) fn answers(&self, answers: bool) {
        if answers {
            let _ = nix::unistd::unlink(&self.away);
        } else if let Some(folder) = self.away.parent()
            && let Ok(file) = tempfile::NamedTempFile::new_in(folder)
        {
            let _ = file.persist(&self.away);
        }
    }

    /// Forgets everything about a host that will not be used again.
    pub(super) fn forget(&self) {
        for path in [&self.socket, &self.lock, &self.way, &self.away] {
            let _ = nix::unistd::unlink(path);
        }
    }
}

/// The folder, created when it is missing. It must be writable by this user alone, because whoever can write there can act
/// as this user on every host.
pub(super) fn folder(options: &Options) -> Result<PathBuf, Failure> {
    let path = options.control.clone().unwrap_or_else(usual);
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failure(&path, error)),
        _ => {}
    }
    if !ours(&path).map_err(|e| failure(&path, e))? {
        return Err(taken(&path));
    }
    Ok(path)
}

/// The failure for something else at that path. In /tmp any user can put it there, and then only root can remove it.
fn taken(path: &Path) -> Failure {
    let owner = fs::symlink_metadata(path).map(|found| found.uid()).unwrap_or_default();
    let message = format!("the folder {} must belong to you and be closed to others", path.display());
    let hint = match owner == nix::unistd::geteuid().as_raw() {
        true => format!("check its contents, then remove it: rm -r {}", path.display()),
        false => format!(
            "it is of another user (uid {owner}), and nothing there was used; an administrator can remove it: sudo rm -r {}",
            path.display()
        ),
    };
    Failure::new(Kind::Denied, "fleet.control", message).hint(hint)
}

/// The default folder if it exists; on a machine that is only a host it is not created.
pub(super) fn existing() -> Option<PathBuf> {
    Some(usual()).filter(|path| ours(path).unwrap_or(false))
}

fn usual() -> PathBuf {
    let user = nix::unistd::geteuid();
    let runtime = PathBuf::from(format!("/run/user/{user}"));
    if user.is_root() {
        "/run/lsx-ssh-0".into()
    } else if fs::metadata(&runtime).is_ok_and(|m| m.uid() == user.as_raw()) {
        runtime.join("lsx")
    } else {
        format!("/tmp/lsx-ssh-{user}").into()
    }
}

fn ours(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    let user = nix::unistd::geteuid().as_raw();
    Ok(found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0)
}

fn failure(path: &Path, error: io::Error) -> Failure {
    Failure::new(Kind::Failed, "fleet.control", format!("cannot use {}", path.display())).because(error)
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    #[test]
    fn what_is_not_a_closed_folder_of_this_user_is_not_used() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("control");
        let options = Options { control: Some(path.clone()), ..Options::default() };
        let refused = |words: &str| {
            let failure = folder(&options).unwrap_err();
            assert_eq!(failure.kind, Kind::Denied, "{failure}");
            assert!(failure.hint.unwrap().contains(words), "{words}");
        };
        assert_eq!(folder(&options).unwrap(), path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        refused("then remove it: rm -r");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        // Only root can give a folder to another user.
        if lchown(&path, Some(65_534), None).is_ok() {
            refused("of another user (uid 65534)");
        }
        fs::remove_dir(&path).unwrap();
        for target in [temp.path().join("other"), temp.path().to_owned()] {
            symlink(target, &path).unwrap();
            refused("rm -r");
            fs::remove_file(&path).unwrap();
        }
        assert!(!temp.path().join("other").exists());
    }
}
