//! Whether a runtime works here: told by running something with it, not by its version. A host may have control groups that
//! one runtime refuses, or lack a right that another needs; both show only then.

use super::mounts::{self, Layers};
use super::runtime;
use crate::model::Limits;
use crate::render::bundle;
use common::host::Program;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where a trial leaves its files; one at a time does no harm to another. It is beside the layers and what instances write: whether
/// ids can be shifted is a question of the file system, and many kernels cannot in memory, which /run is (tmpfs, before Linux 6.3).
pub(super) const FOLDER: &str = "/var/lib/lsx/trial";
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
    Path::new(FOLDER).join(process.to_string())
}

/// Removes what trials left that were killed.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn forget() -> Result<(), Failure> {
    let folders = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let left = |process: &str| !Path::new("/proc").join(process).exists();
    for folder in folders.filter(|f| f.file_name().to_str().is_some_and(left)) {
        file::remove_tree(&folder.path())?;
    }
    [FOLDER, "/var/lib/lsx"].map(Path::new).into_iter().for_each(file::remove_empty);
    Ok(())
}

/// Runs something with user namespaces, and without where that fails.
///
/// # Errors
/// What the runtime said without them.
pub(super) fn works(path: &Path) -> Result<Trial, Failure> {
    forget()?;
    let try_it = |kind: &str| {
        let trial = Program::new("/proc/self/exe").args(["trial"]).args([path]).args([kind]);
        let done = trial.run(b"").map(|_| ());
        // Its mounts have gone with it.
        file::remove_tree(&place(nix::unistd::getpid().as_raw()))?;
        [FOLDER, "/var/lib/lsx", runtime::ROOT, "/run/lsx"].map(Path::new).into_iter().for_each(file::remove_empty);
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
    for folder in ["proc", "dev"] {
        super::disk::folder_with(&lower.join(folder), 0o755)?;
    }
    file::write(&lower.join("run"), b"-", Mode::Program)?;
    // This program stands in for an image: bound in, since an overlay does not show what is mounted on a layer. Wherever it
    // was started from, instances get it from beside their layers; so that its ids cannot be shifted here says nothing.
    let (root, users) = Layers { lower: &[lower], own: &place.join("own"), run: place, ids }.mount()?;
    let program = crate::supervise::sibling(crate::PROGRAM);
    mounts::shifted(&program, &root.join("run"), users.as_ref(), true)
        .or_else(|_| mounts::shifted(&program, &root.join("run"), None, true))?;
    let kinds = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    let mut linux = json!({"namespaces": kinds, "cgroupsPath": format!("/lsx-trial-{}", std::process::id()),
        "resources": bundle::resources(&Limits::default(), false)});
    if let Some(first) = ids {
        let mapping = json!([{"containerID": 0, "hostID": first, "size": bundle::IDS}]);
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping;
        linux["namespaces"].as_array_mut().into_iter().for_each(|all| all.push(json!({"type": "user"})));
    }
    let config = json!({"ociVersion": "1.0.2", "root": {"path": root}, "linux": linux,
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/run", "--version"], "cwd": "/",
            "env": ["PATH=/"]},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}]});
    file::write(&place.join("config.json"), config.to_string().as_bytes(), Mode::Private)?;
    let id = format!("lsx-trial-{}", std::process::id());
    let said = runtime::program(runtime).args(["run", "--bundle"]).args([place]).args([&id]).run(b"")?;
    if said.starts_with(crate::PROGRAM.as_bytes()) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(Failure::new(Kind::Failed, "ct.oci.trial", format!("{} ran nothing: {said}", runtime.display())))
}
