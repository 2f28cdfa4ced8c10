//! Files of the volume, by names that clients send. No name leads out of it, and no link is followed.

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use std::fs::File;
use std::os::fd::OwnedFd;

/// The longest name in bytes.
const LONGEST: usize = 1024;

/// The folder, for looking up names.
pub(super) struct Volume(pub(super) OwnedFd);

/// Why there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nothing with this name, or something else than a file.
    Missing,
    /// The machine has booted already.
    Booted,
    /// Not everybody may read it, or it is no name of a file in the volume.
    Denied,
}

impl Refused {
    /// In words.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Refused::Missing => "there is no such file",
            Refused::Booted => "this machine has booted by the network; lsx-dns boot lets it boot again",
            Refused::Denied => "this file is not for everybody",
        }
    }
}

impl Volume {
    /// Opens a file by its plain name, with its size.
    pub(super) fn open(&self, name: &str) -> Result<(File, u64), Refused> {
        // Nobody is waited for at the other end of a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let stay = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(&self.0, name, flags, Mode::empty(), stay).map_err(|e| match e {
            rustix::io::Errno::ACCESS | rustix::io::Errno::LOOP | rustix::io::Errno::XDEV => Refused::Denied,
            _ => Refused::Missing,
        })?;
        let file = File::from(file);
        let about = file.metadata().map_err(|_| Refused::Missing)?;
        if about.is_file() { Ok((file, about.len())) } else { Err(Refused::Missing) }
    }
}

/// The name of a file as the volume has it, from one of a client: without slashes at its beginning, and nothing that stands for another
/// folder.
pub(super) fn plain(name: &str) -> Result<String, Refused> {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let wrong = parts.contains(&"..") || name.chars().any(char::is_control);
    if wrong || name.len() > LONGEST {
        return Err(Refused::Denied);
    }
    if parts.is_empty() || name.ends_with('/') {
        return Err(Refused::Missing);
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_name_stays_in_the_volume() {
        for (name, plain_name) in [("a", "a"), ("/a/b", "a/b"), ("//a/./b", "a/b"), ("a..b/...", "a..b/...")]
        {
            assert_eq!(plain(name), Ok(plain_name.to_owned()), "{name}");
        }
        for name in ["..", "../a", "a/../b", "/..", "a\0b", "a\nb", &"a".repeat(LONGEST + 1)] {
            assert_eq!(plain(name), Err(Refused::Denied), "{name:?}");
        }
        for name in ["", "/", "a/", "./"] {
            assert_eq!(plain(name), Err(Refused::Missing), "{name:?}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
    fn no_link_is_followed_and_nothing_but_files_is_opened() {
        let at = tempfile::tempdir().unwrap();
        let path = |name: &str| at.path().join(name);
        std::fs::create_dir(path("inner")).unwrap();
        std::fs::write(path("inner/file"), "text").unwrap();
        symlink("inner/file", path("link")).unwrap();
        symlink("inner", path("folder")).unwrap();
        symlink("/etc", path("out")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let volume = Volume(File::open(at.path()).unwrap().into());
        assert_eq!(volume.open("inner/file").unwrap().1, 4);
        for name in ["link", "folder/file", "out/passwd", "../etc/passwd", "/etc/passwd"] {
            assert_eq!(volume.open(name).unwrap_err(), Refused::Denied, "{name}");
        }
        for name in ["none", "inner", "pipe", "inner/file/more"] {
            assert_eq!(volume.open(name).unwrap_err(), Refused::Missing, "{name}");
        }
    }
}
