//! A repository: what lsx-snap needs of one, whatever keeps it.

mod back;
mod begun;
mod counted;
mod folder;
mod given;
mod known;
mod lock;
mod missed;
mod opened;
mod restic;
mod seen;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod verified;
mod written;

pub(crate) use back::{Back, Found, Which, is_name};
pub(crate) use counted::Room;
pub(crate) use restic::{Restic, configuration};

use crate::model::Snapshot;
use common::Failure;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A volume that is to be saved.
pub(crate) struct Content {
    /// Its open folder, which nobody changes if it is a snapshot.
    pub(crate) folder: OwnedFd,
    /// Stack, volume and host, and whatever else is to be known of it later.
    pub(crate) about: About,
    /// When it was so.
    pub(crate) at: SystemTime,
    /// Where something is mounted in the volume that `folder` does not show.
    pub(crate) hidden: Vec<PathBuf>,
}

/// What is known of a snapshot in a repository.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) stack: String,
    pub(crate) volume: String,
    pub(crate) host: String,
    /// Further tags, as NAME=VALUE.
    pub(crate) tags: Vec<String>,
}

/// What was saved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saved {
    pub(crate) id: String,
    /// The time of what was saved.
    pub(crate) at: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) added: u64,
    /// How much could not be read, and the first of it.
    pub(crate) missed: (u64, Vec<String>),
}

/// A repository that is open.
pub(crate) trait Archive {
    /// Its own name, by which one that was replaced is noticed.
    fn id(&self) -> String;

    /// Saves a volume.
    ///
    /// # Errors
    /// What the repository refused; then it has no snapshot of this.
    fn save(&self, content: Content) -> Result<Saved, Failure>;

    /// The snapshot that is meant.
    ///
    /// # Errors
    /// None, or several; what cannot be read.
    fn find(&self, which: &Which) -> Result<Option<Found>, Failure>;

    /// What a snapshot has at a path, which nobody deletes meanwhile.
    ///
    /// # Errors
    /// Kind `Again` if somebody has the repository alone; what cannot be read.
    fn back(&self, found: &Found, path: &Path) -> Result<Back, Failure>;

    /// The snapshots of a stack.
    ///
    /// # Errors
    /// What cannot be read.
    fn list(&self, stack: &str) -> Result<Vec<Snapshot>, Failure>;
}
