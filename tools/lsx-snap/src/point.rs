//! One point in time of volumes of this host: a snapshot of btrfs, else the folder as it is, which is no point.

use common::host::volume::{self, FOLDER};
use common::host::{Program, file};
use common::{Failure, log, mountinfo};
use rustix::fs::{AtFlags, CWD, Mode, fstat, open, statat, syncfs};
use serde_json::Value;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The inode of the folder of every subvolume (BTRFS_FIRST_FREE_OBJECTID).
const SUBVOLUME: u64 = 256;
/// What is mounted where (proc(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// A volume as it is saved.
pub(crate) struct Point {
    /// Its open folder.
    pub(crate) folder: OwnedFd,
    /// When it was so.
    pub(crate) at: SystemTime,
    /// Where something is mounted in the volume, which the snapshot does not show.
    pub(crate) hidden: Vec<PathBuf>,
    /// The snapshot, which is removed at the end.
    snapshot: Option<PathBuf>,
}

impl Point {
    /// Whether all of it is from one moment.
    pub(crate) fn consistent(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Removes the snapshot.
    ///
    /// # Errors
    /// That of btrfs(8).
    pub(crate) fn end(self) -> Result<(), Failure> {
        drop(self.folder);
        self.snapshot.map_or(Ok(()), |path| delete(&path))
    }
}

/// A volume that is there.
pub(crate) struct Found {
    stack: String,
    pub(crate) name: String,
    folder: OwnedFd,
    /// Its folder, where it is on its disk.
    path: PathBuf,
}

/// Finds a volume.
///
/// # Errors
/// If it is not there.
pub(crate) fn find(stack: &str, name: &str) -> Result<Found, Failure> {
    let folder = match volume::ready(stack, name)? {
        Some(folder) => folder,
        None => {
            let place = volume::place(stack, name);
            open(&place, FOLDER, Mode::empty())
                .map_err(|e| file::failure(&place, "open volume", &e.into()))?
        }
    };
    let path = content(stack, name)?;
    Ok(Found { stack: stack.to_owned(), name: name.to_owned(), folder, path })
}

impl Found {
    /// Its folder, where it is on its disk.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, open.
    pub(crate) const fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Whether a folder, which need not be there yet, is in it.
    pub(crate) fn holds(&self, folder: &Path) -> bool {
        if [&self.path, &volume::place(&self.stack, &self.name)].iter().any(|own| folder.starts_with(own)) {
            return true;
        }
        // By whatever links and mounts its path leads there.
        let Ok(own) = fstat(&self.folder) else { return false };
        let same = |above: &Path| {
            statat(CWD, above, AtFlags::empty())
                .is_ok_and(|there| (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
        };
        let there = folder.ancestors().find_map(|above| above.canonicalize().ok());
        there.is_some_and(|there| there.ancestors().any(same))
    }

    /// Takes the point.
    ///
    /// # Errors
    /// If btrfs(8) refuses; of the file system.
    pub(crate) fn take(self) -> Result<Point, Failure> {
        let told = |path: &Path, e: rustix::io::Errno| file::failure(path, "read", &e.into());
        if !is_subvolume(&self.path) || Program::new("btrfs").there().is_err() {
            let at = log::clock();
            // What programs have changed in memory alone changes the time of a file again only after this.
            syncfs(&self.folder).map_err(|e| told(&self.path, e))?;
            return Ok(Point { folder: self.folder, at, hidden: Vec::new(), snapshot: None });
        }
        let snapshot = beside(&self.stack, &self.name, &self.path);
        leftovers(&self.stack, &self.name, &self.path)?;
        let at = log::clock();
        Program::new("btrfs").args(["subvolume", "snapshot", "-r"]).args([&self.path, &snapshot]).run(b"")?;
        let hidden = self.mounts()?;
        let folder = open(&snapshot, FOLDER, Mode::empty()).map_err(|e| told(&snapshot, e))?;
        Ok(Point { folder, at, hidden, snapshot: Some(snapshot) })
    }

    /// Where something is mounted in it.
    fn mounts(&self) -> Result<Vec<PathBuf>, Failure> {
        let text = std::fs::read(MOUNTS).map_err(|e| file::failure(Path::new(MOUNTS), "read", &e))?;
        let place = volume::place(&self.stack, &self.name);
        Ok(below(&text, &[&self.path, &place]))
    }
}

/// The places below some folders, without these, where something is mounted.
fn below(mounts: &[u8], folders: &[&Path]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mountinfo::mounts(mounts)
        .iter()
        .filter_map(|mount| {
            let rest = folders.iter().find_map(|folder| mount.at.strip_prefix(folder).ok())?;
            (!rest.as_os_str().is_empty()).then(|| rest.to_owned())
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Removes the snapshot that a killed run has left of a volume.
///
/// # Errors
/// That of btrfs(8).
pub(crate) fn clear(stack: &str, name: &str) -> Result<(), Failure> {
    leftovers(stack, name, &content(stack, name)?)
}

fn leftovers(stack: &str, name: &str, path: &Path) -> Result<(), Failure> {
    let now = beside(stack, name, path);
    // As it was called by earlier versions.
    let earlier = now.with_file_name(format!("{}snap-{stack}-{name}", volume::OWN));
    [now, earlier].iter().filter(|path| is_subvolume(path)).try_for_each(|path| delete(path))
}

/// Deletes a subvolume.
///
/// # Errors
/// That of btrfs(8).
pub(crate) fn delete(path: &Path) -> Result<(), Failure> {
    Program::new("btrfs").args(["subvolume", "delete"]).args([path]).run(b"").map(|_| ())
}

/// Where a snapshot is while it is saved: on the disk of its volume, with a name that no volume has, and no other volume's snapshot.
fn beside(stack: &str, name: &str, path: &Path) -> PathBuf {
    let root = path.parent().unwrap_or(Path::new("/"));
    root.join(format!("{}snap:{stack}:{name}", volume::OWN))
}

/// The folder of a volume's content: where lsx-store says, else where all tools find it.
fn content(stack: &str, name: &str) -> Result<PathBuf, Failure> {
    let place = volume::place(stack, name);
    let Some(text) = file::read(&volume::record(stack, name))? else { return Ok(place) };
    let record: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(record["path"].as_str().map_or(place, PathBuf::from))
}

/// Whether a folder is a subvolume of btrfs.
pub(crate) fn is_subvolume(path: &Path) -> bool {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|there| there.st_ino == SUBVOLUME)
        && Program::new("btrfs").args(["subvolume", "show"]).args([path]).run(b"").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_a_volume_is_found() {
        let text = b"1 0 0:1 / / rw - ext4 a rw\n2 1 0:1 / /big/v rw - a b c\n3 1 0:1 / /big/v/in\\040it rw - a b c
4 1 0:1 / /big/vv/other rw - a b c\n5 1 0:1 / /place/v/deep/er rw - a b c\n6 1 0:1 / /big/v/deep/er rw - a b c\n";
        let found = below(text, &[Path::new("/big/v"), Path::new("/place/v")]);
        assert_eq!(found, [Path::new("deep/er"), Path::new("in it")]);
    }
}
