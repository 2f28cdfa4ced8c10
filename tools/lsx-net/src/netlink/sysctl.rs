//! The kernel's network settings in `/proc/sys/net`, of a given namespace.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::namespace;

/// Reads a setting, without its line end; `None` if the kernel does not have it (a module is not loaded, or the interface
/// is gone). `key` is relative to `/proc/sys/net` and has slashes, because interface names have dots:
/// `ipv4/conf/eth0.5/rp_filter`.
///
/// # Errors
/// `InvalidInput` for a key that leaves the directory; those of [`namespace::inside`] and of the file.
pub(crate) fn read(namespace: BorrowedFd<'_>, key: &str) -> io::Result<Option<String>> {
    let path = path_of(key)?;
    match namespace::inside(namespace, || fs::read_to_string(&path))? {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(|text| Some(text.trim_end().to_owned())),
    }
}

/// The same in the calling thread's own namespace, without a new thread.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_here(key: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(path_of(key)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(|text| Some(text.trim_end().to_owned())),
    }
}

/// Writes settings in order and stops at the first error.
///
/// # Errors
/// `NotFound` if the kernel has no such setting, `InvalidInput` for a value it refuses; the message names the key.
pub(crate) fn write(namespace: BorrowedFd<'_>, settings: &[(&str, &str)]) -> io::Result<()> {
    namespace::inside(namespace, || write_here(settings))?
}

/// The same in the calling thread's own namespace, without a new thread.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_here(settings: &[(&str, &str)]) -> io::Result<()> {
    settings.iter().try_for_each(|(key, value)| set(key, value))
}

#[expect(clippy::disallowed_methods, reason = "a file of /proc cannot be replaced by rename")]
fn set(key: &str, value: &str) -> io::Result<()> {
    let explain = |error: io::Error| io::Error::new(error.kind(), format!("net/{key} = {value}: {error}"));
    fs::write(path_of(key)?, value).map_err(explain)
}

/// `/proc/sys/net` shows the namespace of the reading thread.
fn path_of(key: &str) -> io::Result<PathBuf> {
    let inside = !key.is_empty() && key.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !inside {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{key:?} is not a network setting")));
    }
    Ok(Path::new("/proc/sys/net").join(key))
}
