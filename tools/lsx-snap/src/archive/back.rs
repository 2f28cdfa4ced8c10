//! What comes back of a snapshot: which one is meant, and its content at a path.

use super::counted::{Count, Room, count};
use super::lock::Lock;
use super::seen::{STACK, seen};
use super::source::{Indexed, at};
use super::verified;
use super::written::Writer;
use crate::model::Snapshot;
use common::{Failure, Kind};
use rustic_core::TreeId;
use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The fewest digits of the name of a snapshot.
const DIGITS: usize = 4;

/// Which snapshot is meant.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// The last one of a volume that has all of it.
    Last { stack: String, volume: String },
    /// The one whose name begins so.
    Named(String),
}

/// A snapshot that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) snapshot: Snapshot,
    /// The stack that its tags name; empty if lsx-snap did not make it.
    pub(crate) stack: String,
    /// What was saved, as whoever saved it called it.
    pub(crate) paths: Vec<String>,
    tree: TreeId,
}

/// The one that is meant.
///
/// # Errors
/// Several; no name.
pub(super) fn meant(all: Vec<SnapshotFile>, which: &Which) -> Result<Option<Found>, Failure> {
    let mut fit: Vec<Found> = all.iter().map(found).filter(|one| fits(one, which)).collect();
    fit.sort_by(|a, b| (&a.snapshot.at, &a.snapshot.id).cmp(&(&b.snapshot.at, &b.snapshot.id)));
    match which {
        Which::Named(name) if fit.len() > 1 => {
            let message = format!("{} snapshots have names that begin with {name}", fit.len());
            Err(Failure::new(Kind::Usage, "usage.snapshot", message).hint("write more of its name"))
        }
        _ => Ok(fit.pop()),
    }
}

/// Whether a word may be the name of a snapshot.
pub(crate) fn is_name(word: &str) -> bool {
    (DIGITS..=64).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn fits(one: &Found, which: &Which) -> bool {
    match which {
        Which::Last { stack, volume } => {
            one.stack == *stack && one.snapshot.volume == *volume && !one.snapshot.incomplete
        }
        Which::Named(name) => is_name(name) && one.snapshot.id.starts_with(name),
    }
}

fn found(one: &SnapshotFile) -> Found {
    let stack = one.tags.iter().find_map(|tag| tag.strip_prefix(STACK)).unwrap_or_default().to_owned();
    let paths = one.paths.iter().map(ToString::to_string).collect();
    Found { snapshot: seen(one), stack, paths, tree: one.tree }
}

/// Content of a snapshot. As long as it is there, nobody deletes from its repository.
pub(crate) struct Back {
    source: Indexed,
    node: Node,
    lock: Lock,
}

impl Back {
    pub(super) fn new(source: Indexed, found: &Found, path: &Path, lock: Lock) -> Result<Back, Failure> {
        let mut root = Node::new_node(OsStr::new(""), NodeType::Dir, Metadata::default());
        root.subtree = Some(found.tree);
        let node = at(&source, &root, path)?;
        Ok(Back { source, node, lock })
    }

    /// Whether it is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.node.is_dir()
    }

    /// What it needs.
    ///
    /// # Errors
    /// No room; what cannot be read.
    pub(crate) fn count(&self, room: Room) -> Result<Count, Failure> {
        count(&self.source, &self.node, room)
    }

    /// Makes an empty folder the same.
    ///
    /// # Errors
    /// Of the file system; what cannot be read.
    pub(crate) fn fill(&self, folder: &OwnedFd) -> Result<(), Failure> {
        Writer::new(&self.source, folder).fill(&self.node)?;
        self.lock.held()
    }

    /// Compares a folder with it.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn same(&self, folder: &OwnedFd) -> Result<(), Failure> {
        verified::folder(&self.source, folder, &self.node)
    }

    /// Makes it a name in a folder, and compares that.
    ///
    /// # Errors
    /// As [`Back::fill`] and [`Back::same`].
    pub(crate) fn put(&self, folder: &OwnedFd, name: &[u8]) -> Result<(), Failure> {
        Writer::new(&self.source, folder).put(name, &self.node)?;
        self.lock.held()?;
        verified::one(&self.source, folder, name, &self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustic_core::SnapshotOptions;

    fn one(at: i64, tags: &[&str]) -> SnapshotFile {
        let time = rustic_core::jiff::Timestamp::new(at, 0).unwrap();
        let options = SnapshotOptions::default().host("h1".to_owned());
        let options = options.time(time.to_zoned(rustic_core::jiff::tz::TimeZone::UTC));
        let mut one = options.to_snapshot().unwrap();
        tags.iter().for_each(|tag| one.tags.add((*tag).to_owned()));
        one.id = common::document::digest(&at.to_le_bytes()).parse::<rustic_core::Id>().unwrap().into();
        one
    }

    #[test]
    fn the_last_one_that_has_all_of_the_volume_is_meant() {
        let own = ["lsx-stack=s", "lsx-volume=v"];
        let all = || {
            vec![
                one(30, &[own[0], own[1], "lsx-incomplete"]),
                one(10, &own),
                one(20, &own),
                one(40, &["lsx-stack=other", own[1]]),
                one(50, &[own[0], "lsx-volume=w"]),
                one(60, &[]),
            ]
        };
        let last = Which::Last { stack: "s".to_owned(), volume: "v".to_owned() };
        let found = meant(all(), &last).unwrap().unwrap();
        assert_eq!((&*found.snapshot.at, &*found.stack), ("1970-01-01T00:00:20Z", "s"));
        let foreign = all()[5].id.to_hex().as_str().to_owned();
        for length in [4, 10, 64] {
            let found = meant(all(), &Which::Named(foreign[..length].to_owned())).unwrap().unwrap();
            assert_eq!((&found.snapshot.id, &*found.stack), (&foreign, ""));
        }
        for no in ["", "abc", "zzzz", "../..", &foreign[1..]] {
            assert!(meant(all(), &Which::Named(no.to_owned())).unwrap().is_none(), "{no}");
        }
        let twice = [all(), all()].concat();
        assert_eq!(meant(twice, &Which::Named(foreign)).unwrap_err().code, "usage.snapshot");
    }
}
