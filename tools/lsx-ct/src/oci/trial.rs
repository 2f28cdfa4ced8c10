//! Tests whether a runtime works here by running something, not by its version. A host may have control groups that one
//! runtime does not support, or lack a permission that another needs.

use super::disk::InstanceFolders;
use super::mounts::{self, Layers};
use super::{closed, command, groups};
use crate::model::{IDS, Ids};
use crate::render::bundle;
use crate::render::values::{HostValues, INIT};
use common::host::Program;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use oci_spec::image::ImageConfiguration;
use serde_json::json;
use std::path::Path;

/// Folder of the layers of tests, beside those of instances, since id shifting depends on the file system, and many kernels
/// do not support it on tmpfs such as /run (before Linux 6.3).
const FOLDER: &str = "/var/lib/lsx/trial";
/// Its mount points: the runtime enters as a user without access to the other folder.
const RUN: &str = "/run/lsx/trial";
/// Its control group, in place of a stack's: no stack has this name.
const GROUP: &str = ".trial";
/// How often user namespaces are tested again if everything else works.
const AGAIN: usize = 3;
/// Ids that no instance uses.
const UNUSED: Ids = Ids { first: 0x3fff_0000, size: IDS };

/// The result of a test.
pub(super) struct Trial {
    pub(super) ids: bool,
    pub(super) cannot: Vec<String>,
}

/// The folders of this process's tests.
fn place(process: i32) -> InstanceFolders {
    let below = |folder: &str| Path::new(folder).join(process.to_string());
    InstanceFolders { disk: below(FOLDER), run: below(RUN) }
}

/// Removes the empty ones.
fn tidy() {
    [FOLDER, RUN, crate::paths::HOME, command::ROOT, "/run/lsx"]
        .map(Path::new)
        .into_iter()
        .for_each(file::remove_empty);
}

/// Removes leftovers of killed tests.
///
/// # Errors
/// If they cannot be removed.
pub(super) fn forget() -> Result<(), Failure> {
    let left = |process: &str| !Path::new("/proc").join(process).exists();
    for folder in [FOLDER, RUN].into_iter().flat_map(|f| std::fs::read_dir(f).into_iter().flatten().flatten())
    {
        if folder.file_name().to_str().is_some_and(left) {
            file::remove_tree(&folder.path())?;
        }
    }
    tidy();
    Ok(())
}

/// Runs something with user namespaces, and without if that fails.
///
/// # Errors
/// The runtime's error without them.
pub(super) fn works(path: &Path) -> Result<Trial, Failure> {
    forget()?;
    let try_it = |kind: &str| {
        let trial = Program::new("/proc/self/exe").args(["trial"]).args([path]).args([kind]);
        let done = trial.run(b"").map(|_| ());
        // Its mounts have ended with it; a failed runtime may leave groups.
        let process = nix::unistd::getpid();
        let place = place(process.as_raw());
        file::remove_tree(&place.disk)?;
        file::remove_tree(&place.run)?;
        groups::remove(GROUP, &process.to_string());
        tidy();
        done
    };
    let mut users = try_it("users");
    if users.is_err() {
        try_it("plain")?;
    }
    // It works without them: the failure may have been temporary, and would cost every instance its isolation, so it is
    // retried.
    for _ in 0..AGAIN {
        if users.is_err() {
            users = try_it("users");
        }
    }
    let why =
        users.err().map(|why| why.program.and_then(|p| p.output.last().cloned()).unwrap_or(why.message));
    let cannot: Vec<String> = why.into_iter().map(|why| format!("user namespaces: {why}")).collect();
    Ok(Trial { ids: cannot.is_empty(), cannot })
}

/// The verb `trial`: one container with lsx's own program, which prints its version.
///
/// # Errors
/// Why it failed.
pub(crate) fn run(runtime: &Path, users: bool) -> Result<(), Failure> {
    mounts::apart()?;
    container(runtime, &place(nix::unistd::getppid().as_raw()), users.then_some(UNUSED))
}

fn container(runtime: &Path, place: &InstanceFolders, ids: Option<Ids>) -> Result<(), Failure> {
    let InstanceFolders { disk, run } = place;
    let (lower, own, files) = (disk.join("lower"), disk.join("own"), run.join("files"));
    place.make()?;
    closed::pass(run, ids)?;
    for (folder, mode) in [(&lower, 0o755), (&own, 0o700), (&files, 0o755)] {
        super::disk::folder_with(folder, mode)?;
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        file::write(&files.join(name), b"", Mode::Public)?;
    }
    let (root, users) = Layers { lower: &[lower], own: &own, run, ids }.mount()?;
    // This program may be on any file system, but instances use the copy beside their layers; so whether its ids can be
    // shifted here does not matter.
    let (program, init) = (common::host::service::sibling(crate::PROGRAM), run.join("init"));
    file::write(&init, b"-", Mode::Program)?;
    mounts::shifted(&program, &init, users.as_ref(), true)
        .or_else(|_| mounts::shifted(&program, &init, None, true))?;
    let values = HostValues {
        init: Some(init.display().to_string()),
        architecture: std::env::consts::ARCH.to_owned(),
        rootfs: root.display().to_string(),
        ids,
        cgroup: groups::name(GROUP, &nix::unistd::getppid().to_string()),
        files: files.display().to_string(),
        ..HostValues::default()
    };
    file::write(&run.join("config.json"), &config(&values)?, Mode::Private)?;
    let id = format!("lsx-trial-{}", std::process::id());
    let said = command::program(runtime).args(["run", "--bundle"]).args([run]).args([&id]).run(b"")?;
    if said.starts_with(crate::PROGRAM.as_bytes()) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(Failure::new(Kind::Failed, "ct.oci.trial", format!("{} ran nothing: {said}", runtime.display())))
}

/// A bundle like that of an instance, with all features that may not work here: its root is empty, and its init runs itself
/// again.
fn config(values: &HostValues) -> Result<Vec<u8>, Failure> {
    let bug = |e: String| Failure::new(Kind::Bug, "ct.oci.trial", e);
    let instance = json!({"name": "trial", "of": "trial", "driver": "oci", "hostname": "trial", "nics": [],
        "image": {"name": "trial", "digest": ""}, "command": [INIT, "--version"], "restart": "no", "hosts": "",
        "running": true});
    let instance = serde_json::from_value(instance).map_err(|e| bug(e.to_string()))?;
    let spec = bundle::config(&instance, &ImageConfiguration::default(), values).map_err(bug)?;
    serde_json::to_vec(&spec).map_err(|e| bug(e.to_string()))
}
