//! Volumes that lsx-store keeps: where others find them, and the marks on their folders that prove what is there.

pub mod instances;
pub mod mounted;
pub mod users;

use super::file;
use crate::failure::{Failure, Kind};
use rustix::fs::{Mode, OFlags, XattrFlags, fgetxattr, fremovexattr, fsetxattr, open};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where every tool finds volumes: `ROOT/STACK/VOLUME`.
pub const ROOT: &str = "/var/lib/lsx/volumes";
/// The records of lsx-store: `RECORDS/STACK/VOLUME.json`.
pub const RECORDS: &str = "/var/lib/lsx/store";
/// How names of its own begin, beside volumes.
pub const OWN: &str = ".lsx-";
/// On the folder of a volume: `STACK/VOLUME`. Only root of the host can set such an attribute, so no instance forges it, and a
/// folder at which nothing is mounted has none.
const MARK: &str = "trusted.lsx.volume";
/// On a volume that no instance has filled yet.
const NEW: &str = "trusted.lsx.new";
/// On a folder of volumes that lsx-store has made, and removes with the last one.
const MADE: &str = "trusted.lsx.root";
/// The most bytes of a mark that are read: two names of 63 characters, and more than that.
const LONG: usize = 256;
/// How a folder is opened: itself, and nothing that a link leads to.
pub const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The place of a volume, whose names have been validated.
pub fn place(stack: &str, name: &str) -> PathBuf {
    Path::new(ROOT).join(stack).join(name)
}

/// Its record.
pub fn record(stack: &str, name: &str) -> PathBuf {
    Path::new(RECORDS).join(stack).join(format!("{name}.json"))
}

/// Whether lsx-store keeps it.
pub fn stored(stack: &str, name: &str) -> bool {
    record(stack, name).exists()
}

/// All that it keeps of a stack, by name.
pub fn all_stored(stack: &str) -> Vec<String> {
    let entries = std::fs::read_dir(Path::new(RECORDS).join(stack)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    names
}

/// What the mark of a volume says.
pub fn mark(stack: &str, name: &str) -> String {
    format!("{stack}/{name}")
}

/// The mark of a folder; none if it has none, or if there is no folder.
///
/// # Errors
/// Of the file system.
pub fn mark_at(path: &Path) -> io::Result<Option<String>> {
    match open(path, FOLDER, Mode::empty()) {
        Ok(folder) => mark_of(&folder),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The mark of an open folder.
///
/// # Errors
/// Of the file system.
pub fn mark_of(folder: impl AsFd) -> io::Result<Option<String>> {
    let mut value = vec![0; LONG];
    match fgetxattr(folder, MARK, &mut value) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(&value[..length]).into_owned())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(Errno::RANGE) => Ok(Some(String::new())),
        Err(e) => Err(e.into()),
    }
}

/// Marks a folder; with `new` an instance fills it from its image.
///
/// # Errors
/// Of the file system, such as one without attributes.
pub fn set_mark(folder: impl AsFd, mark: &str, new: bool) -> io::Result<()> {
    if new {
        fsetxattr(&folder, NEW, b"1", XattrFlags::empty())?;
    }
    Ok(fsetxattr(folder, MARK, mark.as_bytes(), XattrFlags::empty())?)
}

/// Whether no instance has filled it yet.
pub fn is_new(folder: impl AsFd) -> bool {
    fgetxattr(folder, NEW, &mut [0; 8]).is_ok()
}

/// It is filled.
///
/// # Errors
/// Of the file system.
pub fn not_new(folder: impl AsFd) -> io::Result<()> {
    match fremovexattr(folder, NEW) {
        Err(Errno::NODATA) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A folder of volumes was made for them. One that cannot be marked stays.
pub fn made(folder: impl AsFd) {
    let _ = fsetxattr(folder, MADE, b"1", XattrFlags::empty());
}

/// Whether it was.
pub fn is_made(folder: impl AsFd) -> bool {
    fgetxattr(folder, MADE, &mut [0; 8]).is_ok()
}

/// For one who is about to use it: of a volume of lsx-store, its folder; none if lsx-store does not keep it.
///
/// # Errors
/// Code `host.volume` if something else is at its place: then nothing may be written there.
pub fn ready(stack: &str, name: &str) -> Result<Option<OwnedFd>, Failure> {
    if !stored(stack, name) {
        return Ok(None);
    }
    let place = place(stack, name);
    let told = |e: Errno| file::failure(&place, "open volume", &e.into());
    let folder = match open(&place, FOLDER, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(absent(&place, name)),
        folder => folder.map_err(told)?,
    };
    let there = mark_of(&folder).map_err(|e| file::failure(&place, "open volume", &e))?;
    if there.as_deref() != Some(mark(stack, name).as_str()) {
        return Err(absent(&place, name));
    }
    Ok(Some(folder))
}

fn absent(place: &Path, name: &str) -> Failure {
    let message = format!("volume {name} is not mounted at {}", place.display());
    Failure::new(Kind::Failed, "host.volume", message).hint(
        "`lsx-store observe` shows where its content should be, or that it moves; `lsx-store up` mounts it",
    )
}
