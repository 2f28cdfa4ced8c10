//! What an instance is on disk, and the range of ids that is its own.

use crate::model::{Instance, Intent};
use crate::paths::{DISK, RUN};
use crate::render::bundle::IDS;
use common::host::Lock;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where ranges begin: above what `adduser` gives (subuid(5): 100,000 to 600,100,000).
const FIRST: u32 = 0x4000_0000;
/// How many ranges there are.
const RANGES: u32 = 16_000;

/// What the folder of an instance that was put aside begins with; no instance is called so.
pub(crate) const ASIDE: char = '.';

/// The folders of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Stays over a reboot.
    pub(crate) disk: PathBuf,
    /// Goes with a reboot.
    pub(crate) run: PathBuf,
}

impl Place {
    /// Of an instance whose names have been checked.
    pub(crate) fn new(stack: &str, name: &str) -> Self {
        Place { disk: Path::new(DISK).join(stack).join(name), run: Path::new(RUN).join(stack).join(name) }
    }

    /// What it was made as; absent when a run died before it was whole.
    pub(crate) fn instance(&self) -> Result<Option<Instance>, Failure> {
        let path = self.disk.join("instance.json");
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let whole = |instance: Instance| {
            // One whose hosts file is not what it says is written anew by the next `up`.
            let hosts = file::read(&self.disk.join("hosts")).ok().flatten();
            let same = hosts.is_some_and(|text| common::document::digest(text.as_bytes()) == instance.hosts);
            Some(if same { instance } else { Instance { hosts: String::new(), ..instance } })
        };
        serde_json::from_str(&text).map(whole).map_err(|e| {
            let message = format!("{}: not an instance that lsx-ct wrote: {e}", path.display());
            Failure::new(Kind::Failed, "ct.oci.instance", message)
        })
    }

    /// Writes what it is; from then on it is whole.
    pub(crate) fn keep(&self, instance: &Instance, hosts: &str) -> Result<(), Failure> {
        file::write(&self.disk.join("hosts"), hosts.as_bytes(), Mode::Public)?;
        file::write(
            &self.disk.join("instance.json"),
            &common::document::canonical(instance)?,
            Mode::Private,
        )?;
        Ok(())
    }

    /// Writes which runtime somebody chose for it.
    pub(crate) fn choose(&self, runtime: &str) -> Result<(), Failure> {
        file::write(&self.disk.join("runtime"), runtime.as_bytes(), Mode::Private).map(|_| ())
    }

    /// The runtime that was chosen for it.
    pub(crate) fn choice(&self) -> Result<Option<String>, Failure> {
        file::read(&self.disk.join("runtime"))
    }

    /// Makes its folders; only root looks into them.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        folder_with(Path::new(crate::paths::HOME), 0o700)?;
        folder_with(&self.disk, 0o700)?;
        // Its runtime passes through as somebody else; what is in the folder itself, `closed` keeps.
        folder_with(self.run.parent().unwrap_or(Path::new("/")), 0o711)?;
        folder_with(&self.run, 0o710)
    }

    /// The first of its ids, when it has been given some.
    pub(super) fn range(&self) -> Option<u32> {
        // Where the file is damaged, what it has written tells: it would be nobody's with another range.
        let of_layer = || {
            let owner = std::fs::metadata(self.disk.join("upper")).ok()?.uid();
            (owner >= FIRST && (owner - FIRST).is_multiple_of(IDS)).then_some(owner)
        };
        read_ids(&self.disk.join("ids")).or_else(of_layer)
    }

    /// The first of its ids on this host; the range stays its own until it is removed.
    pub(crate) fn ids(&self) -> Result<u32, Failure> {
        if let Some(first) = self.range() {
            return Ok(first);
        }
        let path = self.disk.join("ids");
        let _lock = wait_for_lock()?;
        let taken = taken();
        let first =
            (0..RANGES).map(|n| FIRST + n * IDS).find(|first| !taken.contains(first)).ok_or_else(|| {
                Failure::new(
                    Kind::Failed,
                    "ct.oci.ids",
                    format!("all {RANGES} ranges of ids are taken on this host"),
                )
            })?;
        file::write(&path, first.to_string().as_bytes(), Mode::Private)?;
        Ok(first)
    }
}

/// Two instances must not find the same range free at the same time.
fn wait_for_lock() -> Result<Lock, Failure> {
    let mut result = Lock::take_at(Path::new(RUN), "all", "ids");
    common::host::wait::until(
        std::time::Duration::from_secs(10),
        std::time::Duration::from_millis(2),
        || {
            if result.as_ref().is_err_and(|e| e.kind == Kind::Again) {
                result = Lock::take_at(Path::new(RUN), "all", "ids");
            }
            !result.as_ref().is_err_and(|e| e.kind == Kind::Again)
        },
    );
    result
}

/// What a run that was killed leaves of that lock.
pub(super) fn unlock() {
    if Path::new(RUN).join("all.ids.lock").exists() {
        drop(wait_for_lock()); // a lock's file goes with its holder
    }
}

fn read_ids(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The ranges of all instances of this host.
fn taken() -> BTreeSet<u32> {
    instances().into_iter().filter_map(|(stack, name)| Place::new(&stack, &name).range()).collect()
}

/// What this host keeps of an instance whose own file is damaged. Its hosts file is nobody's, so that the next `up` writes both anew.
pub(super) fn kept(stack: &str, name: &str) -> Option<Instance> {
    let text = file::read(&crate::paths::intent(stack)).ok()??;
    let intent: Intent = serde_json::from_str(&text).ok()?;
    let found = intent.instances.into_iter().find(|instance| instance.name == name)?;
    Some(Instance { hosts: String::new(), ..found })
}

/// Files that should say what an instance is, and cannot be read.
pub(crate) fn damaged() -> Vec<PathBuf> {
    let whole = |(stack, name): &(String, String)| {
        name.starts_with(ASIDE) || Place::new(stack, name).instance().is_ok()
    };
    let left = instances().into_iter().filter(|instance| !whole(instance));
    left.map(|(stack, name)| Place::new(&stack, &name).disk.join("instance.json")).collect()
}

/// Every instance that is on disk, as stack and name.
pub(crate) fn instances() -> Vec<(String, String)> {
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|e| e.path().is_dir());
        let mut names: Vec<String> = folders.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let mut all = Vec::new();
    for stack in names(Path::new(DISK)) {
        all.extend(names(&Path::new(DISK).join(&stack)).into_iter().map(|name| (stack.clone(), name)));
    }
    all
}

/// Makes the folder of a volume; nobody else looks into those above it.
pub(crate) fn volume(path: &Path) -> Result<(), Failure> {
    folder_with(path.parent().unwrap_or(Path::new("/")), 0o700)?;
    folder_with(path, 0o755)
}

/// Makes a folder, and those above it, with a mode.
pub(crate) fn folder_with(path: &Path, mode: u32) -> Result<(), Failure> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|e| {
        let message = format!("cannot make {}: {e}", path.display());
        Failure::new(Kind::Failed, "ct.oci.folder", message)
    })
}
