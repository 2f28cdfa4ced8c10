//! Removes a folder whose content is hostile: links are not followed, nothing that is mounted in it is touched, and folders may be nested
//! without end.

use super::beneath;
use super::volume::FOLDER;
use rustix::fs::{self, AtFlags, Dir, FileType, RenameFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Removes a folder with everything in it. Folders in folders are first moved up: so two descriptors are enough for any depth.
///
/// # Errors
/// Of the file system; `XDEV` if something is mounted in it.
pub fn tree(above: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let top = match beneath::file(above, name.to_bytes(), FOLDER) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut number = 0_u64;
    loop {
        let mut folders = Vec::new();
        each(&top, |entry, is_folder| {
            if is_folder {
                folders.push(entry.to_owned())
            } else {
                fs::unlinkat(&top, entry, AtFlags::empty())?
            }
            Ok(())
        })?;
        if folders.is_empty() {
            return fs::unlinkat(above, name, AtFlags::REMOVEDIR);
        }
        for folder in folders {
            let open = beneath::file(&top, folder.to_bytes(), FOLDER)?;
            each(&open, |entry, is_folder| {
                if !is_folder {
                    return fs::unlinkat(&open, entry, AtFlags::empty());
                }
                loop {
                    number += 1;
                    let to = CString::new(format!(".lsx-{number}")).unwrap_or_default();
                    match fs::renameat_with(&open, entry, &top, &to, RenameFlags::NOREPLACE) {
                        Err(Errno::EXIST) => {} // another run was killed here
                        // A mount, or a folder that cannot be moved out, such as a nested subvolume.
                        Err(Errno::XDEV | Errno::BUSY) => return tree(&open, entry),
                        done => return done,
                    }
                }
            })?;
            fs::unlinkat(&top, &folder, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Calls `work` with every entry. It may remove them: the list is read first.
fn each(folder: &OwnedFd, mut work: impl FnMut(&CStr, bool) -> Result<(), Errno>) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)?.collect::<Result<Vec<_>, _>>()? {
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            kind => kind,
        };
        work(name, kind == FileType::Directory)?;
    }
    Ok(())
}
