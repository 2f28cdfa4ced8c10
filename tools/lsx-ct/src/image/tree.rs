//! Unpacked layers, one folder each by the digest of the uncompressed archive: created once for all images and stacks.

use super::digest::{self, Summing};
use super::limits::{BOUNDS, Bounds};
use super::store::Store;
use super::{blobs, decode, parents, refused, remove_tree, unpack, unreadable};
use common::host::file;
use common::{Failure, Kind};
use nix::fcntl::FlockArg;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

impl Store {
    /// The layers of an image as folders, the topmost first, for overlayfs. Missing ones are unpacked. Ids on disk are
    /// those of the archive; they are mapped when mounted.
    ///
    /// # Errors
    /// `Denied` without root; errors of a layer.
    pub(crate) fn trees(&self, manifest: &str) -> Result<Vec<PathBuf>, Failure> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::new(Kind::Denied, "ct.image.denied", "only root can unpack an image")
                .because("its files belong to several users")
                .hint("run it as root"));
        }
        let document = self.manifest(manifest)?;
        let config = self.config(manifest)?;
        let (layers, plain) = (document.layers(), config.rootfs().diff_ids());
        if layers.len() != plain.len() {
            let message =
                format!("{manifest}: {} layers, but {} digests of layers", layers.len(), plain.len());
            return Err(refused("config", message));
        }
        let _adding = self.adding()?;
        let mut trees: Vec<PathBuf> = Vec::new();
        for (layer, plain) in layers.iter().zip(plain).rev() {
            let tree = self.tree(layer.digest().as_ref(), plain, BOUNDS)?;
            // A layer that is used twice counts at its higher position; overlayfs does not accept the same folder twice.
            if !trees.contains(&tree) {
                trees.push(tree);
            }
        }
        if let [top, _, ..] = &trees[..] {
            let _mine = self.lock(&format!("trees/{}.lock", name_of(top)), FlockArg::LockExclusive)?;
            let parents = parents::layer(&trees)?;
            trees.splice(0..0, parents);
        }
        Ok(trees)
    }

    /// One unpacked layer. It is created aside and renamed, so that an existing one is complete.
    pub(super) fn tree(&self, layer: &str, plain: &str, bounds: Bounds) -> Result<PathBuf, Failure> {
        let digits = digest::hex(plain)?;
        let path = self.folder("trees")?.join(digits);
        if there(&path) {
            return Ok(path);
        }
        let _mine = self.lock(&format!("trees/{digits}.lock"), FlockArg::LockExclusive)?;
        if there(&path) {
            return Ok(path);
        }
        let aside = self.path("trees").join(format!("{digits}.new"));
        remove_tree(&aside)?; // its creator has died, since this process has the lock
        DirBuilder::new().mode(0o755).create(&aside).map_err(|e| file::failure(&aside, "make", &e))?;
        let made = self.unpacked(layer, plain, &aside, bounds);
        let made =
            made.and_then(|()| std::fs::rename(&aside, &path).map_err(|e| file::failure(&path, "make", &e)));
        if let Err(failure) = made {
            remove_tree(&aside)?;
            return Err(failure);
        }
        Ok(path)
    }

    /// Unpacks a layer and computes its digests, packed and unpacked, in one pass.
    fn unpacked(&self, layer: &str, plain: &str, folder: &Path, bounds: Bounds) -> Result<(), Failure> {
        let what = self.blob(layer)?;
        let mut packed = Summing::new(self.open_blob(layer)?);
        let came = {
            let (_, source) = decode::open(&mut packed).map_err(|e| unreadable(&what, &e))?;
            let mut source = Summing::new(source);
            unpack::unpack(&mut source, folder, &what, bounds)?;
            source.end().map_err(|e| unreadable(&what, &e))?.0
        };
        if came != plain {
            return Err(digest::differs(&format!("the content of layer {layer}"), plain, &came));
        }
        match packed.end().map_err(|e| unreadable(&what, &e))?.0 {
            came if came == layer => Ok(()),
            came => Err(digest::differs(&what.display().to_string(), layer, &came)),
        }
    }
}

fn name_of(tree: &Path) -> String {
    tree.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a tree exists; it is then marked as new, so that `gc` does not remove it before it is used.
fn there(path: &Path) -> bool {
    path.is_dir() && blobs::fresh(&path.with_extension("lock"))
}
