//! Images: a content-addressed store, import and export.

mod archive;
mod blobs;
mod clock;
mod debian;
mod decode;
mod digest;
mod entries;
mod export;
mod gc;
mod import;
mod layout;
pub(crate) mod limits;
mod lxd;
mod manifest;
mod merge;
mod owners;
mod parents;
mod place;
mod registry;
mod rootfs;
mod source;
mod store;
mod survey;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;
mod used;

pub(crate) use export::Form;
pub(crate) use gc::Collected;
pub(crate) use registry::{Access, Login, RegistryAccess, registry_of};
pub(crate) use source::Source;
pub(crate) use store::{Store, Stored};
pub(crate) use used::used;

use common::host::file;
use common::{Failure, Kind};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The refusal of a document, an archive or a name.
fn refused(what: &str, message: impl Into<String>) -> Failure {
    Failure::new(Kind::Data, &format!("ct.image.{what}"), message)
}

/// The failure of reading an archive: it is malformed, or cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::Other => {
            refused("archive", format!("{} is broken", path.display()))
                .because(error.to_string().split(" when getting").next().unwrap_or_default())
                .hint("fetch or create it again; an interrupted upload can be the cause")
        }
        ErrorKind::OutOfMemory => refused("limit", format!("{} cannot be unpacked", path.display()))
            .because(format!("it needs more than {} MiB of memory for unpacking", limits::XZ_KIB >> 10)),
        ErrorKind::NotFound => refused("source", format!("{}: no such file", path.display())),
        _ => file::failure(path, "read", error),
    }
}

/// Removes a tree of lsx; a missing one is no error.
fn remove_tree(path: &Path) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "an image has many files, and none is user data")]
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file::failure(path, "remove", &e)),
        _ => Ok(()),
    }
}
