//! The uploads of a bucket as root of its host looks at them, by its path: whoever writes to the volume may have made any name in it, so no
//! link is followed.

use super::bucket::UPLOADS_AT;
use super::place::{self, FOLDER};
use rustix::fs::{AtFlags, Dir, FileType, Mode, open, statat};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The most that are counted.
const MOST: u64 = 100_000;

fn uploads(bucket: &Path) -> io::Result<OwnedFd> {
    let bucket = open(bucket, FOLDER, Mode::empty())?;
    Ok(place::folder(&bucket, UPLOADS_AT)?)
}

/// Whether an upload is there.
pub(crate) fn has_upload(bucket: &Path, id: &str) -> bool {
    uploads(bucket).is_ok_and(|uploads| place::folder(&uploads, id).is_ok())
}

/// The number of uploads, and when something was last added to the one that has waited for the longest time, in seconds since 1970.
///
/// # Errors
/// Of the file system.
pub(crate) fn waiting(bucket: &Path) -> io::Result<(u64, Option<u64>)> {
    let uploads = uploads(bucket)?;
    let (mut number, mut oldest) = (0, None);
    for upload in Dir::read_from(&uploads)? {
        let upload = upload?;
        let name = upload.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let Ok(about) = statat(&uploads, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
            number += 1;
            let at = u64::try_from(about.st_mtime).unwrap_or_default();
            oldest = Some(oldest.map_or(at, |oldest: u64| oldest.min(at)));
        }
        if number == MOST {
            break;
        }
    }
    Ok((number, oldest))
}
