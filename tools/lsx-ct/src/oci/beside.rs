//! This program beside an instance, for its first process. The kernel mounts no file that was removed, so that an instance
//! could not be started again after its copy of lsx-ct was gone; a second name of the file in the instance's own folder
//! stays.

use super::disk::InstanceFolders;
use common::Failure;
use common::host::file::{self, Mode};
use common::host::service::sibling;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file; on another file system than the copies it is a copy.
///
/// # Errors
/// If it cannot be made.
pub(super) fn program(place: &InstanceFolders) -> Result<PathBuf, Failure> {
    let (own, beside) = (sibling(crate::PROGRAM), place.disk.join("init"));
    let which = |path: &Path| path.metadata().ok().map(|m| (m.dev(), m.ino()));
    if which(&own).is_some() && which(&own) == which(&beside) {
        return Ok(beside);
    }
    file::remove(&beside)?;
    if std::fs::hard_link(&own, &beside).is_err() {
        let bytes = std::fs::read(&own).map_err(|e| file::failure(&own, "read", &e))?;
        file::write(&beside, &bytes, Mode::Program)?;
    }
    Ok(beside)
}
