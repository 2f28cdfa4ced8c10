//! Files: written completely or not at all, and created with their final mode.

use super::limit;
use crate::failure::{Failure, Kind};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Prefix of a temporary file, followed by the process number, so that files of dead processes can be recognised.
const TEMPORARY: &str = ".lsx-";
/// Records of what timers have run.
pub(super) const TIMERS: &str = "/var/lib/lsx/timer";

/// The mode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0600: secrets and state.
    Private,
    /// 0644.
    Public,
    /// 0755.
    Program,
}

impl Mode {
    const fn bits(self) -> u32 {
        match self {
            Mode::Private => 0o600,
            Mode::Public => 0o644,
            Mode::Program => 0o755,
        }
    }
}

/// Writes a file by rename, so that a reader sees the old or the new content and never a part; a file with the same content
/// is left untouched, so that make does not rebuild. A link, pipe or device in its place is replaced. Returns whether it was written. Missing folders are created, 0755.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<bool, Failure> {
    if holds(path, bytes) {
        return Ok(false);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp = temporary(folder, mode)
        // Another run of lsx has removed the empty folder between the two calls.
        .or_else(|e| if e.kind() == ErrorKind::NotFound { temporary(folder, mode) } else { Err(e) })
        .map_err(|e| failure(path, "write", &e))?;
    temp.write_all(bytes).and_then(|()| temp.as_file().sync_all()).map_err(|e| failure(path, "write", &e))?;
    temp.persist(path).map_err(|e| failure(path, "write", &e.error))?;
    sync(folder);
    Ok(true)
}

/// Writes a file in place, for a file that is bind-mounted; a reader may see a part of it. Small files only.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn write_in_place(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), Failure> {
    if holds(path, bytes) {
        return Ok(());
    }
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode.bits()).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|e| failure(path, "write", &e))
}

fn temporary(folder: &Path, mode: Mode) -> io::Result<tempfile::NamedTempFile> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let permissions = fs::Permissions::from_mode(mode.bits());
    let prefix = format!("{TEMPORARY}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder)
}

/// Writes a temporary file for a program that is about to read it. It is removed by the next call for its folder after this
/// process has ended.
///
/// # Errors
/// Kind `Denied` or `Failed` with the folder.
pub fn lend(folder: &Path, bytes: &[u8]) -> Result<PathBuf, Failure> {
    sweep(folder);
    let lent = || {
        let mut file = temporary(folder, Mode::Private)?;
        file.write_all(bytes)?;
        Ok(file.into_temp_path().keep()?)
    };
    lent().map_err(|e: io::Error| failure(folder, "write to", &e))
}

/// A rename survives a power failure only when its folder is synced, too; a file system that cannot do that is no failure.
fn sync(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Removes a file; a missing one is no error. Returns whether it existed.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn remove(path: &Path) -> Result<bool, Failure> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(failure(path, "remove", &e)),
    }
}

/// Removes temporary files that processes were writing in a folder when they died.
pub fn sweep(folder: &Path) {
    let dead = |name: &str| {
        let process = name.strip_prefix(TEMPORARY)?.split_once('-')?.0.parse::<u32>().ok()?;
        Some(!Path::new(&format!("/proc/{process}")).exists())
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let left = entries.filter(|e| e.file_name().to_str().and_then(dead) == Some(true));
    left.for_each(|e| drop(remove(&e.path())));
}

/// The same in each subfolder; empty subfolders are removed, too, and then the folder itself, since a process may have died
/// before it wrote anything into a new one.
pub(crate) fn sweep_all(root: &Path) {
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path());
    for folder in folders.filter(|f| f.is_dir()) {
        sweep(&folder);
        remove_empty(&folder);
    }
    remove_empty(root);
}

/// Makes a folder for root alone, with those above it.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn private_folder(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(|e| failure(path, "make", &e))
}

/// Removes a folder if it is empty.
pub fn remove_empty(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// Folders of lsx's own trees.
const TREES: [&str; 2] = ["/run/lsx/", "/var/lib/lsx/"];

/// Removes a tree of lsx with all its contents; links are not followed, and a missing tree is no error.
///
/// # Errors
/// A path outside /run/lsx and /var/lib/lsx, kind `Bug`; else kind `Denied` or `Failed` with the path.
pub fn remove_tree(path: &Path) -> Result<(), Failure> {
    ours(path)?;
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failure(path, "remove", &e)),
        _ => Ok(()),
    }
}

/// Renames a tree of lsx; a missing one is no error, and an existing target is removed.
///
/// # Errors
/// As [`remove_tree`].
pub fn rename_tree(path: &Path, to: &Path) -> Result<(), Failure> {
    ours(path)?;
    remove_tree(to)?;
    match fs::rename(path, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failure(path, "rename", &e)),
        _ => Ok(()),
    }
}

fn ours(path: &Path) -> Result<(), Failure> {
    let inside = TREES.iter().any(|root| path.starts_with(root) && path != Path::new(root));
    if inside && path.components().all(|part| part != std::path::Component::ParentDir) {
        return Ok(());
    }
    let message = format!("{} is not a folder of lsx and is not removed", path.display());
    Err(Failure::new(Kind::Bug, "host.file", message))
}

/// Reads a text file of lsx's own, within [`limit::STATE`]; `None` when it is not there.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path; code `host.file.damaged` when it is no text.
pub fn read(path: &Path) -> Result<Option<String>, Failure> {
    let Some(bytes) = read_at_most(path, limit::STATE)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|e| {
        let message = format!("{} is damaged: not UTF-8: {}", path.display(), e.utf8_error());
        Failure::new(Kind::Failed, "host.file.damaged", message)
    })
}

/// Reads a whole file, but at most `most` bytes (see [`limit`]); `None` when it does not exist. Only a regular file is
/// read, so that a pipe or device in its place neither blocks nor has no end.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path: it cannot be read, it is not a regular file, or it is larger (code `host.limit`).
pub fn read_at_most(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Failure> {
    let file = match File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|e| failure(path, "read", &e))?,
    };
    let found = file.metadata().map_err(|e| failure(path, "read", &e))?;
    if !found.is_file() {
        let what = if found.is_dir() { "a folder" } else { "not a regular file" };
        return Err(failure(path, "read", &io::Error::other(format!("it is {what}"))));
    }
    let bytes = limit::take(file, most).map_err(|e| failure(path, "read", &e))?;
    bytes.map(Some).ok_or_else(|| limit::exceeded(&path.display().to_string(), most))
}

/// Whether a file has exactly this content; reads it only if it has that length.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let as_long = fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() == bytes.len() as u64);
    as_long && read_at_most(path, bytes.len() as u64).is_ok_and(|old| old.as_deref() == Some(bytes))
}

/// The failure of a file operation.
pub fn failure(path: &Path, verb: &str, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        _ => Kind::Failed,
    };
    let failure = Failure::new(kind, "host.file", format!("cannot {verb} {}: {error}", path.display()));
    match error.kind() {
        ErrorKind::StorageFull => failure.hint("the disk is full: free space and run the same command again"),
        ErrorKind::IsADirectory => failure.hint("a folder is there instead of a file; remove it"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
