//! The content of a volume on its way to another host: what both hosts tell the operator's machine, which passes it on. Each answer stands alone, so
//! a copy that was cut off goes on where it was. Neither host trusts the other one, nor what instances have made: names are parts of paths
//! that are opened below the volume's own folder, and no link is followed.

pub(crate) mod meta;
pub(crate) mod pass;
pub(crate) mod source;
pub(crate) mod target;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Bytes of a file that are compared, and sent or not, as one.
pub(crate) const PIECE: u64 = 1 << 20;
/// The bytes of files in one message, approximately.
pub(crate) const MESSAGE: usize = 4 << 20;

/// Bytes that need not be text: names, attributes, content.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    /// A path that goes on with a name.
    pub(crate) fn join(&self, name: &Raw) -> Raw {
        let between: &[u8] = if self.0.is_empty() { b"" } else { b"/" };
        Raw([&self.0, between, &name.0].concat())
    }

    /// For messages.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Raw).map_err(D::Error::custom)
    }
}

/// What is in a folder, or the folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its name there; empty for the folder itself.
    pub(crate) name: Raw,
    /// Type and mode, as of stat(2).
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u64),
    /// Bytes of a file.
    pub(crate) size: u64,
    /// The number of a device.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) device: u64,
    /// Its number on its own disk; all names of a file have the same.
    pub(crate) inode: u64,
    /// Whether it has several names.
    pub(crate) linked: bool,
    /// Changes with the content of a file, whatever programs do to its times.
    pub(crate) token: String,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Raw>,
    /// Another path of the same file, which has come before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) same: Option<Raw>,
    /// Extended attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attributes: Vec<(Raw, Raw)>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Names of a folder in their order, all of those after one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// The folder.
    pub(crate) path: Raw,
    /// Names up to this one were told before.
    pub(crate) after: Raw,
    /// Whether further ones follow.
    pub(crate) more: bool,
    /// The folder itself.
    pub(crate) own: Entry,
    pub(crate) entries: Vec<Entry>,
}

/// What the other host did by a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// How many differences there were.
    pub(crate) changed: u64,
    /// Files whose content it needs, by their number in the listing, with the bytes that it has.
    pub(crate) wants: Vec<(usize, u64)>,
}

/// A file that is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Want {
    pub(crate) path: Raw,
    pub(crate) size: u64,
    pub(crate) token: String,
    pub(crate) offset: u64,
    /// Sums of what the other host has from the offset on, by pieces.
    pub(crate) sums: Vec<String>,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// So many bytes as they are there.
    Same(u64),
    /// So many zeros.
    Hole(u64),
    /// Bytes, and their sum.
    Bytes(Raw, String),
}

/// What was read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Got {
    pub(crate) parts: Vec<Part>,
    /// Where the parts end.
    pub(crate) end: u64,
    /// It was read to its end.
    pub(crate) whole: bool,
    /// It has not changed since it was listed, and a further change would show.
    pub(crate) settled: bool,
}

/// The sum of a piece.
pub(crate) fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
