//! The files of an instance on disk, and its range of ids.

use super::ranges;
use crate::grace::{self, GRACE};
use crate::model::{IDS, Ids, Instance};
use crate::paths::{DISK, RUN};
use common::host::Lock;
use common::host::file::{self, Mode};
use common::host::kept::Keeper;
use common::{Failure, Kind};
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Prefix of the folder of an instance that was put aside; no instance has such a name.
pub(crate) const ASIDE: char = '.';

/// The folders of one instance.
#[derive(Clone, Debug)]
pub(crate) struct InstanceFolders {
    /// Kept at reboot.
    pub(crate) disk: PathBuf,
    /// Lost at reboot.
    pub(crate) run: PathBuf,
}

impl InstanceFolders {
    /// Those of an instance whose names have been validated.
    pub(crate) fn new(stack: &str, name: &str) -> Self {
        InstanceFolders {
            disk: Path::new(DISK).join(stack).join(name),
            run: Path::new(RUN).join(stack).join(name),
        }
    }

    /// Time from the stop signal of its instance until it is killed.
    pub(crate) fn stop_grace(&self) -> Duration {
        self.instance().ok().flatten().map_or(GRACE, |instance| grace::of(&instance))
    }

    /// The file with its definition.
    pub(crate) fn definition(&self) -> PathBuf {
        self.disk.join("instance.json")
    }

    /// Its definition; absent if a run was killed before it was complete.
    pub(crate) fn instance(&self) -> Result<Option<Instance>, Failure> {
        let path = self.definition();
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let whole = |instance: Instance| {
            // If the hosts file differs from its digest, the next `up` writes it again.
            let hosts = file::read(&self.disk.join("hosts")).ok().flatten();
            let same = hosts.is_some_and(|text| common::document::digest(text.as_bytes()) == instance.hosts);
            Some(if same { instance } else { Instance { hosts: String::new(), ..instance } })
        };
        serde_json::from_str(&text).map(whole).map_err(|e| {
            let message = format!("{}: not a definition written by lsx-ct: {e}", path.display());
            Failure::new(Kind::Failed, "ct.oci.instance", message)
        })
    }

    /// Writes its definition, which completes it.
    pub(crate) fn keep(&self, instance: &Instance, hosts: &str) -> Result<(), Failure> {
        file::write(&self.disk.join("hosts"), hosts.as_bytes(), Mode::Public)?;
        file::write(&self.definition(), &common::document::canonical(instance)?, Mode::Private)?;
        Ok(())
    }

    /// Writes the requested runtime.
    pub(crate) fn choose(&self, runtime: &str) -> Result<(), Failure> {
        file::write(&self.disk.join("runtime"), runtime.as_bytes(), Mode::Private).map(|_| ())
    }

    /// The runtime requested for it.
    pub(crate) fn choice(&self) -> Result<Option<String>, Failure> {
        file::read(&self.disk.join("runtime"))
    }

    /// Creates its folders, which only root can enter.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        folder_with(Path::new(crate::paths::HOME), 0o700)?;
        folder_with(&self.disk, 0o700)?;
        // Its runtime enters as another user; the folder itself is protected by `closed`.
        folder_with(self.run.parent().unwrap_or(Path::new("/")), 0o711)?;
        folder_with(&self.run, 0o710)
    }

    /// Its ids, if assigned.
    pub(super) fn range(&self) -> Option<Ids> {
        // If the file is damaged, its files show the range: with another one they would have no owner.
        let of_layer = || {
            let first = std::fs::metadata(self.disk.join("upper")).ok()?.uid();
            let size = self.instance().ok().flatten().map_or(IDS, |instance| instance.ids());
            ranges::possible(first).then_some(Ids { first, size })
        };
        read_ids(&self.disk.join("ids")).or_else(of_layer)
    }

    /// Its ids on this host; the range is kept until it is removed.
    pub(crate) fn ids(&self, size: u32) -> Result<Ids, Failure> {
        if let Some(ids) = self.range() {
            return Ok(ids);
        }
        let path = self.disk.join("ids");
        let _lock = wait_for_lock()?;
        let ids = ranges::free(size, &taken(), &ranges::of_host())?;
        let text = if size == IDS { ids.first.to_string() } else { format!("{} {size}", ids.first) };
        file::write(&path, text.as_bytes(), Mode::Private)?;
        Ok(ids)
    }
}

/// Two instances must not take the same range at the same time.
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

/// Removes the lock file of a killed run.
pub(super) fn unlock() {
    if Path::new(RUN).join("all.ids.lock").exists() {
        drop(wait_for_lock()); // the lock's file is removed with the lock
    }
}

/// The first id and their number; without it, the default.
fn read_ids(path: &Path) -> Option<Ids> {
    let text = std::fs::read_to_string(path).ok()?;
    let (first, size) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let size = if size.is_empty() { IDS } else { size.parse().ok()? };
    Some(Ids { first: first.parse().ok()?, size })
}

/// The ranges of all instances of this host.
fn taken() -> Vec<Ids> {
    instances().into_iter().filter_map(|(stack, name)| InstanceFolders::new(&stack, &name).range()).collect()
}

/// The intent of an instance whose own file is damaged. It counts as without a hosts file, so that the next `up` writes
/// both again.
pub(super) fn kept(stack: &str, name: &str) -> Option<Instance> {
    let intent = Keeper::of::<crate::Ct>(stack).intent().ok()??;
    let found = intent.instances.into_iter().find(|instance| instance.name == name)?;
    Some(Instance { hosts: String::new(), ..found })
}

/// All instances on disk, as stack and name.
pub(crate) fn instances() -> Vec<(String, String)> {
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        // An administrator may have moved one to another disk, with a link.
        let folder = |entry: &DirEntry| match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => entry.path().is_dir(),
        };
        let folders = entries.filter(folder);
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

/// Creates the folder of a volume, unless lsx-store has made it; its parents are closed to others.
pub(crate) fn volume(stack: &str, name: &str) -> Result<(), Failure> {
    if common::host::volume::ready(stack, name)?.is_some() {
        return Ok(());
    }
    let path = crate::paths::volume(stack, name);
    folder_with(path.parent().unwrap_or(Path::new("/")), 0o700)?;
    folder_with(&path, 0o755)
}

/// Creates a folder and its parents, with a mode.
pub(crate) fn folder_with(path: &Path, mode: u32) -> Result<(), Failure> {
    let make = || std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    // Another stack's run may remove a parent that is empty yet.
    let made = make().or_else(|e| if e.kind() == ErrorKind::NotFound { make() } else { Err(e) });
    made.map_err(|e| {
        let message = format!("cannot create {}: {e}", path.display());
        Failure::new(Kind::Failed, "ct.oci.folder", message)
    })
}
