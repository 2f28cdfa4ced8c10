//! Files that a person named, such as with `-o`.

use super::file::{self, Mode};
use crate::failure::{Failure, Kind};
use std::fs;
use std::path::Path;

/// Writes a file that a person named, such as with `-o`: a link is followed, a device or pipe is written to, and the folder
/// must exist. Returns whether it was written.
///
/// # Errors
/// Kind `Usage` when there is no such folder; otherwise as [`file::write`].
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<bool, Failure> {
    // A dangling link is followed once, by hand.
    let to = fs::canonicalize(path).or_else(|_| {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::read_link(path).map(|to| folder.join(to))
    });
    let to = to.unwrap_or_else(|_| path.to_owned());
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("cannot write {}: no folder {}", path.display(), folder.display());
        return Err(Failure::new(Kind::Usage, "usage.folder", message).hint("create it first"));
    }
    file::write(&to, bytes, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_one_and_a_folder_is_not_made() {
        let temp = tempfile::tempdir().unwrap();
        let (target, link) = (temp.path().join("target"), temp.path().join("link"));
        std::os::unix::fs::symlink("target", &link).unwrap();
        for text in ["one", "two"] {
            assert!(write(&link, text.as_bytes(), Mode::Public).unwrap());
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read(&target).unwrap(), text.as_bytes());
        }
        let device = temp.path().join("device");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        write(&device, b"x", Mode::Public).unwrap();
        assert!(fs::symlink_metadata(&device).unwrap().is_symlink());
        let missing = write(&temp.path().join("none/file"), b"x", Mode::Public).unwrap_err();
        assert_eq!((missing.kind, temp.path().join("none").exists()), (Kind::Usage, false));
    }
}
