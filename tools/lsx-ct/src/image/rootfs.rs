//! A root file system as an image of one layer.

use super::blobs::Incoming;
use super::digest::Summing;
use super::entries::Entries;
use super::limits::{self, BOUNDS};
use super::store::{Blob, Store};
use super::{decode, manifest, refused, unreadable};
use common::Failure;
use decode::Packing;
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A layer in the store, and the properties of its uncompressed archive.
pub(super) struct Layer {
    pub(super) blob: Blob,
    pub(super) packing: Packing,
    /// Digest of the uncompressed archive, for the configuration.
    pub(super) plain: String,
    /// Whether it has an init, which is then its command.
    pub(super) init: bool,
}

impl Store {
    /// An archive of files, for the given architecture, else this machine's.
    pub(super) fn rootfs(&self, path: &Path, architecture: Option<&str>) -> Result<String, Failure> {
        let layer = self.layer(path)?;
        self.one_layer(&layer, architecture.unwrap_or(manifest::architecture()))
    }

    /// Copies an archive into the store while it is read. An archive packed by xz is stored unpacked, because images do not
    /// support xz, and the output of another compressor differs between versions.
    fn layer(&self, path: &Path) -> Result<Layer, Failure> {
        let mut file = limits::open(path).map_err(|e| unreadable(path, &e))?;
        let head = decode::head(&mut file).map_err(|e| unreadable(path, &e))?;
        let mut incoming = self.incoming()?;
        let packing = decode::packing(&head);
        let (plain, init) = match packing {
            Packing::Xz => {
                let (_, source) = decode::open(file).map_err(|e| unreadable(path, &e))?;
                walk(path, Summing::copying(source, &mut incoming))
            }
            _ => copied(path, file, &mut incoming),
        }?;
        let packing = if packing == Packing::Xz { Packing::None } else { packing };
        Ok(Layer { blob: incoming.end(&path.display().to_string(), None)?, packing, plain, init })
    }

    /// The image of a single layer. It has no time or place, so the same files give the same image.
    pub(super) fn one_layer(&self, layer: &Layer, architecture: &str) -> Result<String, Failure> {
        let mut run = json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]});
        if layer.init {
            run["Cmd"] = json!(["/sbin/init"]);
        }
        let config = manifest::bytes_of(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [layer.plain]},
        }))?;
        manifest::fits("the image", &manifest::config("the image", &config)?)?;
        let digest = self.put(&config)?;
        let kind = match layer.packing {
            Packing::Gzip => format!("{}+gzip", manifest::LAYER),
            Packing::Zstd => format!("{}+zstd", manifest::LAYER),
            Packing::None | Packing::Xz => manifest::LAYER.to_owned(),
        };
        let layers = [(kind, layer.blob.digest.clone(), layer.blob.size_bytes)];
        self.put(&manifest::manifest((&digest, config.len() as u64), &layers)?)
    }
}

/// Copies the file unchanged, and computes the digest of its content.
fn copied(path: &Path, file: File, incoming: &mut Incoming) -> Result<(String, bool), Failure> {
    let mut stored = Summing::copying(file, incoming);
    let walked = {
        let (_, source) = decode::open(&mut stored).map_err(|e| unreadable(path, &e))?;
        walk(path, Summing::new(source))
    };
    if let Some(e) = stored.not_written.take() {
        return Err(common::host::file::failure(path, "copy", &e));
    }
    let found = walked?;
    stored.end().map_err(|e| unreadable(path, &e))?;
    Ok(found)
}

/// Reads an archive to its end; returns the digest of the uncompressed data, and whether it has an init.
fn walk<R: Read>(path: &Path, mut source: Summing<'_, R>) -> Result<(String, bool), Failure> {
    let mut init = false;
    let mut any = false;
    let mut entries = Entries::new(&mut source, BOUNDS);
    let mut last = entries.next();
    while let Ok(Some(entry)) = &last {
        let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        init |= matches!(
            name,
            b"sbin/init" | b"usr/sbin/init" | b"usr/lib/systemd/systemd" | b"lib/systemd/systemd"
        );
        any = true;
        last = entries.next();
    }
    let ended = entries.ended;
    if let Some(e) = source.not_written.take() {
        return Err(common::host::file::failure(path, "copy", &e));
    }
    last.map_err(|e| unreadable(path, &e))?;
    let (digest, _) = source.end().map_err(|e| unreadable(path, &e))?;
    if !ended || !any {
        let why = if any { "it is truncated: it has no end mark" } else { "it is empty" };
        return Err(refused("archive", format!("{} is broken", path.display()))
            .because(why)
            .hint("fetch or create it again"));
    }
    Ok((digest, init))
}
