//! Reads a volume for a repository, from its open folder: no link is followed, nothing that is mounted in it is entered, and what could
//! not be read is remembered.

use super::known::{attributes, mode};
use rustic_core::jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::IntoIter;

/// The most things that are named.
const NAMED: usize = 20;
/// The inode of a folder where btrfs has left a subvolume out of a snapshot (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID).
const LEFT_OUT: u64 = 2;
/// The type of `statfs` that btrfs has.
const BTRFS: i64 = 0x9123_683e;
/// How files are opened: themselves, without waiting for a pipe.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// What could not be read, and how much of it there is.
#[derive(Debug, Default)]
pub(crate) struct Missed(Mutex<(u64, Vec<String>)>);

impl Missed {
    /// Adds something.
    pub(crate) fn add(&self, what: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.0 += 1;
        if all.1.len() < NAMED {
            all.1.push(what);
        }
    }

    /// The number, and the first ones.
    pub(crate) fn all(&self) -> (u64, Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A volume.
pub(crate) struct Tree {
    folder: Arc<OwnedFd>,
    /// Its name in the repository, as a path.
    name: PathBuf,
    btrfs: bool,
    missed: Arc<Missed>,
}

impl Tree {
    /// Of an open folder; `name` is what its paths begin with.
    pub(crate) fn new(folder: OwnedFd, name: &Path, missed: Arc<Missed>) -> Tree {
        let btrfs = fs::fstatfs(&folder).is_ok_and(|there| there.f_type == BTRFS);
        Tree { folder: Arc::new(folder), name: name.to_owned(), btrfs, missed }
    }
}

impl ReadSource for Tree {
    type Open = Opens;
    type Iter = Walk;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Walk {
        let device = fs::fstat(&*self.folder).map(|there| there.st_dev).unwrap_or_default();
        let (btrfs, missed) = (self.btrfs, Arc::clone(&self.missed));
        let root = Some((Arc::clone(&self.folder), self.name.clone()));
        Walk { root, open: Vec::new(), device, btrfs, missed }
    }
}

/// A file that is opened when its turn comes.
pub(crate) struct Opens {
    folder: Arc<OwnedFd>,
    name: OsString,
    path: PathBuf,
    inode: u64,
    missed: Arc<Missed>,
}

impl ReadSourceOpen for Opens {
    type Reader = Bytes;

    fn open(self) -> RusticResult<Bytes> {
        let same = |file: &OwnedFd| fs::fstat(file).is_ok_and(|there| there.st_ino == self.inode);
        let file = fs::openat(&*self.folder, &self.name, FILE, Mode::empty()).map_err(io::Error::from);
        let file = file.and_then(|file| {
            if same(&file) { Ok(file) } else { Err(io::Error::other("another file has its name now")) }
        });
        match file {
            Ok(file) => Ok(Bytes { file: file.into(), path: self.path, missed: self.missed }),
            Err(e) => {
                self.missed.add(format!("{}: {e}", self.path.display()));
                Err(RusticError::with_source(ErrorKind::InputOutput, "cannot open a file", e))
            }
        }
    }
}

/// The bytes of a file.
pub(crate) struct Bytes {
    file: File,
    path: PathBuf,
    missed: Arc<Missed>,
}

impl Read for Bytes {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.file.read(to).inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                self.missed.add(format!("{}: {e}", self.path.display()));
            }
        })
    }
}

/// A folder that is being read.
struct Frame {
    folder: Arc<OwnedFd>,
    path: PathBuf,
    names: IntoIter<OsString>,
}

/// Everything in a volume, folders before what is in them, by name.
pub(crate) struct Walk {
    root: Option<(Arc<OwnedFd>, PathBuf)>,
    open: Vec<Frame>,
    device: u64,
    btrfs: bool,
    missed: Arc<Missed>,
}

impl Iterator for Walk {
    type Item = RusticResult<ReadSourceEntry<Opens>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((folder, path)) = self.root.take() {
            let stat = fs::fstat(&*folder);
            let name = path.file_name().unwrap_or_default().to_owned();
            let known = match stat {
                Ok(stat) => {
                    self.known(&format!("/proc/self/fd/{}/.", folder.as_raw_fd()).into(), &path, &stat)
                }
                Err(_) => Metadata::default(),
            };
            self.enter(folder, path.clone());
            return Some(Ok(ReadSourceEntry {
                path,
                node: Node::new_node(&name, NodeType::Dir, known),
                open: None,
            }));
        }
        loop {
            let frame = self.open.last_mut()?;
            let Some(name) = frame.names.next() else {
                self.open.pop();
                continue;
            };
            let (folder, path) = (Arc::clone(&frame.folder), frame.path.join(&name));
            match self.entry(folder, &path, name) {
                Ok(entry) => return Some(Ok(entry)),
                Err(e) => self.missed.add(format!("{}: {e}", path.display())),
            }
        }
    }
}

impl Walk {
    fn enter(&mut self, folder: Arc<OwnedFd>, path: PathBuf) {
        match names(&folder) {
            Ok(names) => self.open.push(Frame { folder, path, names: names.into_iter() }),
            Err(e) => self.missed.add(format!("{}: {e}", path.display())),
        }
    }

    /// One entry; a folder is entered next.
    fn entry(
        &mut self,
        folder: Arc<OwnedFd>,
        path: &Path,
        name: OsString,
    ) -> io::Result<ReadSourceEntry<Opens>> {
        let mut stat = fs::statat(&*folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (mut open, mut below) = (None, None);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let there = fs::openat(&*folder, &name, FILE.union(OFlags::DIRECTORY), Mode::empty())?;
                stat = fs::fstat(&there)?;
                if stat.st_dev != self.device || (self.btrfs && stat.st_ino == LEFT_OUT) {
                    self.missed.add(format!("{}: a mount or subvolume of its own", path.display()));
                } else {
                    below = Some(there);
                }
                NodeType::Dir
            }
            FileType::Symlink => {
                let to = fs::readlinkat(&*folder, &name, Vec::new())?;
                NodeType::from_link(Path::new(OsStr::from_bytes(to.to_bytes())))
            }
            FileType::RegularFile => {
                let (folder, name) = (Arc::clone(&folder), name.clone());
                let (path, inode, missed) = (path.to_owned(), stat.st_ino, Arc::clone(&self.missed));
                open = Some(Opens { folder, name, path, inode, missed });
                NodeType::File
            }
            FileType::BlockDevice => NodeType::Dev { device: stat.st_rdev },
            FileType::CharacterDevice => NodeType::Chardev { device: stat.st_rdev },
            FileType::Fifo => NodeType::Fifo,
            FileType::Socket => NodeType::Socket,
            FileType::Unknown => return Err(io::Error::other("no known kind of file")),
        };
        let mut link = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        link.extend_from_slice(name.as_bytes());
        let known = self.known(&OsString::from_vec(link), path, &stat);
        if let Some(below) = below {
            self.enter(Arc::new(below), path.to_owned());
        }
        Ok(ReadSourceEntry { path: path.to_owned(), node: Node::new_node(&name, kind, known), open })
    }

    /// What is known of it beside its content; `link` leads to it.
    fn known(&self, link: &OsString, path: &Path, stat: &Stat) -> Metadata {
        let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let time =
            |seconds: i64, part: u64| Timestamp::new(seconds, i32::try_from(part).unwrap_or_default()).ok();
        let mtime = time(stat.st_mtime, stat.st_mtime_nsec);
        let mut known = Metadata {
            mode: Some(mode(stat.st_mode)),
            mtime,
            atime: mtime,
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            uid: Some(stat.st_uid),
            gid: Some(stat.st_gid),
            inode: stat.st_ino,
            // All of it is on one file system, whose number changes with each snapshot.
            device_id: u64::from(!folder && stat.st_nlink > 1),
            size: if folder { 0 } else { u64::try_from(stat.st_size).unwrap_or_default() },
            links: if folder { 0 } else { stat.st_nlink },
            ..Metadata::default()
        };
        match attributes(link) {
            Ok(all) => known.extended_attributes = serde_json::from_value(all).unwrap_or_default(),
            Err(e) => self.missed.add(format!("attributes of {}: {e}", path.display())),
        }
        known
    }
}

/// The names in a folder, sorted as a repository has them.
fn names(folder: &Arc<OwnedFd>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(&**folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if ![c".", c".."].contains(&name) {
            names.push(OsString::from_vec(name.to_bytes().to_vec()));
        }
    }
    names.sort();
    Ok(names)
}
