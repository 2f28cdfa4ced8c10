//! Counts what is in a folder, without following links or entering what is mounted there. Instances change it meanwhile.

use common::host::volume::FOLDER;
use common::{Failure, Kind};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, ResolveFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Most folders in each other, since each open one is a descriptor.
const DEEP: usize = 500;
/// Most files with several names that are remembered, so that each counts once; further ones count by their names.
const LINKED: usize = 1_000_000;
/// The unit of `st_blocks` (stat(2)).
const BLOCK: u64 = 512;

/// What is in a folder, with itself, as du(1) counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Bytes on the disk.
    pub(crate) bytes: u64,
    /// Files, folders and everything else, each once.
    pub(crate) inodes: u64,
}

/// Counts until `cancel` is set.
///
/// # Errors
/// What cannot be read; too many folders in each other; cancelled.
pub(crate) fn count(folder: impl AsFd, cancel: &AtomicBool) -> Result<Counted, Failure> {
    let told = |why: String| Failure::new(Kind::Failed, "store.count", format!("cannot count: {why}"));
    let (mut counted, mut linked) = (Counted::default(), HashSet::new());
    let top = fs::fstat(&folder).map_err(|e| told(e.to_string()))?;
    let mut add = |stat: &fs::Stat| {
        let again = stat.st_nlink > 1
            && FileType::from_raw_mode(stat.st_mode) != FileType::Directory
            && (linked.contains(&stat.st_ino) || (linked.len() < LINKED && !linked.insert(stat.st_ino)));
        if !again {
            counted.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK;
            counted.inodes += 1;
        }
    };
    add(&top);
    let mut open = vec![Dir::read_from(&folder).map_err(|e| told(e.to_string()))?];
    while let Some(dir) = open.last_mut() {
        if cancel.load(Ordering::Relaxed) {
            return Err(told("it took too long".to_owned()));
        }
        let entry = match dir.read() {
            None => {
                open.pop();
                continue;
            }
            Some(entry) => entry.map_err(|e| told(e.to_string()))?,
        };
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let above = dir.fd().map_err(|e| told(e.to_string()))?;
        // What was removed in the meantime does not count, nor does what is mounted there.
        let Ok(stat) = fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            add(&stat);
            continue;
        }
        let Some(below) = inside(above, name).map_err(|e| told(e.to_string()))? else { continue };
        add(&stat);
        if open.len() >= DEEP {
            return Err(told(format!("more than {DEEP} folders are in each other")));
        }
        open.push(Dir::read_from(below).map_err(|e| told(e.to_string()))?);
    }
    Ok(counted)
}

/// A folder in a folder; none if it is gone, something else by now, or a mount.
fn inside(above: impl AsFd, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match fs::openat2(above, name, FOLDER, Mode::empty(), how) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::AGAIN) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;
    use std::fs::{File, create_dir, create_dir_all, hard_link, write};

    #[test]
    fn what_is_there_counts_once() {
        let temp = tempfile::tempdir().unwrap();
        let (at, no) = (temp.path(), AtomicBool::new(false));
        write(at.join("a"), vec![1; 100_000]).unwrap();
        hard_link(at.join("a"), at.join("b")).unwrap();
        create_dir(at.join("d")).unwrap();
        write(at.join("d/c"), [1; 5000]).unwrap();
        let counted = count(File::open(at).unwrap(), &no).unwrap();
        assert_eq!(counted.inodes, 4);
        assert!((105_000..200_000).contains(&counted.bytes), "{counted:?}");
        create_dir_all(at.join(["x"; 600].join("/"))).unwrap();
        assert!(count(File::open(at).unwrap(), &no).unwrap_err().message.contains("more than 500"));
        assert!(count(File::open(at).unwrap(), &AtomicBool::new(true)).is_err());
    }
}
