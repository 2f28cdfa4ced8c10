//! What is known of a file beside its content, as repositories have it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{self, FileType};
use rustix::io::Errno;
use serde_json::json;
use std::ffi::OsString;
use std::io;

/// Attributes that prove what a folder of lsx is; a copy proves nothing.
const OWN: &[u8] = b"trusted.lsx.";

/// The most bytes that the attributes of one file may have, with their names: all of them are in memory at once.
const MOST: usize = 1 << 20;

/// The attributes of a file, as a repository has them.
pub(super) fn attributes(link: &OsString) -> io::Result<serde_json::Value> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    let listed = read(|to| fs::llistxattr(link, to));
    let listed = match listed {
        Err(Errno::OPNOTSUPP) => Vec::new(),
        listed => listed?,
    };
    for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty() && !is_own(name)) {
        let value = read(|to| fs::lgetxattr(link, name, to))?;
        bytes += name.len() + value.len();
        if bytes > MOST {
            return Err(io::Error::other("they have more than 1 MiB"));
        }
        all.push(json!({"name": String::from_utf8_lossy(name), "value": STANDARD.encode(value)}));
    }
    Ok(json!(all))
}

/// A value of any length that the kernel has (64 KiB).
fn read(get: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 1024];
    let length = match get(&mut value) {
        Err(Errno::RANGE) => {
            value.resize(1 << 16, 0);
            get(&mut value)?
        }
        length => length?,
    };
    value.truncate(length);
    Ok(value)
}

/// The mode of a file as repositories have it: bits of Go's `os.FileMode`.
pub(super) fn mode(raw: u32) -> u32 {
    let kind = match FileType::from_raw_mode(raw) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::RegularFile | FileType::Unknown => 0,
    };
    let bits = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    bits.into_iter().filter(|(bit, _)| raw & bit != 0).fold(kind | raw & 0o777, |mode, (_, go)| mode | go)
}

/// Whether an attribute is one of those that prove something.
pub(super) fn is_own(name: &[u8]) -> bool {
    name.starts_with(OWN)
}

/// The bits that chmod(2) sets, of a mode as repositories have it.
pub(super) fn raw_mode(mode: u32) -> u32 {
    let bits = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
    bits.into_iter().filter(|(go, _)| mode & go != 0).fold(mode & 0o777, |raw, (_, bit)| raw | bit)
}

#[cfg(test)]
mod tests {
    use super::{mode, raw_mode};

    #[test]
    fn modes_are_those_of_go() {
        let cases = [
            (0o100_644, 0o644),
            (0o104_755, 0o755 | 1 << 23),
            (0o102_755, 0o755 | 1 << 22),
            (0o041_777, 0o777 | 1 << 31 | 1 << 20),
            (0o120_777, 0o777 | 1 << 27),
            (0o020_600, 0o600 | 1 << 26 | 1 << 21),
            (0o010_600, 0o600 | 1 << 25),
        ];
        cases.iter().for_each(|(raw, go)| assert_eq!(mode(*raw), *go, "{raw:o}"));
        cases.iter().for_each(|(raw, go)| assert_eq!(raw_mode(*go), raw & 0o7777, "{raw:o}"));
    }
}
