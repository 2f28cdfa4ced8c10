//! Adds an image to the store from any source. A source that was added before and has not changed is recognised by its file
//! system attributes.

use super::store::{Store, Stored};
use super::{Source, refused, survey, unreadable};
use common::{Failure, Kind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Store {
    /// The image of a source, added to the store if it is missing.
    ///
    /// # Errors
    /// Errors of the source, or of this host.
    pub(crate) fn bring(&self, source: &Source) -> Result<Stored, Failure> {
        if let Source::Name(name) = source {
            return self.find(name)?.ok_or_else(|| unknown(name));
        }
        let key = self.key(source)?;
        if let Some(digest) = self.known(&key)? {
            return self.stored(&digest);
        }
        let _adding = self.adding()?;
        let digest = match source {
            Source::Layout { folder, tag } => self.layout(folder, tag.as_deref())?,
            Source::Archive(path) => self.archive(path)?,
            Source::Lxd { metadata, rootfs } => self.lxd(metadata, rootfs)?,
            Source::Registry(reference) => self.pull(reference)?,
            Source::Debootstrap(debian) => self.debian(debian)?,
            Source::Name(name) => return Err(unknown(name)),
        };
        let stored = self.stored(&digest)?;
        if !key.is_empty() {
            self.amend(|index| _ = index.sources.insert(key, digest))?;
        }
        Ok(stored)
    }

    /// The same under a name, which keeps it in the store.
    ///
    /// # Errors
    /// As [`Store::bring`], and for an invalid name.
    pub(crate) fn import(&self, source: &Source, name: &str) -> Result<Stored, Failure> {
        super::source::check_name(name)?;
        let digest = self.bring(source)?.digest;
        self.name(name, &digest)
    }

    /// Identifies the state of a source; empty if only reading the source can tell.
    fn key(&self, source: &Source) -> Result<String, Failure> {
        Ok(match source {
            Source::Layout { folder, tag } => {
                format!("oci:{}:{}", facts(&folder.join("index.json"))?, tag.as_deref().unwrap_or_default())
            }
            Source::Archive(path) => format!("tar:{}", facts(path)?),
            Source::Lxd { metadata, rootfs } => format!("lxd:{},{}", facts(metadata)?, facts(rootfs)?),
            Source::Debootstrap(debian) => debian.key(),
            // A digest is constant, but a tag may change any time.
            Source::Registry(reference) if reference.contains('@') => format!("docker://{reference}"),
            Source::Registry(_) | Source::Name(_) => String::new(),
        })
    }

    /// An image added before that is still complete.
    fn known(&self, key: &str) -> Result<Option<String>, Failure> {
        let Some(digest) = self.index()?.sources.remove(key) else { return Ok(None) };
        if !self.has(&digest) {
            return Ok(None);
        }
        // A damaged one is added again.
        let Ok(parts) = self.blobs(&digest) else { return Ok(None) };
        let parts: Vec<String> = parts.into_iter().map(|blob| blob.digest).collect();
        Ok(self.missing(&parts).is_empty().then_some(digest))
    }

    /// An archive of any kind.
    fn archive(&self, path: &Path) -> Result<String, Failure> {
        let survey = survey::of(path)?;
        match survey.kind()? {
            survey::ArchiveForm::Layout => self.oci_archive(path, &survey),
            survey::ArchiveForm::Saved => self.saved(path, &survey),
            survey::ArchiveForm::Lxd => self.unified(path, &survey),
            survey::ArchiveForm::Rootfs => self.rootfs(path, None),
        }
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(Kind::Failed, "ct.image.unknown", format!("no image {name} in the store"))
        .hint(format!("`lsx-ct images ls` lists them; `lsx-ct images import SOURCE --name {name}` adds it"))
}

/// Attributes that change when a file does: path, file system, inode, size, time.
fn facts(path: &Path) -> Result<String, Failure> {
    let whole = path.canonicalize().map_err(|e| unreadable(path, &e))?;
    let meta = whole.metadata().map_err(|e| unreadable(path, &e))?;
    if meta.is_dir() {
        return Err(refused("source", format!("{} is a folder", path.display()))
            .hint("write oci:FOLDER for an OCI image layout"));
    }
    Ok(format!(
        "{}|{}|{}|{}|{}.{}",
        whole.display(),
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec()
    ))
}
