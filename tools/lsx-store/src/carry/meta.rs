//! Owner, mode, times and attributes of what is in a folder.

use super::{Entry, Raw};
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The most bytes of names of attributes, and of one value.
const ATTRIBUTES: usize = 64 << 10;
/// The most bytes of all values of a file: a message has those of a thousand files.
const MANY: usize = 1 << 20;
/// On a file of an unfinished copy: the token of what it is a copy of.
pub(crate) const FROM: &str = "trusted.lsx.from";

/// Attributes that go along. Those of lsx belong to a host, and labels to its rules.
fn carried(name: &[u8]) -> bool {
    let begins = |begin: &str| name.starts_with(begin.as_bytes());
    name == b"security.capability"
        || begins("user.")
        || begins("system.posix_acl_")
        || (begins("trusted.") && !begins("trusted.lsx."))
}

/// The path of something in an open folder: its last part is not followed.
fn path(above: impl AsFd, name: &[u8]) -> PathBuf {
    let name = if name.is_empty() { b"." } else { name };
    PathBuf::from(format!("/proc/self/fd/{}", above.as_fd().as_raw_fd())).join(OsStr::from_bytes(name))
}

/// Its attributes, in their order.
///
/// # Errors
/// Of the file system.
pub(crate) fn attributes(above: impl AsFd, name: &[u8]) -> Result<Vec<(Raw, Raw)>, Errno> {
    let path = path(above, name);
    let mut names = vec![0; ATTRIBUTES];
    let length = match fs::llistxattr(&path, &mut names) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let (mut all, mut bytes) = (Vec::new(), 0);
    for name in names[..length].split(|byte| *byte == 0).filter(|name| carried(name)) {
        let mut value = vec![0; ATTRIBUTES];
        if bytes > MANY {
            return Err(Errno::TOOBIG);
        }
        match fs::lgetxattr(&path, OsStr::from_bytes(name), &mut value) {
            Ok(length) => {
                bytes += length;
                all.push((Raw(name.to_vec()), Raw(value[..length].to_vec())));
            }
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    all.sort();
    Ok(all)
}

/// The token of a copied file.
pub(crate) fn token(above: impl AsFd, name: &[u8]) -> Option<String> {
    let mut value = vec![0; 256];
    let length = fs::lgetxattr(path(above, name), FROM, &mut value).ok()?;
    String::from_utf8(value[..length].to_vec()).ok()
}

/// Sets or removes it.
///
/// # Errors
/// Of the file system.
pub(crate) fn set_token(above: impl AsFd, name: &[u8], token: Option<&str>) -> Result<(), Errno> {
    let path = path(above, name);
    match token {
        Some(token) => fs::lsetxattr(path, FROM, token.as_bytes(), XattrFlags::empty()),
        None => match fs::lremovexattr(path, FROM) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            done => done,
        },
    }
}

/// Makes owner, attributes, mode and time those of the entry. Returns whether anything differed.
///
/// # Errors
/// Of the file system.
pub(crate) fn set(above: impl AsFd, name: &[u8], wanted: &Entry) -> Result<bool, Errno> {
    let kind = FileType::from_raw_mode(wanted.mode);
    let at = if name.is_empty() { b"." } else { name };
    let now = fs::statat(&above, at, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut changed = false;
    let owned = (now.st_uid, now.st_gid) != (wanted.uid, wanted.gid);
    if owned {
        let (user, group) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        fs::chownat(&above, at, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        changed = true;
    }
    let (have, own) = (attributes(&above, name)?, path(&above, name));
    for (gone, _) in have.iter().filter(|(name, _)| wanted.attributes.iter().all(|(other, _)| other != name))
    {
        fs::lremovexattr(&own, OsStr::from_bytes(&gone.0))?;
        changed = true;
    }
    for (name, value) in wanted.attributes.iter().filter(|pair| !have.contains(pair)) {
        if !carried(&name.0) || name.0.contains(&0) {
            return Err(Errno::INVAL);
        }
        fs::lsetxattr(&own, OsStr::from_bytes(&name.0), &value.0, XattrFlags::empty())?;
        changed = true;
    }
    // Another owner takes setuid away, and an access list changes the mode.
    if kind != FileType::Symlink && (changed || now.st_mode & 0o7777 != wanted.mode & 0o7777) {
        fs::chmodat(&above, at, Mode::from_raw_mode(wanted.mode & 0o7777), AtFlags::empty())?;
        changed = true;
    }
    if mtime(&now) != wanted.mtime {
        let time = Timespec {
            tv_sec: wanted.mtime.0,
            tv_nsec: i64::try_from(wanted.mtime.1).unwrap_or(0).min(999_999_999),
        };
        let times = Timestamps { last_access: time, last_modification: time };
        fs::utimensat(&above, at, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        changed = true;
    }
    Ok(changed)
}

/// When it was last written.
pub(crate) fn mtime(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

/// What of it is an entry.
pub(crate) fn entry(name: &[u8], stat: &Stat) -> Entry {
    let kind = FileType::from_raw_mode(stat.st_mode);
    Entry {
        name: Raw(name.to_vec()),
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: mtime(stat),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        device: if kind.is_char_device() || kind.is_block_device() { stat.st_rdev } else { 0 },
        inode: stat.st_ino,
        linked: stat.st_nlink > 1 && kind != FileType::Directory,
        token: format!("{}.{}.{}.{}", stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec),
        ..Entry::default()
    }
}
