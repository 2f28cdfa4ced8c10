//! The root of an instance: its image's layers, and its own on top. All mounts are made in the supervisor's own mount
//! namespace, so that they end with it.

use super::idmap::Tree;
use super::users;
use crate::model::Ids;
use crate::oci::disk::folder_with;
use common::{Failure, Kind};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The parts of a root.
pub(super) struct Layers<'a> {
    /// The image's layers, topmost first.
    pub(super) lower: &'a [PathBuf],
    /// The instance's own layer, on disk, with `upper` and `work`.
    pub(super) own: &'a Path,
    /// The mount points: `root`, and others that it needs.
    pub(super) run: &'a Path,
    /// Its ids; absent without user namespaces.
    pub(super) ids: Option<Ids>,
}

/// Leaves the host's mount namespace: later mounts are not visible to others.
pub(crate) fn apart() -> Result<(), Failure> {
    let none: Option<&Path> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none))
        .map_err(|e| failed("leave the host's mounts", &e.into()))
}

impl Layers<'_> {
    /// Mounts the root and returns its path, and the user namespace for shifting further folders.
    pub(super) fn mount(&self) -> Result<(PathBuf, Option<OwnedFd>), Failure> {
        let users = self.ids.map(users::namespace).transpose()?;
        let mut lower = Vec::new();
        for (n, tree) in self.lower.iter().enumerate() {
            let target = self.run.join(format!("l{n}"));
            folder_with(&target, 0o700)?;
            shifted(tree, &target, users.as_ref(), false)?;
            lower.push(target.display().to_string());
        }
        let (upper, work, root) = (self.own.join("upper"), self.own.join("work"), self.run.join("root"));
        folder_with(&upper, 0o755)?;
        folder_with(&work, 0o700)?;
        folder_with(&root, 0o755)?;
        let first = self.ids.map_or(0, |ids| ids.first);
        nix::unistd::chown(&upper, Some(first.into()), Some(first.into()))
            .map_err(|e| failed("mount the layer of the instance", &e.into()))?;
        // Escaped for the kernel's option parser; lsx's own paths need no escapes.
        let options =
            format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .map_err(|e| failed("mount the root of the instance", &e.into()))?;
        Ok((root, users))
    }
}

/// Mounts a folder or file of the host at another path, with shifted ids if there is a map.
pub(super) fn shifted(
    source: &Path,
    target: &Path,
    users: Option<&OwnedFd>,
    read_only: bool,
) -> Result<(), Failure> {
    let all = || -> io::Result<()> {
        let tree = Tree::clone_of(source)?;
        if let Some(users) = users {
            tree.shift(users.as_fd())?;
        }
        if read_only {
            tree.read_only()?;
        }
        tree.attach(target)
    };
    all().map_err(|e| failed(&format!("mount {} for the instance", source.display()), &e))
}

/// A tmpfs, for data that must not reach a disk.
pub(super) fn memory(target: &Path, ids: u32) -> Result<(), Failure> {
    let options = format!("mode=0555,size=16m,uid={ids},gid={ids}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|e| failed("mount a tmpfs for secrets", &e.into()))
}

fn failed(what: &str, error: &io::Error) -> Failure {
    let failure = Failure::new(Kind::Failed, "ct.oci.mount", format!("cannot {what}: {error}"));
    match error.raw_os_error() {
        Some(nix::libc::ENOSPC) => failure.hint("the disk is full"),
        Some(nix::libc::EPERM) => failure.hint("this needs root with CAP_SYS_ADMIN"),
        _ => failure,
    }
}
