//! Buckets: folders of plain files, that hold objects by their keys.

mod about;
mod bucket;
mod draft;
mod history;
mod key;
mod lines;
mod list;
mod outside;
mod over;
mod place;
mod upload;
mod version;

pub(crate) use about::{About, Sums};
pub(crate) use bucket::{Bucket, Condition, Found};
pub(crate) use draft::{Draft, Written};
pub(crate) use key::LONGEST;
pub(crate) use lines::Line;
pub(crate) use list::{Item, Page, Range};
pub(crate) use outside::{has_upload, waiting};
pub(crate) use over::{Seen, given_up};
pub(crate) use place::random;
pub(crate) use upload::{Upload, hex};
pub(crate) use version::{Deleted, Versions, named, valid};

use std::fmt;
use std::io;

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The file system.
    Disk(io::Error),
    /// There is no such object.
    Missing,
    /// There is none any more, since it was deleted; the version that says so.
    Deleted(String),
    /// There is no such version.
    NoVersion,
    /// This version only says that the object was deleted.
    Marker(String),
    /// A condition of the request does not hold.
    Condition,
    /// There is no such upload.
    NoUpload,
    /// A part of an upload is missing, or is another one.
    Part,
    /// Parts are not in order.
    Order,
    /// A part that is not the last one is too small.
    Small,
    /// What is to be known of an object has no room.
    Metadata,
    /// What was sent is not what its checksum says.
    Sum(&'static str),
    /// What is on the disk is not what was written.
    Rotten,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Disk(error)
    }
}

impl From<rustix::io::Errno> for Refused {
    fn from(error: rustix::io::Errno) -> Self {
        Refused::Disk(error.into())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
