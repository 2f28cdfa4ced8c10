//! Copies the tool to a host that lacks it: each file once, compressed in transit, in a folder named after its digest.

use super::control::Way;
use super::set::{Part, Set};
use super::ssh::Ssh;
use super::{Shared, verdict};
use crate::{Failure, Kind};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The architecture of a host, in the words of `uname -m`, which are the same as Rust's for the supported ones.
pub(super) async fn arch(ssh: &Ssh, shared: &Shared) -> Result<Option<String>, Failure> {
    let (ended, text) = ssh.run(shared, &["uname", "-m"], b"").await?;
    // The last line, since a login's profile may print something first.
    let arch = text.lines().last().unwrap_or_default().trim().to_owned();
    if ended.code != Some(0) || arch.is_empty() || super::ssh::words(&[&arch]).is_err() {
        return Err(verdict::upload("uname -m", &ended));
    }
    Ok((arch != std::env::consts::ARCH).then_some(arch))
}

/// Copies the set to the host. Each file is written under a temporary name, checked there, and renamed; an existing one
/// is not sent. In the folder of a set of several files, each has a second name. The tool comes last, so that
/// finding it means that its set is complete. `None`: the login lacks permission, which sudo may give.
pub(super) async fn upload(ssh: &Ssh, shared: &Shared, way: &Way, set: &Set) -> Result<Option<()>, Failure> {
    let steps = Steps { ssh, shared, way };
    let root = shared.options.bin_root.display().to_string();
    // Other files of tools there must not be readable by others, either.
    let home = shared.options.bin_root.parent().unwrap_or(&shared.options.bin_root).display().to_string();
    let folder = format!("{root}/{}", set.digest);
    let own: Vec<String> = set.parts.iter().map(|part| format!("{root}/{}", part.address)).collect();
    let folders = [&home, &root, &folder].into_iter().chain(&own).map(String::as_str);
    let mkdir: Vec<&str> = ["mkdir", "-p", "-m", "0700"].into_iter().chain(folders).collect();
    if steps.run(&mkdir, b"").await?.is_none() {
        return Ok(None);
    }
    for (part, own) in set.parts.iter().zip(&own).rev() {
        let place = format!("{own}/{}", part.name);
        if !steps.has(&place, &part.digest).await? {
            // Two controllers may copy it at the same time.
            let new = format!("{own}/.{}.{:016x}", part.name, RandomState::new().build_hasher().finish());
            if let Err(failure) = send(&steps, part, &new, &place).await {
                let _ = steps.run(&["rm", "-f", &new, &packed(&new)], b"").await;
                return Err(failure);
            }
        }
        if *own != folder {
            let target = format!("{folder}/{}", part.name);
            steps.must(&["ln", "-f", &place, &target], b"").await?;
        }
    }
    Ok(Some(()))
}

/// A command that unpacks to `new` by `gzip -d`.
fn packed(new: &str) -> String {
    format!("{new}.gz")
}

/// One file, written to `new`, and renamed to `place` when it is complete and on the disk.
async fn send(steps: &Steps<'_>, part: &Part, new: &str, place: &str) -> Result<(), Failure> {
    let part = part.clone();
    // Reading and compressing block, so they get a thread of their own; the part keeps the compressed bytes.
    let read = move || {
        part.read().map(|bytes| {
            part.packed(&bytes);
            (part, bytes)
        })
    };
    let read = tokio::task::spawn_blocking(read).await;
    let (part, bytes) =
        read.map_err(|e| Failure::new(Kind::Bug, "fleet.set", "a task ended unexpectedly").because(e))??;
    let target = format!("of={new}");
    if unpack(steps, part.packed(&bytes), new).await? {
        // It writes nothing, and waits until everything is on the disk.
        steps.must(&["dd", "if=/dev/null", &target, "conv=notrunc", "conv=fsync"], b"").await?;
    } else {
        steps.must(&["dd", &target, "bs=65536", "conv=fsync"], &bytes).await?;
    }
    if !steps.has(new, &part.digest).await? {
        let failure = Failure::new(Kind::Failed, "fleet.upload", "the tool arrived damaged on the host");
        return Err(failure.because(format!("{new} does not have the digest {}", part.digest)));
    }
    steps.must(&["chmod", "0755", new], b"").await?;
    steps.must(&["mv", "-T", "-f", new, place], b"").await?;
    Ok(())
}

/// Sends a file compressed; false if that failed, for example without gzip or space: then it is sent uncompressed.
async fn unpack(steps: &Steps<'_>, small: &[u8], new: &str) -> Result<bool, Failure> {
    let packed = packed(new);
    steps.must(&["dd", &format!("of={packed}"), "bs=65536"], small).await?;
    let (ended, _) = steps.try_run(&["gzip", "-d", "-f", &packed]).await?;
    if ended.code != Some(0) {
        steps.must(&["rm", "-f", &packed], b"").await?;
    }
    Ok(ended.code == Some(0))
}

/// The host's own small programs, one after the other.
struct Steps<'a> {
    ssh: &'a Ssh,
    shared: &'a Shared,
    way: &'a Way,
}

impl Steps<'_> {
    /// Runs one and ignores its exit code.
    async fn try_run(&self, args: &[&str]) -> Result<(super::ended::Ended, String), Failure> {
        self.ssh.run(self.shared, &[self.way.front(), args].concat(), b"").await
    }

    /// Whether a file exists with this content.
    async fn has(&self, path: &str, digest: &str) -> Result<bool, Failure> {
        let (ended, said) = self.try_run(&["sha256sum", path]).await?;
        Ok(ended.code == Some(0) && said.lines().any(|line| line.starts_with(digest)))
    }

    /// The output of the program, which must have the permissions it needs.
    async fn must(&self, args: &[&str], input: &[u8]) -> Result<String, Failure> {
        let denied =
            || Failure::new(Kind::Denied, "fleet.upload", format!("`{}` is not allowed", args.join(" ")));
        self.run(args, input).await?.ok_or_else(denied)
    }

    /// The same; `None` if it lacked a permission that sudo may give.
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
