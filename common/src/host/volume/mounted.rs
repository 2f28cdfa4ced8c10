//! The place of a volume: its content is mounted there, unless it is there.

use super::super::file;
use super::{mark, mark_at, place};
use crate::failure::{Failure, Kind};
use crate::mountinfo;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{fstat, stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

/// How many mounts of one volume at its place are removed, if somebody has made several.
const STACKED: usize = 16;

/// Whether what is at a volume's place is this content, which is at a path.
pub fn done(stack: &str, name: &str, path: &Path, content: impl AsFd) -> bool {
    let place = place(stack, name);
    let same = || {
        let (there, own) = (stat(&place)?, fstat(content)?);
        Ok::<_, Errno>((there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
    };
    path == place || same().unwrap_or_default()
}

/// Mounts it.
///
/// # Errors
/// Of the kernel; something else that is at its place.
pub fn up(stack: &str, name: &str, path: &Path, content: impl AsFd) -> Result<(), Failure> {
    if done(stack, name, path, &content) {
        return Ok(());
    }
    let place = place(stack, name);
    file::private_folder(&place)?;
    if let Some(what) = taken(&place) {
        let message = format!("{what} at {}, where volume {name} is to be mounted", place.display());
        return Err(Failure::new(Kind::Failed, "store.place", message)
            .at(format!("store.volumes.{name}"))
            .hint(format!(
                "if it is the volume's content: stop its instances, and move it to {}",
                path.display()
            )));
    }
    let from = format!("/proc/self/fd/{}", content.as_fd().as_raw_fd());
    let none: Option<&str> = None;
    mount(Some(from.as_str()), &place, none, MsFlags::MS_BIND, none)
        .map_err(|e| file::failure(&place, "mount volume at", &e.into()))
}

/// What is at the place already: files, or a mount.
fn taken(place: &Path) -> Option<&'static str> {
    if std::fs::read_dir(place).ok()?.next().is_some() {
        return Some("there are files");
    }
    is_mount(place).then_some("something else is mounted")
}

/// Whether something is mounted there.
fn is_mount(place: &Path) -> bool {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let Ok(place) = std::fs::canonicalize(place) else { return false };
    mountinfo::mounts(&table).iter().any(|mount| mount.at == place)
}

/// Removes the mount, and the folder that it was on.
///
/// # Errors
/// While somebody uses it.
pub fn down(stack: &str, name: &str, path: &Path) -> Result<(), Failure> {
    let place = place(stack, name);
    if path == place {
        return Ok(());
    }
    for _ in 0..STACKED {
        let there = mark_at(&place).map_err(|e| file::failure(&place, "look at", &e))?;
        if there.as_deref() != Some(&mark(stack, name)) {
            break;
        }
        umount2(&place, MntFlags::UMOUNT_NOFOLLOW).map_err(|e| {
            let failure = file::failure(&place, "unmount volume at", &e.into());
            failure.hint("a program has a file of it open, or is in one of its folders: fuser -vm shows it")
        })?;
    }
    file::remove_empty(&place);
    place.ancestors().skip(1).take(2).for_each(file::remove_empty);
    Ok(())
}
