//! Folders without an entry in a layer's archive, which only has files in them. In the root of an instance they must be as
//! in the layer below; overlayfs uses the attributes of the topmost layer.

use super::remove_tree;
use common::Failure;
use common::document;
use common::host::file;
use rustix::fs::{Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The attribute of a folder without an entry in the archive; only root of the host sees it.
const IMPLIED: &str = "trusted.lsx.implied";
const OPAQUE: &str = "trusted.overlay.opaque";

/// Marks a folder that has no entry yet.
pub(super) fn implied(folder: impl AsFd) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(folder, IMPLIED, b"y", XattrFlags::empty())
}

/// Removes the mark when its entry follows.
pub(super) fn said(folder: impl AsFd) -> rustix::io::Result<()> {
    match rustix::fs::fremovexattr(folder, IMPLIED) {
        Err(Errno::NODATA) => Ok(()),
        done => done,
    }
}

/// An additional top layer of such folders only; `None` if there are none. It is created once for the same layers, under
/// the lock of the topmost layer.
///
/// # Errors
/// Errors of the file system.
pub(super) fn layer(trees: &[PathBuf]) -> Result<Option<PathBuf>, Failure> {
    let Some((top, _)) = trees.split_first().filter(|(_, below)| !below.is_empty()) else { return Ok(None) };
    let all: Vec<String> = trees.iter().map(|tree| tree.display().to_string()).collect();
    let name = format!("parents-{}", &document::digest(all.join("\n").as_bytes())[..16]);
    let path = top.with_extension(&name);
    if !path.is_dir() {
        let aside = top.with_extension(format!("{name}-new"));
        remove_tree(&aside)?; // its creator has died, since this process has the lock
        let made = make(trees, &aside)
            .and_then(|()| std::fs::rename(&aside, &path).map_err(|e| file::failure(&path, "make", &e)));
        if let Err(failure) = made {
            remove_tree(&aside)?;
            return Err(failure);
        }
    }
    let empty = std::fs::read_dir(&path).map_err(|e| file::failure(&path, "read", &e))?.next().is_none();
    Ok((!empty).then_some(path))
}

fn make(trees: &[PathBuf], to: &Path) -> Result<(), Failure> {
    DirBuilder::new().mode(0o755).create(to).map_err(|e| file::failure(to, "make", &e))?;
    let mut wanted = BTreeSet::new();
    for tree in trees.iter().take(trees.len() - 1) {
        walk(tree, Path::new(""), &mut |folder| {
            if restored(trees, folder).is_some() {
                let above = folder.ancestors().filter(|above| !above.as_os_str().is_empty());
                wanted.extend(above.map(Path::to_owned));
            }
        })?;
    }
    // Sorted, so that parents come first.
    for folder in wanted {
        let from = restored(trees, &folder).or_else(|| topmost(trees, &folder));
        let Some(from) = from else { continue };
        let made = to.join(&folder);
        copy(&from, &made).map_err(|e| file::failure(&made, "make", &e.into()))?;
    }
    Ok(())
}

/// All folders of a tree without an entry in its archive.
fn walk(tree: &Path, below: &Path, each: &mut dyn FnMut(&Path)) -> Result<(), Failure> {
    let path = tree.join(below);
    for entry in std::fs::read_dir(&path).map_err(|e| file::failure(&path, "read", &e))? {
        let entry = entry.map_err(|e| file::failure(&path, "read", &e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let folder = below.join(entry.file_name());
            if has(&entry.path(), IMPLIED) {
                each(&folder);
            }
            walk(tree, &folder, each)?;
        }
    }
    Ok(())
}

/// A layer's entry for a path.
enum Known {
    /// None, and whether lower layers are hidden.
    Nothing(bool),
    /// Something else, or a whiteout.
    Other,
    /// A folder, and whether it is opaque. An opaque folder still gets its attributes from below.
    Folder(bool),
}

fn known(tree: &Path, folder: &Path) -> Known {
    let (mut path, mut opaque) = (tree.to_owned(), false);
    for part in folder.components() {
        opaque |= path != tree && has(&path, OPAQUE);
        path.push(part);
        match path.symlink_metadata() {
            Err(_) => return Known::Nothing(opaque),
            Ok(meta) if !meta.is_dir() => return Known::Other,
            Ok(_) => {}
        }
    }
    Known::Folder(opaque)
}

/// The attributes of a folder without an entry in the topmost layer; `None` if no layer has any, or the topmost has.
fn restored(trees: &[PathBuf], folder: &Path) -> Option<PathBuf> {
    let mut silent = false;
    for tree in trees {
        match known(tree, folder) {
            Known::Nothing(false) => {}
            Known::Folder(opaque) => {
                let path = tree.join(folder);
                if !has(&path, IMPLIED) {
                    return silent.then_some(path);
                }
                silent = true;
                if opaque {
                    return None;
                }
            }
            Known::Nothing(true) | Known::Other => return None,
        }
    }
    None
}

/// A folder of the new layer.
fn topmost(trees: &[PathBuf], folder: &Path) -> Option<PathBuf> {
    let seen = |tree: &&PathBuf| matches!(known(tree, folder), Known::Folder(..));
    trees.iter().find(seen).map(|tree| tree.join(folder))
}

/// Copies owner, mode, extended attributes and time of a folder.
fn copy(from: &Path, to: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let from = rustix::fs::open(from, flags, Mode::empty())?;
    let there = rustix::fs::fstat(&from)?;
    rustix::fs::mkdir(to, Mode::from_raw_mode(0o700))?;
    let made = rustix::fs::open(to, flags, Mode::empty())?;
    rustix::fs::fchown(&made, Some(Uid::from_raw(there.st_uid)), Some(Gid::from_raw(there.st_gid)))?;
    rustix::fs::fchmod(&made, Mode::from_raw_mode(there.st_mode))?;
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::flistxattr(&from, &mut names)?;
    for name in names[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
        let name = std::ffi::OsStr::from_bytes(name);
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::fgetxattr(&from, name, &mut value)?;
        rustix::fs::fsetxattr(&made, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

fn has(folder: &Path, attribute: &str) -> bool {
    rustix::fs::lgetxattr(folder, attribute, &mut [0_u8; 8]).is_ok()
}
