//! The store: a folder of blobs by digest, of unpacked layers, and an index of names. Images are found by reading the
//! blobs, so that data from another host needs no entry in the index.

use super::clock;
use super::{digest, limits, manifest, refused};
use common::host::file::{self, Mode};
use common::host::lock;
use common::{Failure, Kind};
use nix::fcntl::{Flock, FlockArg};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An image store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
    pub(super) access: super::Access,
}

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stored {
    /// Digest of its OCI manifest.
    pub digest: String,
    /// Its names in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Total size of manifest, configuration and layers as stored, in bytes.
    pub size_bytes: u64,
    /// Number of layers.
    pub layers: usize,
    /// Architecture: amd64, arm64.
    pub architecture: String,
    /// Whether it has a name, and is therefore kept by `gc`.
    pub kept: bool,
}

/// A blob of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Blob {
    /// Its digest.
    pub digest: String,
    /// Its size, in bytes.
    pub size_bytes: u64,
}

/// The index: data that is not in blobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Names and their manifests.
    #[serde(default)]
    pub(super) names: BTreeMap<String, String>,
    /// The state of sources, and the manifests they became.
    #[serde(default)]
    pub(super) sources: BTreeMap<String, String>,
    /// The highest user or group id of layers that have been read for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ids: BTreeMap<String, u32>,
}

impl Store {
    /// The store in a folder, which is created on the first write.
    ///
    /// # Errors
    /// If something other than a folder is there.
    pub(crate) fn open(root: &Path) -> Result<Store, Failure> {
        match std::fs::metadata(root) {
            Ok(there) if !there.is_dir() => {
                Err(refused("store", format!("{} is not a folder", root.display())))
            }
            Err(e) if !matches!(e.kind(), ErrorKind::NotFound) => Err(file::failure(root, "read", &e)),
            _ => Ok(Store { root: root.to_owned(), access: super::Access::default() }),
        }
    }

    /// The default folder: below /var/lib for root, else in the user's cache folder.
    pub(crate) fn default_root() -> PathBuf {
        if nix::unistd::geteuid().is_root() {
            return crate::paths::STORE.into();
        }
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        caches.unwrap_or_else(std::env::temp_dir).join("lsx/images")
    }

    /// Its folder, for a message.
    pub(crate) fn place(&self) -> std::path::Display<'_> {
        self.root.display()
    }

    /// How to contact registries.
    #[must_use]
    pub(crate) fn access(mut self, access: super::Access) -> Store {
        self.access = access;
        self
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A folder of the store, created if missing; closed to other users.
    pub(super) fn folder(&self, below: &str) -> Result<PathBuf, Failure> {
        let path = self.path(below);
        let parent = self.root.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        let made = made.and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(&path));
        made.map_err(|e| file::failure(&path, "make", &e))?;
        Ok(path)
    }

    /// Takes a lock of the store: many may add data at the same time, only one may remove.
    pub(super) fn lock(&self, name: &str, how: FlockArg) -> Result<Flock<File>, Failure> {
        let path = self.folder("")?.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        lock::odd(&path)?;
        let file =
            options.custom_flags(lock::PLAIN).open(&path).map_err(|e| file::failure(&path, "open", &e))?;
        Flock::lock(file, how).map_err(|(_, e)| file::failure(&path, "lock", &e.into()))
    }

    pub(super) fn adding(&self) -> Result<Flock<File>, Failure> {
        let lock = self.lock("lock", FlockArg::LockShared)?;
        clock::note(&self.root);
        Ok(lock)
    }

    pub(super) fn index(&self) -> Result<Index, Failure> {
        let path = self.path("index.json");
        let text = file::read(&path)?.unwrap_or_else(|| "{}".to_owned());
        serde_json::from_str(&text).map_err(|e| {
            refused("store", format!("{} is damaged: {e}", path.display()))
                .hint("remove the file; images are kept, but their names are lost")
        })
    }

    /// Changes the index under an exclusive lock.
    pub(super) fn amend(&self, change: impl FnOnce(&mut Index)) -> Result<(), Failure> {
        let _alone = self.lock("index.lock", FlockArg::LockExclusive)?;
        let before = self.index()?;
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            let mut bytes = serde_json::to_vec_pretty(&after)
                .map_err(|e| Failure::new(Kind::Bug, "ct.image.store", e.to_string()))?;
            bytes.push(b'\n');
            file::write(&self.path("index.json"), &bytes, Mode::Private)?;
        }
        Ok(())
    }

    /// An image by its name, its digest, or at least the first twelve digits of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) fn find(&self, name_or_digest: &str) -> Result<Option<Stored>, Failure> {
        if let Some(digest) = self.index()?.names.get(name_or_digest) {
            return self.stored(digest).map(Some);
        }
        let digits = name_or_digest.strip_prefix("sha256:").unwrap_or(name_or_digest);
        if digits.len() < 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let begins = digest::from_hex(digits);
        if digits.len() == 64 {
            return if self.has(&begins) { self.stored(&begins).map(Some) } else { Ok(None) };
        }
        let mut found = self.list()?.into_iter().filter(|image| image.digest.starts_with(&begins));
        Ok(found.next().filter(|_| found.next().is_none()))
    }

    /// All images whose manifest is in the store, by digest.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<Stored>, Failure> {
        let mut all = Vec::new();
        for (digest, size) in self.all_blobs()? {
            let small = size > 1 && size <= limits::DOCUMENT;
            if small && self.get(&digest).is_ok_and(|bytes| manifest::is_manifest(&bytes)) {
                // An image without its configuration is incomplete and is left out.
                all.extend(self.stored(&digest).ok());
            }
        }
        Ok(all)
    }

    /// An image's properties, from its manifest.
    pub(super) fn stored(&self, digest: &str) -> Result<Stored, Failure> {
        let names = self.index()?.names.into_iter().filter(|(_, of)| of == digest).map(|(name, _)| name);
        let names: Vec<String> = names.collect();
        let blobs = self.blobs(digest)?;
        Ok(Stored {
            digest: digest.to_owned(),
            kept: !names.is_empty(),
            names,
            size_bytes: blobs.iter().map(|blob| blob.size_bytes).sum(),
            layers: blobs.len() - 2,
            architecture: self.config(digest)?.architecture().to_string(),
        })
    }

    /// Gives an image a name, which keeps it in the store.
    ///
    /// # Errors
    /// If the image is missing, or the store cannot be written.
    pub(crate) fn name(&self, name: &str, digest: &str) -> Result<Stored, Failure> {
        super::source::check_name(name)?;
        self.stored(digest)?;
        self.amend(|index| _ = index.names.insert(name.to_owned(), digest.to_owned()))?;
        self.stored(digest)
    }

    /// Removes a name; the image is kept until nothing uses it. Returns whether the name existed.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Failure> {
        if !self.index()?.names.contains_key(name) {
            return Ok(false);
        }
        let mut was = false;
        self.amend(|index| was = index.names.remove(name).is_some())?;
        Ok(was)
    }
}
