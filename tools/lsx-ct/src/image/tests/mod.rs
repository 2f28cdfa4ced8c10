//! Images from inside: archives built in the tests.

mod archives;
mod bombs;
mod debians;
mod endless;
mod escapes;
mod evil;
mod exports;
mod hostile;
mod reach;
mod registries;
mod soak;
mod sources;
mod stores;
mod trees;
mod words;

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use limits::Bounds;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use tar::{Builder, EntryType, Header};

/// An archive that is being written.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Tar {
        Tar(Builder::new(Vec::new()))
    }

    /// An entry with its name unchanged, even an invalid one.
    fn entry(mut self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Tar {
        self.raw(kind, name, link, data, |_| {});
        self
    }

    fn raw(&mut self, kind: EntryType, name: &str, link: &str, data: &[u8], change: impl Fn(&mut Header)) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, data).unwrap();
    }

    fn folder(self, name: &str) -> Tar {
        self.entry(EntryType::Directory, name, "", b"")
    }

    fn file(self, name: &str, data: &str) -> Tar {
        self.entry(EntryType::Regular, name, "", data.as_bytes())
    }

    fn symlink(self, name: &str, to: &str) -> Tar {
        self.entry(EntryType::Symlink, name, to, b"")
    }

    fn link(self, name: &str, to: &str) -> Tar {
        self.entry(EntryType::Link, name, to, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A store in a folder of its own, beside which a test puts files.
struct StoreFolder {
    folder: tempfile::TempDir,
    store: Store,
}

impl StoreFolder {
    fn new() -> StoreFolder {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        StoreFolder { folder, store }
    }

    #[expect(clippy::disallowed_methods, reason = "what comes from outside was written by somebody else")]
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn source(&self, words: &str) -> Source {
        Source::parse(words, &|path| self.folder.path().join(path)).unwrap()
    }

    fn bring(&self, words: &str) -> Result<Stored, Failure> {
        self.store.bring(&self.source(words))
    }

    /// Writes an OCI layout of one image with these uncompressed layers.
    fn layout(&self, folder: &str, layers: &[&[u8]]) -> String {
        let blob = |bytes: &[u8]| {
            let digest = digest::of(bytes);
            self.write(&format!("{folder}/blobs/sha256/{}", digest::hex(&digest).unwrap()), bytes);
            (digest, bytes.len())
        };
        let plain: Vec<String> = layers.iter().map(|layer| digest::of(layer)).collect();
        let (config, size) = blob(config(manifest::architecture(), &plain).as_slice());
        let layers: Vec<_> = layers
            .iter()
            .map(|bytes| gzip(bytes))
            .map(|bytes| (format!("{}+gzip", manifest::LAYER), blob(&bytes).0, bytes.len() as u64))
            .collect();
        let (manifest, size) = blob(&manifest::manifest((&config, size as u64), &layers).unwrap());
        let entry = json!({"mediaType": manifest::MANIFEST, "digest": manifest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": "one"}});
        self.index(folder, &[entry]);
        manifest
    }

    fn index(&self, folder: &str, manifests: &[Value]) {
        self.write(&format!("{folder}/oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#);
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.write(&format!("{folder}/index.json"), index.to_string().as_bytes());
    }

    /// Nothing is left incomplete.
    #[track_caller]
    fn tidy(&self) {
        for folder in ["parts", "trees"] {
            let left = std::fs::read_dir(self.store.path(folder)).into_iter().flatten().flatten();
            let left: Vec<_> = left
                .map(|e| e.file_name().into_string().unwrap())
                .filter(|n| !n.ends_with(".lock"))
                .collect();
            assert!(left.is_empty() || left.iter().all(|n| n.len() == 64), "{folder}: {left:?}");
        }
    }
}

fn config(architecture: &str, plain: &[String]) -> Vec<u8> {
    let document = json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": plain}});
    document.to_string().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Whether this is root; reports the skipped test if not.
fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: unpacking an image needs root");
    }
    root
}

/// A small system.
fn system() -> Tar {
    Tar::new().folder("./").folder("./etc/").file("./etc/hostname", "one\n").symlink("./bin", "usr/bin")
}
