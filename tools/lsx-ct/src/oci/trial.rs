//! Whether a runtime works here: told by running something with it, not by its version. A host may have control groups that
//! one runtime refuses, or lack a right that another needs; both show only then.

use super::mounts::{self, Layers};
use super::runtime;
use common::host::Program;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where a trial leaves its files; one at a time does no harm to another.
pub(super) const RUN: &str = "/run/lsx/trial";
/// How often user namespaces are tried again where all else works.
const AGAIN: usize = 3;
/// The first of the ids that no instance gets.
const IDS: u32 = 0x3fff_0000;

/// What a trial showed.
pub(super) struct Trial {
    pub(super) ids: bool,
    pub(super) cannot: Vec<String>,
}

/// The folder of the trials that a process makes, one after the other.
fn place(process: i32) -> PathBuf {
    Path::new(RUN).join(process.to_string())
}

/// Runs something with user namespaces, and without where that fails.
///
/// # Errors
/// What the runtime said without them.
pub(super) fn works(path: &Path) -> Result<Trial, Failure> {
    let try_it = |kind: &str| {
        let trial = Program::new("/proc/self/exe").args(["trial"]).args([path]).args([kind]);
        let done = trial.run(b"").map(|_| ());
        // Its mounts have gone with it.
        file::remove_tree(&place(nix::unistd::getpid().as_raw()))?;
        [RUN, runtime::ROOT, "/run/lsx"].map(Path::new).into_iter().for_each(file::remove_empty);
        done
    };
    let mut users = try_it("users");
    if users.is_err() {
        try_it("plain")?;
    }
    // It works without: what kept it from working with may have been the moment, and would cost every instance its isolation.
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

/// The verb `trial`: one container of our own program, which prints its version.
///
/// # Errors
/// What did not work.
pub(crate) fn run(runtime: &Path, users: bool) -> Result<(), Failure> {
    mounts::apart()?;
    container(runtime, &place(nix::unistd::getppid().as_raw()), users.then_some(IDS))
}

fn container(runtime: &Path, place: &Path, ids: Option<u32>) -> Result<(), Failure> {
    let lower = place.join("lower");
    super::disk::folder_with(place, 0o711)?;
    super::disk::folder_with(&lower, 0o755)?;
    super::disk::folder_with(&place.join("own"), 0o711)?;
    file::write(&lower.join("run"), b"-", Mode::Program)?;
    // This program stands in for an image: bound in, since an overlay does not show what is mounted on a layer.
    let (root, users) = Layers { lower: &[lower], own: &place.join("own"), run: place, ids }.mount()?;
    mounts::shifted(&crate::supervise::sibling(crate::PROGRAM), &root.join("run"), users.as_ref(), true)?;
    let kinds = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    let mut linux = json!({"namespaces": kinds, "cgroupsPath": format!("/lsx-trial-{}", std::process::id())});
    if let Some(first) = ids {
        let mapping = json!([{"containerID": 0, "hostID": first, "size": crate::render::bundle::IDS}]);
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping;
        linux["namespaces"].as_array_mut().into_iter().for_each(|all| all.push(json!({"type": "user"})));
    }
    let config = json!({"ociVersion": "1.0.2", "root": {"path": root}, "linux": linux,
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/run", "--version"], "cwd": "/"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}]});
    file::write(&place.join("config.json"), config.to_string().as_bytes(), Mode::Private)?;
    let id = format!("lsx-trial-{}", std::process::id());
    let said = runtime::program(runtime).args(["run", "--bundle"]).args([place]).args([&id]).run(b"")?;
    if said.starts_with(crate::PROGRAM.as_bytes()) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(Failure::new(Kind::Failed, "ct.oci.trial", format!("{} ran nothing: {said}", runtime.display())))
}
