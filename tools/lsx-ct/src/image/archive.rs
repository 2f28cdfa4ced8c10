//! Images in one archive: what `docker save` and `skopeo copy ... oci-archive:` write.

use super::entries::Entries;
use super::limits::{self, BOUNDS};
use super::store::{Blob, Store};
use super::survey::{self, Survey};
use super::{decode, digest, manifest, refused, unreadable};
use common::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// An image in an archive of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Store {
    /// An OCI image layout in an archive. All its blobs are stored, since it can only be read forward; unneeded ones are
    /// removed by the next `images gc`.
    pub(super) fn oci_archive(&self, path: &Path, survey: &Survey) -> Result<String, Failure> {
        let what = path.display().to_string();
        self.files(path, &|name| name.starts_with("blobs/sha256/"))?;
        self.indexed(&what, survey.document("index.json")?, None, &|wanted, _| {
            if self.has(wanted) {
                return Ok(());
            }
            Err(refused("archive", format!("{what}: {wanted} is missing in it")))
        })
    }

    /// An archive of `docker save`.
    pub(super) fn saved(&self, path: &Path, survey: &Survey) -> Result<String, Failure> {
        let what = path.display().to_string();
        let images: Vec<Saved> = serde_json::from_slice(survey.document("manifest.json")?).map_err(|e| {
            refused("archive", format!("{what}: manifest.json does not have the format of docker save"))
                .because(e)
        })?;
        let [image] = &images[..] else {
            let all = images.iter().flat_map(|i| i.repo_tags.iter().flatten().cloned());
            return Err(refused("archive", format!("{what} does not contain exactly one image"))
                .because(format!("it contains {}", all.collect::<Vec<_>>().join(", ")))
                .hint("docker save one image at a time"));
        };
        let follow = |name: &str| {
            let name = survey::name(name.as_bytes());
            survey.links.get(&name).cloned().unwrap_or(name)
        };
        let layers: Vec<String> = image.layers.iter().map(|name| follow(name)).collect();
        let config = follow(&image.config);
        let files = self.files(path, &|name| name == config || layers.iter().any(|layer| layer == name))?;
        let find = |name: &String| {
            files
                .get(name)
                .cloned()
                .ok_or_else(|| refused("archive", format!("{what}: {name} is missing in it")))
        };
        let config = find(&config)?;
        let layers = layers.iter().map(|name| {
            let blob = find(name)?;
            Ok((self.media_type(&blob.digest)?, blob.digest, blob.size_bytes))
        });
        let layers = layers.collect::<Result<Vec<_>, Failure>>()?;
        let bytes = manifest::manifest((&config.digest, config.size_bytes), &layers)?;
        self.complete(&what, bytes, &|_, _| Ok(()))
    }

    fn media_type(&self, digest: &str) -> Result<String, Failure> {
        let mut file = self.open_blob(digest)?;
        let head = decode::head(&mut file).map_err(|e| unreadable(Path::new(digest), &e))?;
        Ok(match decode::packing(&head) {
            decode::Packing::Gzip => format!("{}+gzip", manifest::LAYER),
            decode::Packing::Zstd => format!("{}+zstd", manifest::LAYER),
            _ => manifest::LAYER.to_owned(),
        })
    }

    /// Stores the wanted files of an archive, each as a blob. A file named by a digest must have that digest.
    fn files(&self, path: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, Blob>, Failure> {
        let broken = |e: std::io::Error| unreadable(path, &e);
        let (_, plain) = decode::open(limits::open(path).map_err(broken)?).map_err(broken)?;
        let mut entries = Entries::new(plain, BOUNDS);
        let mut found = BTreeMap::new();
        while let Some(entry) = entries.next().map_err(broken)? {
            let name = survey::name(&entry.name);
            if !entry.kind.is_file() || !wanted(&name) {
                continue;
            }
            let named = name.strip_prefix("blobs/sha256/").map(digest::from_hex);
            let blob = match named.filter(|digest| self.has(digest)) {
                Some(digest) => Blob { digest, size_bytes: entry.size },
                None => {
                    let named = name.strip_prefix("blobs/sha256/").map(digest::from_hex);
                    self.take(path, &mut entries, named.as_deref())?
                }
            };
            found.insert(name, blob);
            if found.len() > limits::BLOBS {
                return Err(limits::over(
                    &path.display().to_string(),
                    format!("more than {} blobs", limits::BLOBS),
                ));
            }
        }
        if !entries.ended {
            return Err(refused("archive", format!("{} is truncated: it has no end mark", path.display())));
        }
        Ok(found)
    }
}
