//! What is known of an object beside its bytes: one attribute of its file, which any user of the file may read.

use super::Refused;
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, fstat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// The attribute. Servers without root cannot set one of `trusted`.
const ATTRIBUTE: &str = "user.lsx.object";
/// The most bytes of it that are read; file systems allow 64 KiB.
const LONG: usize = 64 * 1024;
/// ext4 has room for about so many bytes, so a longer attribute is not a full disk.
const ROOM: usize = 3000;
/// The most bytes of names and values that clients may give (S3's limit).
const GIVEN: usize = 2048;

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    /// Of its bytes: their MD5, or of an upload in parts that of its parts' and their number.
    pub(crate) etag: String,
    /// The size and the time in nanoseconds that the file had: with others it was written by somebody else.
    pub(crate) size: u64,
    pub(crate) at_ns: i64,
    /// CRC-64/NVME of its bytes; none of a file that somebody else has written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crc: Option<u64>,
    /// The sizes of its parts are not kept, their number is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parts: Option<u32>,
    /// Headers that are given back, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// What the client calls metadata.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) given: BTreeMap<String, String>,
    /// Checksums that the client has sent.
    #[serde(skip_serializing_if = "Sums::is_empty")]
    pub(crate) sums: Sums,
    /// Its tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    /// Its version; none is the one that S3 calls `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Where it is in the order of the versions of its key: about when it was written, in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) turn: Option<u64>,
    /// It only says that the object was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) marker: bool,
}

/// Checksums in base64, by the names of their algorithms as headers have them: `crc32`.
pub(crate) type Sums = BTreeMap<String, String>;

impl About {
    /// Of an open file.
    pub(crate) fn of(file: &File) -> io::Result<About> {
        let stat = fstat(file)?;
        let (size, at_ns) = (stat.st_size.unsigned_abs(), nanoseconds(stat.st_mtime, stat.st_mtime_nsec));
        let told = read(file).filter(|told| (told.size, told.at_ns) == (size, at_ns));
        Ok(told.unwrap_or_else(|| About {
            // The hyphen says that it is no MD5.
            etag: format!("{:x}-{size:x}-{at_ns:x}", stat.st_ino),
            size,
            at_ns,
            ..About::default()
        }))
    }

    /// Writes it to a file that has all its bytes.
    pub(crate) fn write(&mut self, file: &File) -> Result<(), Refused> {
        let given: usize = self.given.iter().map(|(name, value)| name.len() + value.len()).sum();
        if given > GIVEN {
            return Err(Refused::Metadata);
        }
        let stat = fstat(file)?;
        (self.size, self.at_ns) =
            (stat.st_size.unsigned_abs(), nanoseconds(stat.st_mtime, stat.st_mtime_nsec));
        self.keep(file)
    }

    /// Writes it to a file with the bytes that it is about.
    pub(super) fn keep(&self, file: &File) -> Result<(), Refused> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        match fsetxattr(file, ATTRIBUTE, &text, XattrFlags::empty()) {
            Err(Errno::TOOBIG | Errno::RANGE) => Err(Refused::Metadata),
            Err(Errno::NOSPC) if text.len() > ROOM => Err(Refused::Metadata),
            other => Ok(other?),
        }
    }

    /// Seconds since 1970 of its last change.
    pub(crate) const fn seconds(&self) -> i64 {
        self.at_ns.div_euclid(1_000_000_000)
    }
}

fn read(file: impl AsFd) -> Option<About> {
    let mut value = vec![0; LONG];
    let length = fgetxattr(file, ATTRIBUTE, &mut value).ok()?;
    serde_json::from_slice(&value[..length]).ok()
}

fn nanoseconds(seconds: i64, rest: impl TryInto<i64>) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest.try_into().unwrap_or_default())
}
