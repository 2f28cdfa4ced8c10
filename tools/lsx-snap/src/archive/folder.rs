//! A repository in a folder of this host: each file is on the disk, with its name, before the next step of the format.

use common::host::file::{self, Mode};
use common::host::volume::FOLDER;
use common::{Failure, Kind};
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The most bytes of one file.
const MOST: u64 = 1 << 32;
/// The folders of a repository; `locks` are those of restic.
const FOLDERS: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];

/// A folder with a repository.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

/// What is at the path of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    /// A repository.
    Repository,
    /// Nothing, or what a killed run has begun.
    Nothing,
    /// Something else.
    Other,
}

impl Folder {
    /// What is there.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn there(&self) -> Result<There, Failure> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
            entries => entries.map_err(|e| file::failure(&self.0, "read", &e))?,
        };
        if self.0.join("config").is_file() {
            return Ok(There::Repository);
        }
        let strange =
            |name: &str| !FOLDERS.contains(&name) && !name.starts_with(".lsx-") && name != "lost+found";
        let foreign = entries.flatten().any(|entry| entry.file_name().to_str().is_none_or(strange));
        let used = ["data", "index", "snapshots"].iter().any(|name| !files(&self.0.join(name)).is_empty());
        Ok(if foreign || used { There::Other } else { There::Nothing })
    }

    /// Removes what processes were writing when they died, and what a killed run has begun.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn tidy(&self, begun: bool) -> Result<(), Failure> {
        file::sweep(&self.0);
        for name in FOLDERS {
            file::sweep(&self.0.join(name));
        }
        let parts = std::fs::read_dir(self.0.join("data")).into_iter().flatten().flatten();
        parts.for_each(|part| file::sweep(&part.path()));
        if begun {
            // A key without a configuration would be tried first, and fit nothing.
            files(&self.0.join("keys")).iter().try_for_each(|key| file::remove(key).map(|_| ()))?;
        }
        Ok(())
    }

    fn path(&self, kind: FileType, id: &Id) -> PathBuf {
        let name = id.to_hex();
        match kind {
            FileType::Config => self.0.join("config"),
            FileType::Pack => self.0.join("data").join(&name.as_str()[..2]).join(name.as_str()),
            _ => self.0.join(kind.dirname()).join(name.as_str()),
        }
    }
}

/// The files of a folder and those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let (folders, mut all): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.map(|entry| entry.path()).partition(|path| path.is_dir() && !path.is_symlink());
    all.extend(folders.iter().flat_map(|folder| files(folder)));
    all
}

fn told(failure: &Failure) -> Box<RusticError> {
    RusticError::new(ErrorKind::Backend, failure.message.clone())
}

impl ReadBackend for Folder {
    fn location(&self) -> String {
        format!("local:{}", self.0.display())
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            let there = self.0.join("config").metadata().ok();
            return Ok(there.map(|there| (Id::default(), short(there.len()))).into_iter().collect());
        }
        let all = files(&self.0.join(kind.dirname()));
        let id = |path: &PathBuf| {
            let id = path.file_name()?.to_str()?.parse::<Id>().ok()?;
            Some((id, short(path.metadata().ok()?.len())))
        };
        Ok(all.iter().filter_map(id).collect())
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
        let made = file::private_folder(&self.0)
            .and_then(|()| FOLDERS.iter().try_for_each(|name| file::private_folder(&self.0.join(name))))
            .and_then(|()| {
                (0..=255u8).try_for_each(|n| file::private_folder(&self.0.join(format!("data/{n:02x}"))))
            })
            .and_then(|()| {
                let folder = rustix::fs::open(&self.0, FOLDER, rustix::fs::Mode::empty());
                let synced = folder.and_then(|folder| rustix::fs::syncfs(&folder));
                synced.map_err(|e| file::failure(&self.0, "write", &e.into()))
            });
        made.map_err(|failure| told(&failure))
    }

    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let all = content.slice().concat();
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
