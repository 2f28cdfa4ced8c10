//! The writable layer of an instance with a size limit: a file system in a file. The file is fully allocated at once, so
//! that its space is guaranteed.

use super::disk::{InstanceFolders, folder_with};
use common::host::{Program, file};
use common::{Failure, Kind};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Part of a host's file system that layers must leave free, in percent.
const RESERVE: u64 = 5;

/// Mounts it in this process's own mount namespace; it is created if missing, and grown if too small.
///
/// # Errors
/// If there is not enough space, or the limit was reduced.
pub(super) fn mount(place: &InstanceFolders, bytes: u64) -> Result<PathBuf, Failure> {
    let (image, folder) = (place.disk.join("layer.img"), place.run.join("layer"));
    match std::fs::metadata(&image) {
        Err(_) => make(place, &image, bytes)?,
        Ok(there) if there.len() < bytes => grow(&image, there.len(), bytes)?,
        Ok(there) if there.len() > bytes => {
            let message =
                format!("limits.disk is less than the current {} MiB of its layer", there.len() >> 20);
            return Err(Failure::new(Kind::Data, "ct.oci.layer", message)
                .hint("the limit can only be increased while its files are kept"));
        }
        Ok(_) => {}
    }
    folder_with(&folder, 0o700)?;
    let mount =
        Program::new("mount").args(["-n", "-t", "ext4", "-o", "loop,nosuid,nodev"]).args([&image, &folder]);
    mount.run(b"")?;
    Ok(folder)
}

/// Created aside and renamed: an existing one is complete.
fn make(place: &InstanceFolders, image: &Path, bytes: u64) -> Result<(), Failure> {
    let aside = place.disk.join("layer.new");
    file::remove(&aside)?;
    let mut options = OpenOptions::new();
    let new = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(|e| file::failure(&aside, "make", &e))?;
    let made = room(&new, &aside, 0, bytes).and_then(|()| {
        Program::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"])
            .args([&aside])
            .run(b"")?;
        take(&new, &aside, 0, bytes)?; // where it could not write zeros it has made holes
        new.sync_all()
            .and_then(|()| std::fs::rename(&aside, image))
            .map_err(|e| file::failure(image, "make", &e))
    });
    if made.is_err() {
        file::remove(&aside)?;
    }
    made
}

fn grow(image: &Path, from: u64, bytes: u64) -> Result<(), Failure> {
    let open = OpenOptions::new().write(true).open(image).map_err(|e| file::failure(image, "open", &e))?;
    room(&open, image, from, bytes)?;
    // Exit code 1 means that it has repaired something.
    let (code, said, _) = Program::new("e2fsck").args(["-f", "-p"]).args([image]).ended(b"")?;
    if code > 1 {
        let failure = Failure::new(Kind::Failed, "ct.oci.layer", format!("{} is damaged", image.display()));
        return Err(failure
            .because(String::from_utf8_lossy(&said))
            .hint(format!("e2fsck -f {}", image.display())));
    }
    Program::new("resize2fs").args([image]).run(b"").map(|_| ())
}

/// Allocates the missing space on the host, unless too little would be left.
fn room(file: &File, path: &Path, from: u64, bytes: u64) -> Result<(), Failure> {
    let failed = |e: nix::Error| file::failure(path, "allocate space for", &e.into());
    let host = statvfs(path.parent().unwrap_or(path)).map_err(failed)?;
    let (block, more) = (host.fragment_size(), bytes - from);
    let (free, all) = (host.blocks_available() * block, host.blocks() * block);
    let left = free.checked_sub(more).filter(|left| *left >= all / 100 * RESERVE);
    if left.is_none() {
        let message = format!(
            "the host lacks space for {} MiB more: {} MiB are free, and {RESERVE} % must stay free",
            more >> 20,
            free >> 20
        );
        return Err(Failure::new(Kind::Failed, "ct.oci.layer", message)
            .hint("reduce limits.disk, or free space on the host"));
    }
    take(file, path, from, more)
}

fn take(file: &File, path: &Path, from: u64, more: u64) -> Result<(), Failure> {
    let length = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    fallocate(file, FallocateFlags::empty(), length(from), length(more))
        .map_err(|e| file::failure(path, "allocate space for", &e.into()))
}
