//! OCI image layouts: a folder with an index and blobs.

use super::store::Store;
use super::{digest, limits, manifest, refused, unreadable};
use common::Failure;
use oci_spec::image::{Descriptor, ImageIndex};
use std::path::Path;

/// Fetches a blob, by its digest and the size that its document states.
pub(super) type Bring<'a> = &'a dyn Fn(&str, u64) -> Result<(), Failure>;

/// The annotation for a tag.
const TAG: &str = "org.opencontainers.image.ref.name";

impl Store {
    /// Imports one image of a layout.
    pub(super) fn layout(&self, folder: &Path, tag: Option<&str>) -> Result<String, Failure> {
        let path = folder.join("index.json");
        let index = limits::open(&path).and_then(|file| limits::document(&path, file));
        let index = index.map_err(|e| unreadable(&path, &e))?;
        let what = folder.display().to_string();
        let blobs = folder.join("blobs/sha256");
        self.indexed(&what, &index, tag, &|wanted, _| {
            if self.has(wanted) {
                return Ok(());
            }
            let path = blobs.join(digest::hex(wanted)?);
            let file = limits::open(&path).map_err(|e| unreadable(&path, &e))?;
            self.take(&path, file, Some(wanted)).map(drop)
        })
    }

    /// Follows an index to the image for this machine, and fetches its blobs by `bring`.
    pub(super) fn indexed(
        &self,
        what: &str,
        index: &[u8],
        tag: Option<&str>,
        bring: Bring<'_>,
    ) -> Result<String, Failure> {
        let mut found = tagged(what, index, tag)?;
        // An index may refer to an index; more than three levels are refused.
        for _ in 0..3 {
            let wanted = found.digest().to_string();
            small(what, &found)?;
            bring(&wanted, found.size())?;
            let bytes = self.document(what, &wanted)?;
            if !manifest::is_index(&bytes) {
                return self.complete(what, bytes, bring);
            }
            found = manifest::choose(what, &bytes)?;
        }
        Err(refused("index", format!("{what}: too many nested indexes")))
    }

    /// Fetches everything that a manifest names; returns the digest of the manifest in OCI format.
    pub(super) fn complete(&self, what: &str, bytes: Vec<u8>, bring: Bring<'_>) -> Result<String, Failure> {
        let bytes = manifest::converted(what, bytes)?;
        let document = manifest::read(what, &bytes)?;
        small(what, document.config())?;
        let config = document.config().digest().to_string();
        bring(&config, document.config().size())?;
        let config = manifest::config(what, &self.document(what, &config)?)?;
        manifest::fits(what, &config)?;
        let (layers, plain) = (document.layers().len(), config.rootfs().diff_ids().len());
        if layers != plain {
            return Err(refused("config", format!("{what}: {layers} layers, but {plain} digests of layers")));
        }
        document.layers().iter().try_for_each(|layer| bring(layer.digest().as_ref(), layer.size()))?;
        self.put(&bytes)
    }
}

/// A document whose stated size is over the limit is not fetched.
fn small(what: &str, document: &Descriptor) -> Result<(), Failure> {
    if document.size() <= limits::DOCUMENT {
        return Ok(());
    }
    let (digest, size, most) = (document.digest(), document.size(), limits::DOCUMENT);
    Err(limits::over(what, format!("{digest} is a document of {size} bytes; at most {most} are allowed")))
}

/// The entry of an index with a tag; without a tag there must be a single image.
fn tagged(what: &str, bytes: &[u8], tag: Option<&str>) -> Result<Descriptor, Failure> {
    let index: ImageIndex = serde_json::from_slice(bytes)
        .map_err(|e| refused("index", format!("{what}: not an index of images")).because(e))?;
    let name = |d: &Descriptor| d.annotations().as_ref().and_then(|a| a.get(TAG)).cloned();
    let all: Vec<String> = index.manifests().iter().filter_map(name).collect();
    let hint = match all.is_empty() {
        true => "its images have no tags".to_owned(),
        false => format!("there are {}", all.join(", ")),
    };
    if let Some(tag) = tag {
        let found = index.manifests().iter().find(|d| name(d).as_deref() == Some(tag));
        return found
            .cloned()
            .ok_or_else(|| refused("tag", format!("{what}: no image with the tag {tag}")).hint(hint));
    }
    match &index.manifests()[..] {
        [one] => Ok(one.clone()),
        [] => Err(refused("index", format!("{what}: it contains no image"))),
        // Several without a tag may be one image for several architectures.
        many if many.iter().all(|d| d.platform().is_some()) => manifest::choose(what, bytes),
        _ => {
            Err(refused("tag", format!("{what}: it contains several images; choose one by its tag"))
                .hint(hint))
        }
    }
}
