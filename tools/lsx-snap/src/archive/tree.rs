//! Reads a volume for a repository, from its open folder: no link is followed, nothing that is mounted in it is entered, and what could
//! not be read is remembered.

use super::known::{attributes, mode};
use super::missed::Missed;
use super::opened::{FILE, Opens, within};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustic_core::jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};
use rustix::fs::{self, Dir, FileType, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::vec::IntoIter;

/// The most folders in each other, since each open one is a descriptor.
const DEEP: usize = 500;
/// How many times as large as its file system a file may say to be: it has holes, or is compressed.
const LARGER: u64 = 16;
/// The inode of a folder where btrfs has left a subvolume out of a snapshot (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID).
const LEFT_OUT: u64 = 2;
/// The type of `statfs` that btrfs has.
const BTRFS: i64 = 0x9123_683e;
/// The limit of open files is raised once.
static RAISED: Once = Once::new();

/// A volume.
pub(super) struct Tree {
    folder: Arc<OwnedFd>,
    /// Its name in the repository, as a path.
    name: PathBuf,
    how: How,
}

/// How a volume is read.
#[derive(Clone)]
struct How {
    device: u64,
    btrfs: bool,
    /// The largest file.
    most: u64,
    /// Files that were changed later may change again without another time: its clock counts in steps.
    settled: Timestamp,
    /// The time of change that these get in the repository, so that the next run reads them again. It has another one.
    unsettled: Timestamp,
    missed: Arc<Missed>,
}

impl Tree {
    /// Of an open folder, as it is at a time; `name` is what its paths begin with.
    pub(super) fn new(folder: OwnedFd, name: &Path, at: Timestamp, missed: Arc<Missed>) -> Tree {
        RAISED.call_once(|| {
            if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
                let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
            }
        });
        let bytes = fs::fstatvfs(&folder).map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let how = How {
            device: fs::fstat(&folder).map(|there| there.st_dev).unwrap_or_default(),
            btrfs: fs::fstatfs(&folder).is_ok_and(|there| there.f_type == BTRFS),
            most: bytes.ok().filter(|bytes| *bytes > 0).unwrap_or(u64::MAX).saturating_mul(LARGER),
            settled: Timestamp::from_nanosecond(at.as_nanosecond() - 1_000_000_000).unwrap_or_default(),
            // In January 1970, which no file has had.
            unsettled: Timestamp::from_nanosecond(at.as_nanosecond() / 1000).unwrap_or_default(),
            missed,
        };
        Tree { folder: Arc::new(folder), name: name.to_owned(), how }
    }
}

impl ReadSource for Tree {
    type Open = Opens;
    type Iter = Walk;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Walk {
        let root = Some((Arc::clone(&self.folder), self.name.clone()));
        Walk { root, open: Vec::new(), how: self.how.clone() }
    }
}

/// A folder that is being read.
struct Frame {
    folder: Arc<OwnedFd>,
    path: PathBuf,
    names: IntoIter<OsString>,
}

/// Everything in a volume, folders before what is in them, by name.
pub(super) struct Walk {
    root: Option<(Arc<OwnedFd>, PathBuf)>,
    open: Vec<Frame>,
    how: How,
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
                Err(e) => self.how.missed.add(format!("{}: {e}", path.display())),
            }
        }
    }
}

impl Walk {
    fn enter(&mut self, folder: Arc<OwnedFd>, path: PathBuf) {
        if self.open.len() >= DEEP {
            let message = format!("{}: more than {DEEP} folders are in each other", path.display());
            return self.how.missed.add(message);
        }
        match names(&folder) {
            Ok(names) => self.open.push(Frame { folder, path, names: names.into_iter() }),
            Err(e) => self.how.missed.add(format!("{}: {e}", path.display())),
        }
    }

    /// One entry; a folder is entered next.
    fn entry(
        &mut self,
        folder: Arc<OwnedFd>,
        path: &Path,
        name: OsString,
    ) -> io::Result<ReadSourceEntry<Opens>> {
        // Of any kind: what is mounted there is not opened.
        let there = within(&folder, &name, OFlags::PATH)?;
        let mut stat = fs::fstat(&there)?;
        let (mut open, mut below) = (None, None);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let there = within(&folder, &name, FILE.union(OFlags::DIRECTORY))?;
                stat = fs::fstat(&there)?;
                if stat.st_dev != self.how.device || (self.how.btrfs && stat.st_ino == LEFT_OUT) {
                    self.how.missed.add(format!("{}: a mount or subvolume of its own", path.display()));
                } else {
                    below = Some(there);
                }
                NodeType::Dir
            }
            FileType::Symlink => {
                let to = fs::readlinkat(&there, "", Vec::new())?;
                NodeType::from_link(Path::new(OsStr::from_bytes(to.to_bytes())))
            }
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                if size > self.how.most {
                    return Err(io::Error::other("larger than its disk can hold"));
                }
                let (folder, name) = (Arc::clone(&folder), name.clone());
                let (path, inode, missed) = (path.to_owned(), stat.st_ino, Arc::clone(&self.how.missed));
                open = Some(Opens { folder, name, path, inode, size, missed });
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
        let ctime = time(stat.st_ctime, stat.st_ctime_nsec);
        let settled = ctime.is_some_and(|ctime| ctime <= self.how.settled);
        let mut known = Metadata {
            mode: Some(mode(stat.st_mode)),
            mtime,
            atime: mtime,
            ctime: if settled { ctime } else { Some(self.how.unsettled) },
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
            Err(e) => self.how.missed.add(format!("attributes of {}: {e}", path.display())),
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs::File;

    fn walked(folder: &Path, at: Timestamp) -> (BTreeMap<String, Option<Timestamp>>, Vec<String>) {
        let missed = Arc::new(Missed::default());
        let tree = Tree::new(File::open(folder).unwrap().into(), Path::new("/s/v"), at, Arc::clone(&missed));
        let all = tree.entries().map(|entry| {
            let entry = entry.unwrap();
            (entry.path.display().to_string(), entry.node.meta.ctime)
        });
        (all.collect(), missed.all().1)
    }

    #[test]
    fn what_may_change_unseen_is_read_again() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("file"), "words").unwrap();
        let later = |seconds: i64| Timestamp::new(Timestamp::now().as_second() + seconds, 5000).unwrap();
        let time = |at| walked(temp.path(), at).0["/s/v/file"].unwrap();
        // No two runs have the same time for it, and it is not the true one.
        assert!(time(later(-10)) < time(later(0)) && time(later(0)) < later(-1_000_000));
        assert!(time(later(10)) > later(-100));
        assert_eq!(time(later(10)), time(later(20)));
    }

    #[test]
    fn what_is_too_deep_or_too_large_is_named() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join(["x"; 600].join("/"))).unwrap();
        let (all, missed) = walked(temp.path(), Timestamp::now());
        assert_eq!(all.len(), 501);
        assert!(missed.len() == 1 && missed[0].contains("more than 500 folders"), "{missed:?}");
        let missed = Arc::new(Missed::default());
        let folder = File::open(temp.path()).unwrap();
        let mut tree = Tree::new(folder.into(), Path::new("/s/v"), Timestamp::now(), Arc::clone(&missed));
        tree.how.most = 10;
        std::fs::write(temp.path().join("file"), "eleven bytes").unwrap();
        assert!(tree.entries().all(|entry| !entry.unwrap().path.ends_with("file")));
        assert!(missed.all().1[0].contains("/s/v/file: larger than its disk can hold"), "{missed:?}");
    }
}
