//! Opens what is below a folder: through no link, no mount, and not above it.

use super::volume::FOLDER;
use rustix::fs::{self, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Bytes of a path that the kernel is given at once; it takes 4096.
const LONG: usize = 3000;
/// Most bytes of a path.
pub const MOST: usize = 64 << 10;
/// How often something is opened again that was moved meanwhile.
const AGAIN: usize = 16;

const HOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// A folder; an empty path is `root` itself.
///
/// # Errors
/// Of the kernel; a path that leads elsewhere.
pub fn folder(root: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    if path.len() > MOST {
        return Err(Errno::NAMETOOLONG);
    }
    if !path.is_empty() && !path.split(|byte| *byte == b'/').all(is_name) {
        return Err(Errno::INVAL);
    }
    let mut at = one(&root, b".", FOLDER)?;
    let mut rest = path;
    while !rest.is_empty() {
        let cut = match rest.len() > LONG {
            true => rest[..LONG].iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?,
            false => rest.len(),
        };
        at = one(&at, &rest[..cut], FOLDER)?;
        rest = rest.get(cut + 1..).unwrap_or_default();
    }
    Ok(at)
}

/// The folder of a path, and its name there.
///
/// # Errors
/// As [`folder`].
pub fn above(root: impl AsFd, path: &[u8]) -> Result<(OwnedFd, &[u8]), Errno> {
    let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    };
    if !is_name(name) {
        return Err(Errno::INVAL);
    }
    Ok((folder(root, above)?, name))
}

/// A file in a folder: nothing blocks, whatever it is.
///
/// # Errors
/// Of the kernel.
pub fn file(above: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    if !is_name(name) {
        return Err(Errno::INVAL);
    }
    one(above, name, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC)
}

/// Whether it is the name of something in a folder.
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= 255 && !name.contains(&b'/') && !name.contains(&0)
}

fn one(at: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
    let mut last = Errno::AGAIN;
    for _ in 0..AGAIN {
        match fs::openat2(&at, path, flags, mode, HOW) {
            Err(Errno::AGAIN) => last = Errno::AGAIN,
            done => return done,
        }
    }
    Err(last)
}
