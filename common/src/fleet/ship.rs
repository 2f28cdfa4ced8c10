//! The tool's own binaries: which they are, the digest that names their copy, and putting that copy on a host.

use super::control::{Way, hex};
use super::ssh::Ssh;
use super::{Shared, verdict};
use crate::{Failure, Kind};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// Where this program itself can be read, even when its file was replaced meanwhile.
const SELF: &str = "/proc/self/exe";

/// A set of binaries for one architecture.
#[derive(Clone, Debug)]
pub(super) struct Set {
    files: Vec<(String, PathBuf)>,
    /// 16 hex digits.
    pub(super) digest: String,
}

impl Set {
    /// The set of this program: the first is itself, the others lie beside it.
    pub(super) fn own(names: &[String]) -> Result<Set, Failure> {
        let path = std::env::current_exe().map_err(|e| unreadable(Path::new(SELF), &e))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let place = |(n, name): (usize, &String)| if n == 0 { SELF.into() } else { folder.join(name) };
        Set::of(names.iter().enumerate().map(|(n, name)| (name.clone(), place((n, name)))).collect())
    }

    /// The set for another architecture, from the folder of prepared tools.
    pub(super) fn foreign(names: &[String], tools: Option<&Path>, arch: &str) -> Result<Set, Failure> {
        let message = format!("the host is {arch}, this machine is {}", std::env::consts::ARCH);
        let failure = Failure::new(Kind::Unreachable, "fleet.arch", message);
        let Some(tools) = tools else {
            return Err(failure.hint(format!("put a build for it in a folder {arch}/ and set LSX_TOOLS")));
        };
        let folder = tools.join(arch);
        Set::of(names.iter().map(|name| (name.clone(), folder.join(name))).collect()).map_err(|e| {
            let hint = format!("put {} for {arch} in {}", names.join(" and "), folder.display());
            failure.because(e.message).hint(hint)
        })
    }

    fn of(files: Vec<(String, PathBuf)>) -> Result<Set, Failure> {
        let mut hash = Sha256::new();
        for (name, path) in &files {
            let bytes = read(path)?;
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(&bytes);
        }
        Ok(Set { files, digest: hex(&hash.finalize()[..8]) })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read {}", path.display());
    Failure::new(Kind::Failed, "fleet.set", message).because(error)
}

/// The path on a host of the copy of this program, shipped alone (its set is itself): what a boot entry runs.
///
/// # Errors
/// When this program's file cannot be read.
pub fn installed_path(tool: &str) -> Result<String, Failure> {
    let set = Set::own(&[tool.to_owned()])?;
    Ok(format!("{}/{}/{tool}", super::BIN, set.digest))
}

/// The architecture of a host, in the words of `uname -m`, which are those of Rust for what lsx is built for.
pub(super) async fn arch(ssh: &Ssh, shared: &Shared) -> Result<Option<String>, Failure> {
    let (ended, text) = ssh.run(shared, &["uname", "-m"], b"").await?;
    let arch = text.trim().to_owned();
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
    let steps = Steps { ssh, shared, sudo: way.sudo };
    if steps.run(&["mkdir", "-p", "-m", "0700", &folder], b"").await?.is_none() {
        return Ok(None);
    }
    for (name, path) in set.files.iter().rev() {
        let bytes = read(path)?;
        let sum = hex(&Sha256::digest(&bytes));
        let part = format!("{folder}/.{name}.{}", std::process::id());
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
    if !said.starts_with(sum) {
        let failure = Failure::new(Kind::Failed, "fleet.upload", "the tool arrived damaged on the host");
        return Err(failure.because(format!("{part} has the digest {said}, not {sum}")));
    }
    steps.run(&["chmod", "0700", part], b"").await?.ok_or_else(denied)?;
    steps.run(&["mv", "-T", "-f", part, path], b"").await?.ok_or_else(denied)?;
    Ok(())
}

/// The host's own small programs, one after the other.
struct Steps<'a> {
    ssh: &'a Ssh,
    shared: &'a Shared,
    sudo: bool,
}

impl Steps<'_> {
    /// What the program printed; `None` when it lacked a right that sudo may give.
    async fn run(&self, args: &[&str], input: &[u8]) -> Result<Option<String>, Failure> {
        let front: &[&str] = if self.sudo { &["sudo", "-n"] } else { &[] };
        let (ended, text) = self.ssh.run(self.shared, &[front, args].concat(), input).await?;
        if ended.code == Some(0) {
            return Ok(Some(text));
        }
        let said = ended.text();
        if !self.sudo && said.contains("Permission denied") {
            return Ok(None);
        }
        if self.sudo && (ended.code == Some(127) || said.contains("sudo: ")) {
            return Err(verdict::sudo(&ended, self.ssh.address.user.as_deref()));
        }
        Err(verdict::upload(&args.join(" "), &ended))
    }
}
