//! The tool's own binaries: which they are, the digest that names their copy, and putting that copy on a host.

use super::control::{self, Way, hex};
use super::digests::Digests;
use super::ssh::Ssh;
use super::{Shared, verdict};
use crate::{Failure, Kind};
use sha2::{Digest, Sha256};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where this program itself can be read, even when its file was replaced meanwhile.
const SELF: &str = "/proc/self/exe";

/// A set of binaries for one architecture.
#[derive(Clone, Debug)]
pub(super) struct Set {
    files: Vec<(String, PathBuf)>,
    /// 16 hex digits.
    pub(super) digest: String,
    /// Of the tool itself, in bytes.
    pub(super) size: u64,
}

impl Set {
    /// The set of this program: the first is itself, the others lie beside it. `private`: a folder of ours alone, for what
    /// is remembered of them.
    pub(super) fn own(names: &[String], private: Option<&Path>) -> Result<Set, Failure> {
        let path = std::env::current_exe().map_err(|e| unreadable(Path::new(SELF), &e))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let place = |(n, name): (usize, &String)| if n == 0 { SELF.into() } else { folder.join(name) };
        let files = names.iter().enumerate().map(|(n, name)| (name.clone(), place((n, name)))).collect();
        Set::of(files, private)
    }

    /// The set for another architecture, from the folder of prepared tools.
    pub(super) fn foreign(
        names: &[String],
        tools: Option<&Path>,
        arch: &str,
        private: Option<&Path>,
    ) -> Result<Set, Failure> {
        let message = format!("the host is {arch}, this machine is {}", std::env::consts::ARCH);
        let failure = Failure::new(Kind::Unreachable, "fleet.arch", message);
        let Some(tools) = tools else {
            return Err(failure.hint(format!("put a build for it in a folder {arch}/ and set LSX_TOOLS")));
        };
        let folder = tools.join(arch);
        let files = names.iter().map(|name| (name.clone(), folder.join(name))).collect();
        Set::of(files, private).map_err(|e| {
            let hint = format!("put {} for {arch} in {}", names.join(" and "), folder.display());
            failure.because(e.message).hint(hint)
        })
    }

    fn of(files: Vec<(String, PathBuf)>, private: Option<&Path>) -> Result<Set, Failure> {
        let mut digests = Digests::of(private);
        let mut hash = Sha256::new();
        let mut own = None;
        for (name, path) in &files {
            let (size, digest) = digests.digest(path).map_err(|e| unreadable(path, &e))?;
            own.get_or_insert(size);
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(digest.as_bytes());
        }
        Ok(Set { files, digest: hex(&hash.finalize()[..8]), size: own.unwrap_or_default() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read {}", path.display());
    Failure::new(Kind::Failed, "fleet.set", message).because(error)
}

/// The path of this program's copy on a host, which a boot entry names: where it runs from when that is a copy, else
/// where a fleet that ships its `set` would put it, as [`install`] does: on a host that is local nobody ships anything.
pub fn installed_path(set: &[&str]) -> String {
    let names: Vec<String> = set.iter().map(|name| (*name).to_owned()).collect();
    let tool = set.first().copied().unwrap_or_default();
    let place = |set: Set| format!("{}/{}/{tool}", super::BIN, set.digest);
    match copy() {
        Some(path) => path.display().to_string(),
        None => Set::own(&names, control::existing().as_deref()).map_or_else(|_| SELF.to_owned(), place),
    }
}

/// Makes sure that this machine has a copy of the set below [`super::BIN`], as a host has that it was shipped to, and
/// returns the tool's path there.
///
/// # Errors
/// When a binary of the set cannot be read, or the copy cannot be written.
pub fn install(set: &[String]) -> Result<String, Failure> {
    match copy() {
        Some(path) => Ok(path.display().to_string()),
        None => install_in(Path::new(super::BIN), set),
    }
}

/// This program's file, when it is a copy already.
fn copy() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    // Two controllers that ship at the same time replace each other's file by an equal one.
    let path = PathBuf::from(path.to_str()?.trim_end_matches(" (deleted)"));
    path.starts_with(super::BIN).then_some(path)
}

/// Whoever installs: two at a time would write the same files, and one's new file would be replaced while it is being started.
static INSTALLS: Mutex<()> = Mutex::new(());

fn install_in(root: &Path, names: &[String]) -> Result<String, Failure> {
    let _alone = INSTALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let set = Set::own(names, control::existing().as_deref())?;
    let folder = root.join(&set.digest);
    let failed = |e: io::Error| {
        let message = format!("cannot put a copy of the tool in {}", folder.display());
        Failure::new(Kind::Failed, "fleet.install", message).because(e)
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    for (name, path) in set.files.iter().rev() {
        let (bytes, target) = (read(path)?, folder.join(name));
        if std::fs::read(&target).is_ok_and(|there| there == bytes) {
            continue;
        }
        // The folder is closed; the file itself becomes the first process of instances, whoever runs them there.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let part = tempfile::Builder::new().prefix(".").permissions(mode).tempfile_in(&folder);
        let mut part = part.map_err(failed)?;
        part.write_all(&bytes).and_then(|()| part.as_file().sync_all()).map_err(failed)?;
        part.persist(&target).map_err(|e| failed(e.error))?;
    }
    Ok(folder.join(set.files.first().map_or("", |(name, _)| name)).display().to_string())
}

/// The architecture of a host, in the words of `uname -m`, which are those of Rust for what lsx is built for.
pub(super) async fn arch(ssh: &Ssh, shared: &Shared) -> Result<Option<String>, Failure> {
    let (ended, text) = ssh.run(shared, &["uname", "-m"], b"").await?;
    // The last line: a login's profile may print something first.
    let arch = text.lines().last().unwrap_or_default().trim().to_owned();
    if ended.code != Some(0) || arch.is_empty() || super::ssh::words(&[&arch]).is_err() {
        return Err(verdict::upload("uname -m", &ended));
    }
    Ok((arch != std::env::consts::ARCH).then_some(arch))
}

/// Puts the set on the host. Each file is written under a temporary name, checked there, and renamed; the tool
/// itself comes last, so that finding it means that its set is whole. `None`: the login has not the right, with
/// sudo it may have.
pub(super) async fn upload(ssh: &Ssh, shared: &Shared, way: &Way, set: &Set) -> Result<Option<()>, Failure> {
    let folder = format!("{}/{}", shared.options.bin_root.display(), set.digest);
    let steps = Steps { ssh, shared, way };
    // What tools keep beside it is nobody else's to see, either.
    let root = shared.options.bin_root.display().to_string();
    let home = shared.options.bin_root.parent().unwrap_or(&shared.options.bin_root).display().to_string();
    if steps.run(&["mkdir", "-p", "-m", "0700", &home, &root, &folder], b"").await?.is_none() {
        return Ok(None);
    }
    for (name, path) in set.files.iter().rev() {
        let bytes = read(path)?;
        let sum = hex(&Sha256::digest(&bytes));
        // Two controllers may put it there at the same time.
        let part = format!("{folder}/.{name}.{:016x}", RandomState::new().build_hasher().finish());
        if let Err(failure) = file(&steps, &bytes, &sum, &part, &format!("{folder}/{name}")).await {
            let _ = steps.run(&["rm", "-f", &part], b"").await;
            return Err(failure);
        }
    }
    Ok(Some(()))
}

async fn file(steps: &Steps<'_>, bytes: &[u8], sum: &str, part: &str, path: &str) -> Result<(), Failure> {
    let denied = || Failure::new(Kind::Denied, "fleet.upload", format!("{part} may not be written"));
    let target = format!("of={part}");
    steps.run(&["dd", &target, "bs=65536", "conv=fsync"], bytes).await?.ok_or_else(denied)?;
    let said = steps.run(&["sha256sum", part], b"").await?.ok_or_else(denied)?;
    if !said.lines().any(|line| line.starts_with(sum)) {
        let failure = Failure::new(Kind::Failed, "fleet.upload", "the tool arrived damaged on the host");
        return Err(failure.because(format!("{part} has the digest {said}, not {sum}")));
    }
    steps.run(&["chmod", "0755", part], b"").await?.ok_or_else(denied)?;
    steps.run(&["mv", "-T", "-f", part, path], b"").await?.ok_or_else(denied)?;
    Ok(())
}

/// The host's own small programs, one after the other.
struct Steps<'a> {
    ssh: &'a Ssh,
    shared: &'a Shared,
    way: &'a Way,
}

impl Steps<'_> {
    /// What the program printed; `None` when it lacked a right that sudo may give.
    async fn run(&self, args: &[&str], input: &[u8]) -> Result<Option<String>, Failure> {
        let (ended, text) = self.ssh.run(self.shared, &[self.way.front(), args].concat(), input).await?;
        if ended.code == Some(0) {
            return Ok(Some(text));
        }
        let said = ended.text();
        if !self.way.sudo && said.contains("Permission denied") {
            return Ok(None);
        }
        if self.way.sudo && (ended.code == Some(127) || said.contains("sudo: ")) {
            return Err(verdict::sudo(&ended, self.ssh.address.user.as_deref()));
        }
        Err(verdict::upload(&args.join(" "), &ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_once_and_repaired() {
        let temp = tempfile::tempdir().unwrap();
        // A set of two has another digest than its first alone; the second lies beside this program.
        let own = std::env::current_exe().unwrap();
        let set = ["lsx-ct".to_owned(), own.file_name().unwrap().to_str().unwrap().to_owned()];
        let both = install_in(temp.path(), &set).unwrap();
        let named = installed_path(&[&set[0], &set[1]]);
        assert!(named.ends_with(both.strip_prefix(temp.path().to_str().unwrap()).unwrap()), "{named} {both}");
        let set = ["lsx-net".to_owned()];
        let path = install_in(temp.path(), &set).unwrap();
        let named = installed_path(&["lsx-net"]);
        assert!(named.ends_with(path.strip_prefix(temp.path().to_str().unwrap()).unwrap()), "{named} {path}");
        let file = || std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
        let before = inode();
        assert_eq!((install_in(temp.path(), &set).unwrap(), inode()), (path.clone(), before));
        file().set_len(10).unwrap();
        install_in(temp.path(), &set).unwrap();
        assert_eq!(read(Path::new(&path)).unwrap(), read(Path::new(SELF)).unwrap());
        assert_eq!(std::fs::read_dir(Path::new(&path).parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn another_architecture_comes_from_the_folder_of_tools() {
        let set = ["lsx-net".to_owned()];
        assert_eq!(Set::foreign(&set, None, "riscv64", None).unwrap_err().code, "fleet.arch");
        let temp = tempfile::tempdir().unwrap();
        let missing = Set::foreign(&set, Some(temp.path()), "riscv64", None).unwrap_err();
        assert_eq!((missing.kind, missing.causes.len()), (Kind::Unreachable, 1));
    }
}
