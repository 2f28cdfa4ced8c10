//! Exports images in the formats of Docker, LXD and OCI.

use super::store::Store;
use super::{digest, manifest};
use common::Failure;
use common::host::file;
use serde_json::json;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// The format of an exported image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// OCI image layout in a folder
    Oci,
    /// An archive for `docker load`
    Docker,
    /// Archive of all files, without layers
    Rootfs,
    /// An archive for `lxc image import`
    Lxd,
}

impl Store {
    /// Exports an image. An archive is written completely or not at all; to an existing layout it is added.
    ///
    /// # Errors
    /// If the image is missing, or cannot be written.
    pub(crate) fn export(&self, manifest: &str, form: Form, out: &Path) -> Result<(), Failure> {
        if form == Form::Oci {
            return self.export_layout(manifest, out);
        }
        let failed = |e: &io::Error| file::failure(out, "write", e);
        let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut temp = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(|e| failed(&e))?;
        self.export_to(manifest, form, temp.as_file_mut(), out)?;
        temp.as_file().sync_all().map_err(|e| failed(&e))?;
        temp.persist(out).map(drop).map_err(|e| failed(&e.error))
    }

    /// Writes one of the archives into an existing file, which is not replaced.
    ///
    /// # Errors
    /// As [`Store::export`].
    pub(crate) fn export_into(&self, manifest: &str, form: Form, out: &Path) -> Result<(), Failure> {
        let file = OpenOptions::new().write(true).truncate(true).open(out);
        self.export_to(manifest, form, &mut file.map_err(|e| file::failure(out, "open", &e))?, out)
    }

    fn export_to(&self, manifest: &str, form: Form, to: &mut File, out: &Path) -> Result<(), Failure> {
        let mut builder = Builder::new(BufWriter::with_capacity(1 << 17, to));
        match form {
            Form::Docker => self.export_docker(manifest, &mut builder)?,
            _ => self.export_files(manifest, form, &mut builder)?,
        }
        let done = builder.into_inner().and_then(|mut writer| writer.flush());
        done.map_err(|e| file::failure(out, "write", &e))
    }

    fn export_layout(&self, manifest: &str, out: &Path) -> Result<(), Failure> {
        let blobs = out.join("blobs/sha256");
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&blobs);
        made.map_err(|e| file::failure(&blobs, "make", &e))?;
        for blob in self.blobs(manifest)? {
            let path = blobs.join(digest::hex(&blob.digest)?);
            if std::fs::metadata(&path).is_ok_and(|there| there.len() == blob.size_bytes) {
                continue;
            }
            let mut temp =
                tempfile::NamedTempFile::new_in(&blobs).map_err(|e| file::failure(&path, "write", &e))?;
            io::copy(&mut self.open_blob(&blob.digest)?, &mut temp)
                .and_then(|_| temp.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)))
                .map_err(|e| file::failure(&path, "write", &e))?;
            temp.persist(&path).map_err(|e| file::failure(&path, "write", &e.error))?;
        }
        let size = self.get(manifest)?.len();
        let entry = |name: Option<&String>| {
            let mut entry = json!({"mediaType": manifest::MANIFEST, "digest": manifest, "size": size});
            if let Some(name) = name {
                entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
            }
            entry
        };
        let names = self.stored(manifest)?.names;
        let path = out.join("index.json");
        let before =
            file::read(&path)?.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        let mut manifests =
            before.map_or_else(Vec::new, |b| b["manifests"].as_array().cloned().unwrap_or_default());
        let own =
            if names.is_empty() { vec![entry(None)] } else { names.iter().map(|n| entry(Some(n))).collect() };
        manifests.retain(|there| own.iter().all(|new| new["annotations"] != there["annotations"]));
        manifests.extend(own);
        let index = manifest::bytes_of(&json!({"schemaVersion": 2, "manifests": manifests}))?;
        file::write(&out.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#, file::Mode::Public)?;
        file::write(&path, &index, file::Mode::Public).map(drop)
    }

    fn export_docker(&self, manifest: &str, to: &mut Builder<impl Write>) -> Result<(), Failure> {
        let blobs = self.blobs(manifest)?;
        let mut names = Vec::new();
        for (i, blob) in blobs.iter().enumerate().skip(1) {
            let end = if i == 1 { "json" } else { "tar" };
            let name = format!("{}.{end}", digest::hex(&blob.digest)?);
            // A layer that is used twice in an image is in the archive once.
            if !names.contains(&name) {
                put(to, &name, blob.size_bytes, &mut self.open_blob(&blob.digest)?)?;
            }
            names.push(name);
        }
        let tags = self.stored(manifest)?.names;
        let tags: Vec<String> =
            tags.into_iter().map(|n| if n.contains(':') { n } else { n + ":latest" }).collect();
        let saved = json!([{"Config": names[0], "RepoTags": tags, "Layers": names[1..]}]);
        let saved = manifest::bytes_of(&saved)?;
        put(to, "manifest.json", saved.len() as u64, &mut saved.as_slice())
    }

    fn export_files(&self, manifest: &str, form: Form, to: &mut Builder<impl Write>) -> Result<(), Failure> {
        let layers: Vec<String> = self.blobs(manifest)?.into_iter().skip(2).map(|blob| blob.digest).collect();
        if form == Form::Rootfs {
            return self.merged(&layers, "", to);
        }
        let architecture = match self.config(manifest)?.architecture().to_string().as_str() {
            "amd64" => "x86_64".to_owned(),
            "arm64" => "aarch64".to_owned(),
            other => other.to_owned(),
        };
        // LXD refuses an image without a date; a constant one keeps its fingerprint the same.
        let metadata = format!(
            "architecture: {architecture}\ncreation_date: 1\nproperties:\n  description: {manifest}\n"
        );
        put(to, "metadata.yaml", metadata.len() as u64, &mut metadata.as_bytes())?;
        self.merged(&layers, "rootfs/", to)
    }
}

fn put(to: &mut Builder<impl Write>, name: &str, size: u64, data: &mut dyn io::Read) -> Result<(), Failure> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(0);
    let failed = |e: io::Error| file::failure(Path::new(name), "write", &e);
    header.set_path(name).map_err(failed)?;
    header.set_cksum();
    to.append(&header, data).map_err(failed)
}
