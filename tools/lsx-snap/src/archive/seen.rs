//! How snapshots are tagged and seen, and what the library of repositories says when it fails.

use crate::model::Snapshot;
use common::{Failure, Kind};
use rustic_core::RusticError;
use rustic_core::repofile::SnapshotFile;
use std::path::Path;

/// The tags that every snapshot has.
pub(super) const STACK: &str = "lsx-stack=";
pub(super) const VOLUME: &str = "lsx-volume=";
/// The tag of one that lacks what could not be read.
pub(super) const INCOMPLETE: &str = "lsx-incomplete";

/// A failure of the library; none of them has a password.
pub(super) fn told(path: &Path, e: &RusticError) -> Failure {
    if e.is_incorrect_password() {
        let message = format!("the key does not open the repository at {}", path.display());
        return Failure::new(Kind::Failed, "snap.key", message)
            .hint("name the secret that it was made with; `restic key passwd` sets another one");
    }
    let message = format!("the repository at {}: {}", path.display(), e.display_log());
    Failure::new(Kind::Failed, "snap.repository", message)
}

pub(super) fn seen(one: &SnapshotFile) -> Snapshot {
    let tags: Vec<&str> = one.tags.iter().map(String::as_str).collect();
    let volume = tags.iter().find_map(|tag| tag.strip_prefix(VOLUME)).unwrap_or_default();
    let summary = one.summary.as_ref();
    Snapshot {
        id: one.id.to_hex().as_str().to_owned(),
        at: one.time.timestamp().to_string(),
        of: one.hostname.clone(),
        volume: volume.to_owned(),
        incomplete: tags.contains(&INCOMPLETE),
        consistent: tags.contains(&crate::model::CONSISTENT),
        bytes: summary.map(|summary| summary.total_bytes_processed),
    }
}
