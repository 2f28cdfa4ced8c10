//! Subvolumes of btrfs and their limits, by btrfs(8).

use super::Program;
use crate::failure::{Failure, Kind};
use rustix::fs::statat;
use rustix::fs::{AtFlags, CWD};
use std::ffi::OsStr;
use std::path::Path;

/// The inode of the folder of every subvolume (BTRFS_FIRST_FREE_OBJECTID).
const SUBVOLUME: u64 = 256;

/// What the kernel counts for a subvolume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that it uses.
    pub used: u64,
    /// Its limit in bytes.
    pub limit: Option<u64>,
    /// The number of the subvolume.
    id: u64,
}

fn btrfs<S: AsRef<OsStr>>(words: &[&str], paths: &[S]) -> Program {
    Program::new("btrfs").args(words).args(paths)
}

/// Whether a folder is one.
pub fn is_subvolume(path: &Path) -> bool {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|there| there.st_ino == SUBVOLUME)
}

/// Makes one.
///
/// # Errors
/// That of btrfs(8).
pub fn create(path: &Path) -> Result<(), Failure> {
    btrfs(&["subvolume", "create", "--"], &[path]).run(b"").map(|_| ())
}

/// Makes it read-only: what was removed is kept so.
///
/// # Errors
/// That of btrfs(8).
pub fn freeze(path: &Path) -> Result<(), Failure> {
    Program::new("btrfs")
        .args(["property", "set", "-ts"])
        .args([path])
        .args(["ro", "true"])
        .run(b"")
        .map(|_| ())
}

/// Sets its limit. Quotas of the file system are switched on by the first one.
///
/// # Errors
/// That of btrfs(8); a limit that is already exceeded.
pub fn limit(path: &Path, bytes: Option<u64>) -> Result<(), Failure> {
    let now = quota(path);
    match (now, bytes) {
        (None, None) => return Ok(()),
        (Some(now), _) if now.limit == bytes => return Ok(()),
        (Some(now), Some(bytes)) if now.used > bytes => {
            let message =
                format!("{} has {} bytes, more than the new size of {bytes}", path.display(), now.used);
            return Err(
                Failure::new(Kind::Failed, "store.shrink", message).hint("remove files from it first")
            );
        }
        (None, Some(_)) => _ = btrfs(&["quota", "enable"], &[path]).run(b"")?,
        _ => {}
    }
    let bytes = bytes.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string());
    // By its own path the kernel refuses every limit while the present one is exceeded.
    let above = path.parent().unwrap_or(path);
    match quota(path) {
        Some(Quota { id, .. }) => btrfs(&["qgroup", "limit", &bytes, &format!("0/{id}")], &[above]).run(b""),
        None => btrfs(&["qgroup", "limit", &bytes], &[path]).run(b""),
    }
    .map(|_| ())
}

/// What it uses, and its limit; none if the file system does not count that.
pub fn quota(path: &Path) -> Option<Quota> {
    let (code, said, _) = btrfs(&["qgroup", "show", "--raw", "-re", "-f"], &[path]).ended(b"").ok()?;
    if code == 0 { parse(&String::from_utf8_lossy(&said)) } else { None }
}

/// Whether there are others in it: what they have counts to no limit of it.
pub fn has_others(path: &Path) -> bool {
    let list = btrfs(&["subvolume", "list", "-o"], &[path]).ended(b"");
    list.is_ok_and(|(code, said, _)| code == 0 && said.starts_with(b"ID "))
}

/// Of a table with the columns identifier, referenced, exclusive, and the limits of both.
fn parse(text: &str) -> Option<Quota> {
    let mut words = text.lines().find_map(|line| line.trim_start().strip_prefix("0/"))?.split_whitespace();
    let id = words.next()?.parse().ok()?;
    let used = words.next()?.parse().ok()?;
    let limit = words.nth(1)?;
    Some(Quota { used, limit: if limit == "none" { None } else { Some(limit.parse().ok()?) }, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_from_the_table() {
        let table = |limit: &str| {
            format!(
                "Qgroupid    Referenced    Exclusive  Max referenced  Max exclusive   Path \n\
                 --------    ----------    ---------  --------------  -------------   ---- \n\
                 0/256         52412416        16384  {limit:>14}           none   a\n"
            )
        };
        assert_eq!(
            parse(&table("52428800")),
            Some(Quota { used: 52_412_416, limit: Some(52_428_800), id: 256 })
        );
        assert_eq!(parse(&table("none")), Some(Quota { used: 52_412_416, limit: None, id: 256 }));
        for wrong in ["", "0/256", "0/256 1 2", "0/256 x 1 none", "0/256 1 1 x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
