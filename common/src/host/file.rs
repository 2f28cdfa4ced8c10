//! Files: written whole or not at all, with their mode from the first byte.

use crate::failure::{Failure, Kind};
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// What a file is called while it is written; then comes the number of the process, so that a dead one's can be told.
const TEMPORARY: &str = ".lsx-";

/// Who may read a file of ours.
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

/// Writes a file by rename, so that a reader sees the old one or the new one and never half; a file with equal bytes is
/// left untouched, so that make does not rebuild. Returns whether it was written. Missing folders are made, 0755.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<bool, Failure> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|e| failure(folder, "make", &e))?;
    let permissions = fs::Permissions::from_mode(mode.bits());
    let mut temp = tempfile::Builder::new()
        .prefix(&format!("{TEMPORARY}{}-", std::process::id()))
        .permissions(permissions)
        .tempfile_in(folder)
        .map_err(|e| failure(path, "write", &e))?;
    temp.write_all(bytes).and_then(|()| temp.as_file().sync_all()).map_err(|e| failure(path, "write", &e))?;
    temp.persist(path).map_err(|e| failure(path, "write", &e.error))?;
    sync(folder);
    Ok(true)
}

/// A rename survives a power cut only when its folder was written too; a file system that cannot is no failure.
fn sync(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Removes a file; one that is not there is as good. Returns whether it was there.
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

/// Removes files that processes of this machine were writing in a folder when they died, and the folder when that was all.
pub fn sweep(folder: &Path) {
    let dead = |name: &str| {
        let process = name.strip_prefix(TEMPORARY)?.split_once('-')?.0.parse::<u32>().ok()?;
        Some(!Path::new(&format!("/proc/{process}")).exists())
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let left = entries.filter(|e| e.file_name().to_str().and_then(dead) == Some(true));
    let removed: Vec<_> = left.map(|e| remove(&e.path())).collect();
    if !removed.is_empty() {
        remove_empty(folder);
    }
}

/// Removes a folder when it is empty; anything else in it keeps it.
pub fn remove_empty(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// Reads a file; `None` when it is not there.
///
/// # Errors
/// Kind `Denied` or `Failed` with the path.
pub fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failure(path, "read", &e)),
    }
}

/// What a failed file operation says.
pub fn failure(path: &Path, verb: &str, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        _ => Kind::Failed,
    };
    let failure = Failure::new(kind, "host.file", format!("cannot {verb} {}: {error}", path.display()));
    match error.kind() {
        ErrorKind::StorageFull => {
            failure.hint("the disk is full: make room there and run the same command again")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "half a file is what write never makes")]
    fn what_the_dead_were_writing_is_swept_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("small");
        let dead = format!("{TEMPORARY}{}-abc", u32::MAX);
        let mine = format!("{TEMPORARY}{}-abc", std::process::id());
        write(&folder.join("net.json"), b"{}", Mode::Private).unwrap();
        for name in [&dead, &mine, ".lsx-other"] {
            fs::write(folder.join(name), b"").unwrap();
        }
        sweep(&folder);
        let left = |name: &str| folder.join(name).exists();
        assert_eq!(
            [left("net.json"), left(&mine), left(".lsx-other"), left(&dead)],
            [true, true, true, false]
        );
        let alone = temp.path().join("alone");
        fs::create_dir(&alone).unwrap();
        fs::write(alone.join(&dead), b"").unwrap();
        sweep(&alone);
        assert!(!alone.exists());
    }
}
