//! Folders that a layer has without saying what they are like: its archive names files in them, and not them. In the root of an
//! instance they are as the layer below has them; overlayfs shows those of the topmost, whatever it knows of them.

use super::tree::remove_tree;
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

/// On a folder that was made for what is in it; seen by root of the host alone.
const IMPLIED: &str = "trusted.lsx.implied";
const OPAQUE: &str = "trusted.overlay.opaque";

/// Notes that an archive has not said what a folder is like.
pub(super) fn implied(folder: impl AsFd) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(folder, IMPLIED, b"y", XattrFlags::empty())
}

/// It has said so now.
pub(super) fn said(folder: impl AsFd) -> rustix::io::Result<()> {
    match rustix::fs::fremovexattr(folder, IMPLIED) {
        Err(Errno::NODATA) => Ok(()),
        done => done,
    }
}

/// A layer of such folders alone, for on top; `None` when there are none. It is made once for the same layers, by whoever holds the
/// lock of the topmost.
///
/// # Errors
/// What the file system refused.
pub(super) fn layer(trees: &[PathBuf]) -> Result<Option<PathBuf>, Failure> {
    let Some((top, _)) = trees.split_first().filter(|(_, below)| !below.is_empty()) else { return Ok(None) };
    let all: Vec<String> = trees.iter().map(|tree| tree.display().to_string()).collect();
    let name = format!("parents-{}", &document::digest(all.join("\n").as_bytes())[..16]);
    let path = top.with_extension(&name);
    if !path.is_dir() {
        let aside = top.with_extension(format!("{name}-new"));
        remove_tree(&aside)?; // who began it is dead: the lock is ours
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
    // Sorted, those above come first.
    for folder in wanted {
        let from = restored(trees, &folder).or_else(|| topmost(trees, &folder));
        let Some(from) = from else { continue };
        let made = to.join(&folder);
        copy(&from, &made).map_err(|e| file::failure(&made, "make", &e.into()))?;
    }
    Ok(())
}

/// Every folder of a tree that its archive has said nothing of.
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

/// What a layer knows of a path.
enum Known {
    /// Nothing, and whether it hides what those below know.
    Nothing(bool),
    /// It is something else, or gone.
    Other,
    /// A folder, and whether it hides those below. One that hides what is in them alone is still what they say it is.
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

/// Where a folder that the topmost layer says nothing of is told what it is like; `None` where nobody does, or the topmost does.
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

/// A folder as it is seen anyway.
fn topmost(trees: &[PathBuf], folder: &Path) -> Option<PathBuf> {
    let seen = |tree: &&PathBuf| matches!(known(tree, folder), Known::Folder(..));
    trees.iter().find(seen).map(|tree| tree.join(folder))
}

/// Makes a folder as another one is: owner, mode, attributes of users, time.
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
