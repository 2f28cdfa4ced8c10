//! Installs a copy of the tool on this machine, as on a remote host.

use super::control;
use super::set::{SELF, Set};
use crate::{Failure, Kind};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The path of this program's copy on a host, which a boot entry names: where it runs from when that is a copy, else where
/// [`install`] would put its `set`, since nothing is copied to a host that is local.
pub fn installed_path(set: &[&str]) -> String {
    let names: Vec<String> = set.iter().map(|name| (*name).to_owned()).collect();
    let tool = set.first().copied().unwrap_or_default();
    let place = |set: Set| format!("{}/{}/{tool}", super::BIN, set.digest);
    match copy() {
        Some(path) => path.display().to_string(),
        None => Set::own(&names, control::existing().as_deref()).map_or_else(|_| SELF.to_owned(), place),
    }
}

/// Makes sure that this machine has a copy of the set below [`super::BIN`], as a remote host has, and returns the tool's
/// path there.
/// # Errors
/// When a binary of the set cannot be read, or the copy cannot be written.
pub fn install(set: &[String]) -> Result<String, Failure> {
    match copy() {
        Some(path) => Ok(path.display().to_string()),
        None => install_in(Path::new(super::BIN), set),
    }
}

/// This program's file, if it is already a copy.
fn copy() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    // Two controllers that copy at the same time replace each other's file by an equal one.
    let path = PathBuf::from(path.to_str()?.trim_end_matches(" (deleted)"));
    path.starts_with(super::BIN).then_some(path)
}

/// Only one process installs at a time: two would write the same files, and one's new file could be replaced while it is
/// being started.
static INSTALLS: Mutex<()> = Mutex::new(());

fn install_in(root: &Path, names: &[String]) -> Result<String, Failure> {
    let _alone = INSTALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let set = Set::own(names, control::existing().as_deref())?;
    let folder = root.join(&set.digest);
    let failed = |e: io::Error| {
        let message = format!("cannot put a copy of the tool in {}", folder.display());
        Failure::new(Kind::Failed, "fleet.install", message).because(e)
    };
    private(root).and_then(|()| private(&folder)).map_err(failed)?;
    for part in set.parts.iter().rev() {
        let (home, target) = (root.join(&part.address), folder.join(&part.name));
        let file = home.join(&part.name);
        private(&home).map_err(failed)?;
        write(&part.read()?, &file, &home).map_err(failed)?;
        link(&file, &target, &folder).map_err(failed)?;
    }
    Ok(folder.join(set.parts.first().map_or("", |part| &part.name)).display().to_string())
}

/// A folder for root only.
fn private(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file that is missing or damaged.
fn write(bytes: &[u8], file: &Path, folder: &Path) -> io::Result<()> {
    if std::fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    // The folder is closed to others, but the file itself runs as the first process of instances under any user.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let mut new = tempfile::Builder::new().prefix(".").permissions(mode).tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(file).map(drop).map_err(|e| e.error)
}

/// Gives a file its second name, in the folder of its set. A name of the same file is kept, since it may be running.
fn link(file: &Path, target: &Path, folder: &Path) -> io::Result<()> {
    let which = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino())).ok();
    if which(file) == which(target) {
        return Ok(());
    }
    let aside =
        tempfile::Builder::new().prefix(".").make_in(folder, |path| std::fs::hard_link(file, path))?;
    aside.persist(target).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_once_and_repaired() {
        let temp = tempfile::tempdir().unwrap();
        // The digest of a set of two differs from that of its first file alone; the second is in the same folder.
        let own = std::env::current_exe().unwrap();
        let set = ["lsx-ct".to_owned(), own.file_name().unwrap().to_str().unwrap().to_owned()];
        let inode = |path: &str| std::fs::metadata(path).unwrap().ino();
        let both = install_in(temp.path(), &set).unwrap();
        let named = installed_path(&[&set[0], &set[1]]);
        assert!(named.ends_with(both.strip_prefix(temp.path().to_str().unwrap()).unwrap()), "{named} {both}");
        assert_eq!(std::fs::metadata(&both).unwrap().nlink(), 2, "the file's folder and the set's");
        let set = ["lsx-ct".to_owned()];
        let path = install_in(temp.path(), &set).unwrap();
        let named = installed_path(&["lsx-ct"]);
        assert!(named.ends_with(path.strip_prefix(temp.path().to_str().unwrap()).unwrap()), "{named} {path}");
        assert_eq!(inode(&path), inode(&both), "one file");
        let file = || std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let before = inode(&path);
        assert_eq!((install_in(temp.path(), &set).unwrap(), inode(&path)), (path.clone(), before));
        file().set_len(10).unwrap();
        install_in(temp.path(), &set).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(SELF).unwrap());
        assert_eq!(std::fs::read_dir(Path::new(&path).parent().unwrap()).unwrap().count(), 1);
    }
}
