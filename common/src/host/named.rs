//! Files that a person named, such as with `-o`.

use super::file::{self, Mode};
use crate::failure::{Failure, Kind};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Writes a file that a person named, such as with `-o`: a link is followed, a device or pipe is written to, and the folder
/// must exist. Returns whether it was written. In a folder like /tmp, what another user has put at that path is not used.
///
/// # Errors
/// Kind `Usage` when there is no such folder; `Denied` for a link or pipe of another user; otherwise as [`file::write`].
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<bool, Failure> {
    planted(path)?;
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
    // A rename would replace a device by a file.
    if fs::metadata(&to).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let written = fs::OpenOptions::new().write(true).open(&to).and_then(|mut it| it.write_all(bytes));
        return written.map(|()| true).map_err(|e| file::failure(&to, "write", &e));
    }
    file::write(&to, bytes, mode)
}

/// Refuses a link, pipe or socket of another user in a sticky folder that all may write to, as the kernel does with
/// `fs.protected_symlinks` and `fs.protected_fifos`, which may be off and do not concern links that a program reads itself.
fn planted(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(there), Ok(folder)) = (fs::symlink_metadata(path), fs::metadata(folder)) else { return Ok(()) };
    let kind = there.file_type();
    let what = if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() || kind.is_socket() {
        "a pipe or a socket"
    } else {
        return Ok(());
    };
    let trusted = [nix::unistd::geteuid().as_raw(), folder.uid()].contains(&there.uid());
    if trusted || folder.mode() & 0o1002 != 0o1002 {
        return Ok(());
    }
    let message = format!("{} is {what} of another user (uid {})", path.display(), there.uid());
    Err(Failure::new(Kind::Denied, "host.file.planted", message).hint(
        "anyone can create files in that folder; nothing was written; name a file in a folder of your own",
    ))
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

    /// Only root can give a file to another user.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
    fn what_another_user_put_into_an_open_folder_is_not_used() {
        use std::os::unix::fs::{PermissionsExt, lchown};
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("theirs"), "theirs").unwrap();
        std::os::unix::fs::symlink("theirs", at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "dangling", "pipe"] {
            if lchown(at(name), Some(65_534), None).is_err() {
                return;
            }
        }
        let mode = |mode: u32| fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o1777);
        for name in ["link", "dangling", "pipe"] {
            let failure = write(&at(name), b"x", Mode::Public).unwrap_err();
            assert_eq!(
                (failure.kind, failure.code.as_str()),
                (Kind::Denied, "host.file.planted"),
                "{failure}"
            );
        }
        assert_eq!(fs::read_to_string(at("theirs")).unwrap(), "theirs");
        assert!(!at("nowhere").exists());
        // A file is replaced by another one. Links in other folders, and own ones, are followed.
        fs::write(at("plain"), "theirs").unwrap();
        lchown(at("plain"), Some(65_534), None).unwrap();
        assert!(write(&at("plain"), b"x", Mode::Public).unwrap());
        mode(0o755);
        assert!(write(&at("link"), b"x", Mode::Public).unwrap());
        mode(0o1777);
        lchown(at("link"), Some(0), None).unwrap();
        assert!(write(&at("link"), b"y", Mode::Public).unwrap());
        assert_eq!(fs::read_to_string(at("theirs")).unwrap(), "y");
    }
}
