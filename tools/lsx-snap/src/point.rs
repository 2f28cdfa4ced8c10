//! One point in time of volumes of this host: a snapshot of btrfs, else the folder as it is, which is no point.

use common::host::volume::{self, FOLDER};
use common::host::{Program, file};
use common::{Failure, Kind};
use rustix::fs::{AtFlags, CWD, Mode, open, statat};
use serde_json::Value;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The inode of the folder of every subvolume (BTRFS_FIRST_FREE_OBJECTID).
const SUBVOLUME: u64 = 256;

/// A volume as it is saved.
pub(crate) struct Point {
    /// Its open folder.
    pub(crate) folder: OwnedFd,
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

/// Takes it. `repository` paths must not be inside.
///
/// # Errors
/// If the volume is not there, or btrfs(8) refuses.
pub(crate) fn take(stack: &str, name: &str, repositories: &[&Path]) -> Result<Point, Failure> {
    let folder = match volume::ready(stack, name)? {
        Some(folder) => folder,
        None => {
            let place = volume::place(stack, name);
            open(&place, FOLDER, Mode::empty())
                .map_err(|e| file::failure(&place, "open volume", &e.into()))?
        }
    };
    let path = content(stack, name)?;
    if let Some(inside) = repositories.iter().find(|other| other.starts_with(&path)) {
        let message = format!("the repository {} is in volume {name}, which it saves", inside.display());
        return Err(Failure::new(Kind::Data, "snap.inside", message).hint("name a folder elsewhere"));
    }
    let snapshot = beside(stack, name, &path);
    if !is_subvolume(&path) || Program::new("btrfs").there().is_err() {
        return Ok(Point { folder, snapshot: None });
    }
    leftover(&snapshot)?;
    Program::new("btrfs").args(["subvolume", "snapshot", "-r"]).args([&path, &snapshot]).run(b"")?;
    let told = |e: rustix::io::Errno| file::failure(&snapshot, "open", &e.into());
    let folder = open(&snapshot, FOLDER, Mode::empty()).map_err(told)?;
    Ok(Point { folder, snapshot: Some(snapshot) })
}

/// Removes the snapshot that a killed run has left of a volume.
///
/// # Errors
/// That of btrfs(8).
pub(crate) fn clear(stack: &str, name: &str) -> Result<(), Failure> {
    leftover(&beside(stack, name, &content(stack, name)?))
}

fn leftover(path: &Path) -> Result<(), Failure> {
    if is_subvolume(path) { delete(path) } else { Ok(()) }
}

fn delete(path: &Path) -> Result<(), Failure> {
    Program::new("btrfs").args(["subvolume", "delete"]).args([path]).run(b"").map(|_| ())
}

/// Where a snapshot is while it is saved: on the disk of its volume, with a name that no volume has.
fn beside(stack: &str, name: &str, path: &Path) -> PathBuf {
    let root = path.parent().unwrap_or(Path::new("/"));
    root.join(format!("{}snap-{stack}-{name}", volume::OWN))
}

/// The folder of a volume's content: where lsx-store says, else where all tools find it.
fn content(stack: &str, name: &str) -> Result<PathBuf, Failure> {
    let place = volume::place(stack, name);
    let Some(text) = file::read(&volume::record(stack, name))? else { return Ok(place) };
    let record: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(record["path"].as_str().map_or(place, PathBuf::from))
}

fn is_subvolume(path: &Path) -> bool {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|there| there.st_ino == SUBVOLUME)
        && Program::new("btrfs").args(["subvolume", "show"]).args([path]).run(b"").is_ok()
}
