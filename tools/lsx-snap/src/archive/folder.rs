//! A repository in a folder of this host: each file is on the disk, with its name, before the next step of the format.

use common::host::file::{self, Mode};
use common::host::volume::FOLDER;
use common::{Failure, Kind};
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of one file.
const MOST: u64 = 1 << 32;
/// The folders of a repository; `locks` are those of restic.
const FOLDERS: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];

/// Snapshots that are not written yet: whoever sees one may believe it.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<Vec<OneFile>>>);

/// A file of a repository.
type OneFile = (Id, Vec<u8>);

impl Held {
    /// All of them, which are not held any more.
    pub(super) fn all(&self) -> Vec<(Id, Vec<u8>)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, id: Id, bytes: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((id, bytes));
    }
}

/// A folder with a repository.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Holds back snapshots; without it they are written.
    held: Option<Held>,
}

impl Folder {
    /// At a path.
    pub(super) fn new(path: &Path, held: Option<Held>) -> Folder {
        Folder { path: path.to_owned(), held }
    }

    /// Writes a snapshot.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn keep(&self, (id, bytes): &(Id, Vec<u8>)) -> Result<(), Failure> {
        file::write(&self.path(FileType::Snapshot, id), bytes, Mode::Private).map(|_| ())
    }

    /// Removes what processes were writing when they died.
    pub(super) fn tidy(&self) {
        file::sweep(&self.path);
        for name in FOLDERS {
            file::sweep(&self.path.join(name));
        }
        let parts = std::fs::read_dir(self.path.join("data")).into_iter().flatten().flatten();
        parts.for_each(|part| file::sweep(&part.path()));
    }

    fn path(&self, kind: FileType, id: &Id) -> PathBuf {
        let name = id.to_hex();
        match kind {
            FileType::Config => self.path.join("config"),
            FileType::Pack => self.path.join("data").join(&name.as_str()[..2]).join(name.as_str()),
            _ => self.path.join(kind.dirname()).join(name.as_str()),
        }
    }
}

/// The files of a folder and those below it; links are not followed.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.extend(files(&entry.path())?);
        } else {
            all.push(entry.path());
        }
    }
    Ok(all)
}

fn told(failure: &Failure) -> Box<RusticError> {
    RusticError::new(ErrorKind::Backend, failure.message.clone())
}

impl ReadBackend for Folder {
    fn location(&self) -> String {
        format!("local:{}", self.path.display())
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let unread = |path: &Path, e: &io::Error| told(&file::failure(path, "read", e));
        let folder = self.path.join(kind.dirname());
        let all = match kind {
            FileType::Config => vec![self.path(kind, &Id::default())],
            _ => files(&folder).map_err(|e| unread(&folder, &e))?,
        };
        let mut found = Vec::new();
        for path in all {
            let id = match kind {
                FileType::Config => Some(Id::default()),
                _ => path.file_name().and_then(|name| name.to_str()?.parse::<Id>().ok()),
            };
            let Some(id) = id else { continue };
            match path.metadata() {
                Ok(there) => found.push((id, short(there.len()))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(unread(&path, &e)),
            }
        }
        Ok(found)
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<bytes::Bytes> {
        let path = self.path(kind, id);
        match file::read_at_most(&path, MOST) {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => Err(missing(&path)),
            Err(failure) => Err(told(&failure)),
        }
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<bytes::Bytes> {
        let path = self.path(kind, id);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, u64::from(offset)));
        read.map_err(|e| told(&file::failure(&path, "read", &e)))?;
        Ok(bytes.into())
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.path(kind, id).display().to_string()
    }
}

impl WriteBackend for Folder {
    fn create(&self) -> RusticResult<()> {
        let made = file::private_folder(&self.path)
            .and_then(|()| FOLDERS.iter().try_for_each(|name| file::private_folder(&self.path.join(name))))
            .and_then(|()| {
                (0..=255u8).try_for_each(|n| file::private_folder(&self.path.join(format!("data/{n:02x}"))))
            })
            .and_then(|()| {
                let folder = rustix::fs::open(&self.path, FOLDER, rustix::fs::Mode::empty());
                let synced = folder.and_then(|folder| rustix::fs::syncfs(&folder));
                synced.map_err(|e| file::failure(&self.path, "write", &e.into()))
            });
        made.map_err(|failure| told(&failure))
    }

    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let all = content.slice().concat();
        if kind == FileType::Snapshot
            && let Some(held) = &self.held
        {
            held.add(*id, all);
            return Ok(());
        }
        file::write(&self.path(kind, id), &all, Mode::Private).map(|_| ()).map_err(|failure| told(&failure))
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        file::remove(&self.path(kind, id)).map(|_| ()).map_err(|failure| told(&failure))
    }
}

fn short(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn missing(path: &Path) -> Box<RusticError> {
    let message = format!("{} is missing", path.display());
    told(&Failure::new(Kind::Failed, "snap.repository", message))
}
