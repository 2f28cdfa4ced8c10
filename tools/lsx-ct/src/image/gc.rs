//! Removes data that nothing uses.

use super::clock::{self, GRACE};
use super::store::Store;
use super::{digest, remove_tree};
use common::Failure;
use common::host::file;
use nix::fcntl::FlockArg;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The result of `images gc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Collected {
    /// Number of blobs removed.
    pub blobs: u64,
    /// Number of unpacked layers removed.
    pub trees: u64,
    /// Size of the blobs in bytes, without unpacked layers.
    pub size_bytes: u64,
}

impl Store {
    /// Removes what neither `used` (manifests, or plain blobs) nor a name needs, if it is older than an hour.
    ///
    /// # Errors
    /// If something cannot be read or removed.
    pub(crate) fn gc(&self, used: &BTreeSet<String>) -> Result<Collected, Failure> {
        // Newer data may be about to be used: by a plan that has not been applied yet.
        self.gc_older(used, GRACE)
    }

    /// The same with another age.
    ///
    /// # Errors
    /// As [`Store::gc`].
    pub(crate) fn gc_older(&self, used: &BTreeSet<String>, age: Duration) -> Result<Collected, Failure> {
        let mut collected = Collected::default();
        if !self.path("").is_dir() {
            return Ok(collected);
        }
        let _alone = self.lock("lock", FlockArg::LockExclusive)?;
        let index = self.index()?;
        let now = clock::now(&self.path(""));
        let old = |path: &Path| old(path, now, age);
        let mut blobs: BTreeSet<String> = used.iter().chain(index.names.values()).cloned().collect();
        let mut trees = BTreeSet::new();
        for (digest, _) in self.all_blobs()? {
            // A new image keeps its layers, even old ones.
            if blobs.contains(&digest) || !old(&self.blob(&digest)?) {
                self.reach(&digest, &mut blobs, &mut trees);
            }
        }
        for (digest, size) in self.all_blobs()? {
            let path = self.blob(&digest)?;
            if !blobs.contains(&digest) && old(&path) {
                file::remove(&path)?;
                collected.blobs += 1;
                collected.size_bytes += size;
            }
        }
        collected.trees = self.gc_trees(&trees, &old)?;
        for path in self.entries("parts").into_iter().filter(|path| old(path)) {
            if path.is_dir() { remove_tree(&path)? } else { _ = file::remove(&path)? }
        }
        let there = |digest: &String| self.blob(digest).is_ok_and(|path| path.exists());
        self.amend(|index| {
            index.sources.retain(|_, digest| there(digest));
            index.ids.retain(|digest, _| there(digest));
        })?;
        Ok(collected)
    }

    /// The parts of an image: its blobs, and its unpacked layers. Other blobs have none.
    fn reach(&self, digest: &str, blobs: &mut BTreeSet<String>, trees: &mut BTreeSet<String>) {
        if let Ok(parts) = self.blobs(digest) {
            blobs.extend(parts.into_iter().map(|blob| blob.digest));
        }
        if let Ok(config) = self.config(digest) {
            trees.extend(
                config.rootfs().diff_ids().iter().filter_map(|id| digest::hex(id).ok()).map(str::to_owned),
            );
        }
    }

    fn gc_trees(&self, used: &BTreeSet<String>, old: &dyn Fn(&Path) -> bool) -> Result<u64, Failure> {
        let mut removed = 0;
        for path in self.entries("trees") {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let digits = name.split('.').next().unwrap_or_default();
            let lock = path.with_file_name(format!("{digits}.lock"));
            if used.contains(digits) || !old(&lock) || name.ends_with(".lock") {
                continue;
            }
            // Renamed first: a partly removed tree must not be taken for a complete one.
            let aside = path.with_extension("new");
            if path != aside {
                remove_tree(&aside)?;
                std::fs::rename(&path, &aside).map_err(|e| file::failure(&path, "remove", &e))?;
                removed += 1;
            }
            remove_tree(&aside)?;
            file::remove(&lock)?;
        }
        Ok(removed)
    }

    pub(super) fn entries(&self, folder: &str) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.path(folder))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect()
    }
}

/// Whether something has not been changed for so long. What is dated in the future is new; a missing file counts as old.
fn old(path: &Path, now: SystemTime, age: Duration) -> bool {
    let Ok(touched) = std::fs::symlink_metadata(path).and_then(|meta| meta.modified()) else { return true };
    now.duration_since(touched).unwrap_or_default() >= age
}
