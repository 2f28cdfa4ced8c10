//! Gives a restored file what is known of it beside its content.

use super::known::{is_own, raw_mode};
use rustic_core::repofile::{Metadata, Node};
use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A second.
const SECOND: i128 = 1_000_000_000;

/// The path of something in an open folder: its last part is not followed.
pub(super) fn link(above: &OwnedFd, name: &[u8]) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", above.as_raw_fd())).join(OsStr::from_bytes(name))
}

/// When it was written: seconds and their part.
pub(super) fn time(known: &Metadata) -> Option<(i64, i64)> {
    let at = known.mtime?.as_nanosecond();
    Some((i64::try_from(at.div_euclid(SECOND)).ok()?, i64::try_from(at.rem_euclid(SECOND)).ok()?))
}

/// Owner, attributes, mode and time, in this order: another owner takes setuid and capabilities away, and an access list changes the mode.
///
/// # Errors
/// Of the file system, which may lack some of it.
pub(super) fn give(above: &OwnedFd, name: &[u8], node: &Node) -> Result<(), Errno> {
    let (known, link) = (&node.meta, link(above, name));
    let (user, group) = (known.uid.map(Uid::from_raw), known.gid.map(Gid::from_raw));
    fs::chownat(above, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
    for attribute in known.extended_attributes.iter().filter(|one| !is_own(one.name.as_bytes())) {
        let value = attribute.value.as_deref().unwrap_or_default();
        fs::lsetxattr(&link, attribute.name.as_bytes(), value, XattrFlags::empty())?;
    }
    if let Some(mode) = known.mode.filter(|_| !node.is_symlink()) {
        fs::chmodat(above, name, Mode::from_raw_mode(raw_mode(mode)), AtFlags::empty())?;
    }
    if let Some((tv_sec, tv_nsec)) = time(known) {
        let at = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: at, last_modification: at };
        fs::utimensat(above, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
