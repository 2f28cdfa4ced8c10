//! Folders that only root may enter. Root in an instance can set any mode on its files, and in a volume it is the host's
//! root: a user of the host who could reach a setuid program there would become root. The same holds for the layers of an
//! image.

use super::disk::{self, InstanceFolders};
use crate::model::Ids;
use crate::paths;
use common::Failure;
use common::host::{file, received};
use std::collections::BTreeMap;
use std::fs::{Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Everything is below the first one, in this and later versions; the others are closed as well, since an administrator may
/// have put them on another disk by a link or a mount.
const FOLDERS: [&str; 5] = [paths::HOME, paths::DISK, paths::STORE, paths::VOLUMES, received::SECRETS];
/// The folder of an instance in /run: its runtime enters as root of the instance, which is another user on the host.
const PASSED: u32 = 0o710;

/// All folders that others than root can enter, with mode and owner.
pub(crate) fn open() -> BTreeMap<String, String> {
    let shut = |there: &Metadata| there.mode() & 0o077 == 0 && there.uid() == 0;
    let passed = |there: &Metadata| there.mode() & 0o067 == 0 && there.uid() == 0;
    let fixed = FOLDERS.iter().map(PathBuf::from).filter_map(|path| wrong(path, &shut));
    let runs = disk::instances().into_iter().map(|(stack, name)| InstanceFolders::new(&stack, &name).run);
    fixed.chain(runs.filter_map(|path| wrong(path, &passed))).collect()
}

fn wrong(path: PathBuf, good: &dyn Fn(&Metadata) -> bool) -> Option<(String, String)> {
    let there = std::fs::metadata(&path).ok().filter(|there| there.is_dir() && !good(there))?;
    let owner = if there.uid() == 0 { "root".to_owned() } else { format!("uid {}", there.uid()) };
    Some((path.display().to_string(), format!("{:04o} {owner}", there.mode() & 0o7777)))
}

/// Closes all of them.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn close() -> Result<(), Failure> {
    for path in open().into_keys().map(PathBuf::from) {
        let place = FOLDERS.iter().all(|folder| *folder != path.as_path());
        let ids =
            place.then(|| InstanceFolders { disk: on_disk(&path), run: path.clone() }.range()).flatten();
        give(&path, if place { PASSED } else { 0o700 }, ids.map_or(0, |ids| ids.first))?;
    }
    Ok(())
}

/// Closes the folder of an instance in /run to all but its runtime, which enters as the first of its ids.
///
/// # Errors
/// Errors of the file system.
pub(super) fn pass(run: &Path, ids: Option<Ids>) -> Result<(), Failure> {
    give(run, PASSED, ids.map_or(0, |ids| ids.first))
}

fn give(path: &Path, mode: u32, group: u32) -> Result<(), Failure> {
    chown(path, Some(0), Some(group))
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(|e| file::failure(path, "close", &e))
}

/// The folder on disk that belongs to one in /run.
fn on_disk(run: &Path) -> PathBuf {
    let below = run.strip_prefix(paths::RUN).unwrap_or(run);
    Path::new(paths::DISK).join(below)
}
