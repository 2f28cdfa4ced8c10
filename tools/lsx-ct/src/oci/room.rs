//! Free disk space for instances, and the reserve that must stay free.

use crate::image::limits::reserve;
use crate::paths;
use crate::plan::NO_ROOM;
use common::plan::Warning;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A file system, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Space available to users other than root.
    pub(crate) free: u64,
    /// The reserve.
    pub(crate) reserve: u64,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, reserve) = (self.free >> 20, self.reserve >> 20);
        write!(f, "the host's disk has {free} MiB free, less than the reserve of {reserve} MiB")
    }
}

/// The file system of a path.
pub(crate) fn of(path: &Path) -> Option<Room> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Room { free: bytes(disk.f_bavail), reserve: reserve(bytes(disk.f_blocks)) })
}

/// Maximum number and depth of entries in one check; others are not counted.
const ENTRIES: u32 = 1_000_000;
const DEEP: u32 = 200;

/// Size on disk of everything in a folder, without other file systems that are mounted there. An instance may change it
/// meanwhile: links in it are not followed.
pub(crate) fn used(folder: &Path) -> u64 {
    let mut left = ENTRIES;
    let Ok(folder) = rustix::fs::open(folder, FOLDER, Mode::empty()) else { return 0 };
    let disk = rustix::fs::fstat(&folder).map_or(0, |stat| stat.st_dev);
    below(folder, disk, DEEP, &mut left)
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn below(folder: OwnedFd, disk: u64, deep: u32, left: &mut u32) -> u64 {
    let Ok(entries) = Dir::read_from(&folder) else { return 0 };
    let mut sum = 0_u64;
    for entry in entries.flatten().filter(|entry| ![c".", c".."].contains(&entry.file_name())) {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let Ok(stat) = rustix::fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if stat.st_dev != disk {
            continue;
        }
        sum = sum.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0) * 512);
        if deep > 0 && FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let inner = rustix::fs::openat(&folder, entry.file_name(), FOLDER, Mode::empty());
            sum = sum.saturating_add(inner.map_or(0, |inner| below(inner, disk, deep - 1, left)));
        }
    }
    sum
}

/// File systems with less free space than the reserve: volumes may be on other disks.
pub(crate) fn warning() -> Option<Warning> {
    let inside = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let stacks = inside(&paths::VOLUMES.into());
    let volumes = stacks.iter().flat_map(inside).collect::<Vec<_>>();
    let all = [paths::HOME, paths::DISK].map(PathBuf::from).into_iter().chain(stacks).chain(volumes);
    let room = all.filter_map(|path| of(&path)).find(|room| room.free < room.reserve)?;
    let message = format!(
        "{room}: instances that continue to write are frozen until there is space; free space, and set limits.disk"
    );
    Some(Warning { code: NO_ROOM.to_owned(), message })
}
