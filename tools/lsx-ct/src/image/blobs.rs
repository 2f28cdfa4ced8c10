//! Blobs: data stored under its digest, completely or not at all: it is written aside, verified, then renamed.

use super::digest::{self, Sum};
use super::limits::{self, Room};
use super::manifest;
use super::store::{Blob, Store};
use common::host::file;
use common::{Failure, Kind};
use oci_spec::image::{ImageConfiguration, ImageManifest};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A blob that is being written. If it is dropped before the end, nothing is left.
pub(super) struct Incoming {
    temp: NamedTempFile,
    sum: Sum,
    bytes: u64,
    room: Room,
    folder: PathBuf,
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.take(self.temp.as_file(), bytes.len() as u64)?;
        self.temp.write_all(bytes)?;
        self.sum.add(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Incoming {
    /// The error while it was written.
    pub(super) fn failed(&self, error: &io::Error) -> Failure {
        file::failure(self.temp.path(), "write", error)
    }

    /// Stores it under its digest, which must be the expected one.
    pub(super) fn end(self, what: &str, expected: Option<&str>) -> Result<Blob, Failure> {
        let digest = self.sum.text();
        if let Some(wanted) = expected.filter(|wanted| *wanted != digest) {
            return Err(digest::differs(what, wanted, &digest));
        }
        let path = self.folder.join(digest::hex(&digest)?);
        self.temp.as_file().sync_all().map_err(|e| file::failure(&path, "write", &e))?;
        self.temp.persist(&path).map_err(|e| file::failure(&path, "write", &e.error))?;
        Ok(Blob { digest, size_bytes: self.bytes })
    }
}

impl Store {
    pub(super) fn blob(&self, digest: &str) -> Result<PathBuf, Failure> {
        Ok(self.path("blobs/sha256").join(digest::hex(digest)?))
    }

    /// Whether a blob exists; an existing one is marked as new, so that `gc` does not remove it before it is used.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.blob(digest).is_ok_and(|path| fresh(&path))
    }

    /// Starts a blob.
    pub(super) fn incoming(&self) -> Result<Incoming, Failure> {
        let parts = self.folder("parts")?;
        let temp = tempfile::Builder::new().prefix("in-").tempfile_in(&parts);
        let temp = temp.map_err(|e| file::failure(&parts, "write into", &e))?;
        let folder = self.folder("blobs/sha256")?;
        Ok(Incoming { temp, sum: Sum::default(), bytes: 0, room: Room::default(), folder })
    }

    /// Stores a few bytes; returns their digest.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<String, Failure> {
        let digest = digest::of(bytes);
        let _adding = self.adding()?;
        if !self.has(&digest) {
            let mut incoming = self.incoming()?;
            incoming.write_all(bytes).map_err(|e| incoming.failed(&e))?;
            incoming.end("a blob", Some(&digest))?;
        }
        Ok(digest)
    }

    /// Copies a file into the store.
    pub(super) fn take(&self, what: &Path, from: impl Read, wanted: Option<&str>) -> Result<Blob, Failure> {
        self.take_by(&what.display().to_string(), from, wanted, &|e| super::unreadable(what, e))
    }

    /// Copies a stream into the store; `failed` converts an error of the stream.
    pub(super) fn take_by(
        &self,
        what: &str,
        mut from: impl Read,
        wanted: Option<&str>,
        failed: &dyn Fn(&io::Error) -> Failure,
    ) -> Result<Blob, Failure> {
        let mut incoming = self.incoming()?;
        let mut buffer = vec![0; super::decode::BUFFER];
        loop {
            match from.read(&mut buffer).map_err(|e| failed(&e))? {
                0 => return incoming.end(what, wanted),
                count => incoming.write_all(&buffer[..count]).map_err(|e| incoming.failed(&e))?,
            }
        }
    }

    /// Reads a small blob and verifies its digest.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub(crate) fn get(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        let path = self.blob(digest)?;
        let bytes = std::fs::read(&path).map_err(|e| missing(digest, &path, &e))?;
        match digest::of(&bytes) {
            came if came == digest => Ok(bytes),
            came => Err(digest::differs(&path.display().to_string(), digest, &came)),
        }
    }

    pub(super) fn open_blob(&self, digest: &str) -> Result<File, Failure> {
        let path = self.blob(digest)?;
        File::open(&path).map_err(|e| missing(digest, &path, &e))
    }

    /// The manifest of an image.
    pub(super) fn manifest(&self, digest: &str) -> Result<ImageManifest, Failure> {
        manifest::read(digest, &self.document(digest, digest)?)
    }

    /// A blob that must be a document.
    pub(super) fn document(&self, what: &str, digest: &str) -> Result<Vec<u8>, Failure> {
        let size = std::fs::metadata(self.blob(digest)?).map_or(0, |meta| meta.len());
        if size > limits::DOCUMENT {
            let limit = format!(
                "{digest} is not a document: it has {size} bytes; at most {} are allowed",
                limits::DOCUMENT
            );
            return Err(limits::over(what, limit));
        }
        self.get(digest)
    }

    /// The configuration of an image.
    ///
    /// # Errors
    /// If it is missing, or not the configuration of an image.
    pub(crate) fn config(&self, manifest: &str) -> Result<ImageConfiguration, Failure> {
        let digest = self.manifest(manifest)?.config().digest().to_string();
        manifest::config(&digest, &self.document(manifest, &digest)?)
    }

    /// The parts of an image: manifest, configuration, layers from the lowest.
    ///
    /// # Errors
    /// If its manifest is missing.
    pub(crate) fn blobs(&self, manifest: &str) -> Result<Vec<Blob>, Failure> {
        let document = self.manifest(manifest)?;
        let own = std::fs::metadata(self.blob(manifest)?).map_or(0, |m| m.len());
        let parts = std::iter::once(document.config()).chain(document.layers());
        let parts = parts.map(|d| Blob { digest: d.digest().to_string(), size_bytes: d.size() });
        Ok(std::iter::once(Blob { digest: manifest.to_owned(), size_bytes: own }).chain(parts).collect())
    }

    /// The missing ones of these blobs. Existing ones are marked as new, since they will be used now.
    pub(crate) fn missing(&self, digests: &[String]) -> Vec<String> {
        digests.iter().filter(|digest| !self.has(digest)).cloned().collect()
    }

    /// All blobs with their sizes, by digest.
    pub(super) fn all_blobs(&self) -> Result<Vec<(String, u64)>, Failure> {
        let folder = self.path("blobs/sha256");
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| file::failure(&folder, "read", &e))?,
        };
        let known = entries.flatten().filter_map(|entry| {
            let digest = digest::from_hex(entry.file_name().to_str()?);
            digest::hex(&digest).ok()?;
            Some((digest.clone(), entry.metadata().ok()?.len()))
        });
        let mut all: Vec<_> = known.collect();
        all.sort();
        Ok(all)
    }

    /// A part of a blob, to send to another host; empty at its end.
    ///
    /// # Errors
    /// If it is missing.
    pub(crate) fn chunk(&self, digest: &str, offset: u64, max: usize) -> Result<Vec<u8>, Failure> {
        let mut file = self.open_blob(digest)?;
        let mut bytes = Vec::new();
        let read =
            file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(max as u64).read_to_end(&mut bytes));
        read.map_err(|e| file::failure(&self.path("blobs"), "read", &e))?;
        Ok(bytes)
    }

    /// Removes parts of processes that have ended: they were killed, or the host lost its power.
    fn drop_parts(&self) -> Result<(), Failure> {
        for path in self.entries("parts") {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(process) = name.split_once('.').and_then(|(_, id)| id.parse::<u32>().ok()) else {
                continue;
            };
            // Another program may have got its number since.
            let comm = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            if !comm.starts_with("lsx") && process != std::process::id() {
                file::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Stores a part of a blob from another host. After the last part the digest is verified, and a wrong one refused;
    /// then, and if a part is out of order, the sender starts again at 0. All parts come to one process: two processes that
    /// receive the same blob do not interfere.
    ///
    /// # Errors
    /// `Data` for a wrong digest, `Again` for a part out of order.
    pub(crate) fn receive(&self, digest: &str, offset: u64, bytes: &[u8], last: bool) -> Result<(), Failure> {
        let _adding = self.adding()?;
        if offset == 0 {
            self.drop_parts()?;
        }
        let part = self.folder("parts")?.join(format!("{}.{}", digest::hex(digest)?, std::process::id()));
        let failed = |e: &io::Error| file::failure(&part, "write", e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(offset == 0).mode(0o600);
        let mut file = options.open(&part).map_err(|e| failed(&e))?;
        let there = file.seek(SeekFrom::End(0)).map_err(|e| failed(&e))?;
        if there != offset {
            return Err(Failure::new(
                Kind::Again,
                "ct.image.receive",
                format!("{digest}: {there} bytes are stored, but the next part starts at {offset}"),
            )
            .hint("send it again from the start"));
        }
        if let Err(e) = file.write_all(bytes) {
            file::remove(&part)?;
            return Err(failed(&e));
        }
        if !last {
            return Ok(());
        }
        file.rewind().map_err(|e| failed(&e))?;
        let came = digest::Summing::new(&file).end().map_err(|e| failed(&e))?.0;
        if came != digest {
            file::remove(&part)?;
            return Err(digest::differs("the data from another host", digest, &came));
        }
        file.sync_all().map_err(|e| failed(&e))?;
        self.folder("blobs/sha256")?;
        std::fs::rename(&part, self.blob(digest)?).map_err(|e| failed(&e))
    }
}

fn missing(digest: &str, path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => {
            Failure::new(Kind::Failed, "ct.image.missing", format!("{digest} is not in the image store"))
                .hint("add it with `lsx-ct images pull` or `lsx-ct images import`")
        }
        _ => file::failure(path, "read", error),
    }
}

/// Sets a file's time to now; returns whether it exists.
pub(super) fn fresh(path: &Path) -> bool {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    let touched = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    touched.is_ok() || path.exists()
}
