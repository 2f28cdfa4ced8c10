//! What a restore reads of a repository: folders, and the bytes of files, each compared with the sum that is its name.

use bytes::Bytes;
use common::host::beneath::is_name;
use common::{Failure, Kind, document};
use rustic_core::repofile::{BlobType, Node, Tree};
use rustic_core::{BlobId, DataId, IndexedFullStatus, Repository, RusticError, TreeId};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The most folders in each other: each open one is a descriptor.
pub(super) const DEEP: usize = 1000;

/// Where content comes from.
pub(super) trait Source {
    /// What is in a folder.
    ///
    /// # Errors
    /// What cannot be read.
    fn folder(&self, id: &TreeId) -> Result<Vec<Node>, Failure>;

    /// The length of a part of a file.
    ///
    /// # Errors
    /// One that is not there.
    fn length(&self, id: &DataId) -> Result<u64, Failure>;

    /// A part of a file.
    ///
    /// # Errors
    /// What cannot be read, or is not what it was.
    fn bytes(&self, id: &DataId) -> Result<Bytes, Failure>;
}

/// A repository with its index.
pub(super) struct Indexed {
    pub(super) repository: Repository<IndexedFullStatus>,
    pub(super) path: PathBuf,
}

impl Indexed {
    fn told(&self, e: &RusticError) -> Failure {
        super::seen::told(&self.path, e)
    }

    /// Bytes whose name is their sum: the cipher only proves that somebody with the key wrote them.
    fn blob(&self, id: BlobId, kind: BlobType) -> Result<Bytes, Failure> {
        let bytes = self.repository.get_blob_cached(&id, kind).map_err(|e| self.told(&e))?;
        let name = id.to_hex();
        if document::digest(&bytes) == name.as_str() {
            return Ok(bytes);
        }
        let message = format!("the repository at {}: {} is damaged", self.path.display(), name.as_str());
        Err(Failure::new(Kind::Failed, "snap.damaged", message)
            .hint("`restic check --read-data` names what is damaged; an older snapshot may not need it"))
    }
}

impl Source for Indexed {
    fn folder(&self, id: &TreeId) -> Result<Vec<Node>, Failure> {
        let bytes = self.blob(BlobId::from(*id), BlobType::Tree)?;
        let tree: Tree = serde_json::from_slice(&bytes)
            .map_err(|e| hostile(&self.path, &format!("a folder of it cannot be read: {e}")))?;
        Ok(tree.nodes)
    }

    fn length(&self, id: &DataId) -> Result<u64, Failure> {
        let entry = self.repository.get_index_entry(id).map_err(|e| self.told(&e))?;
        Ok(u64::from(entry.data_length()))
    }

    fn bytes(&self, id: &DataId) -> Result<Bytes, Failure> {
        self.blob(BlobId::from(*id), BlobType::Data)
    }
}

/// What no program would have saved.
pub(super) fn hostile(path: &Path, what: &str) -> Failure {
    Failure::new(Kind::Failed, "snap.hostile", format!("{}: {what}", path.display()))
        .hint("whoever wrote this snapshot wrote it wrong: nothing is restored from it")
}

/// What is in a folder at a path of a snapshot, with names: each is one of something in that folder, and there once.
///
/// # Errors
/// What cannot be read; any other name.
pub(super) fn named(
    source: &dyn Source,
    path: &Path,
    folder: &Node,
) -> Result<Vec<(Vec<u8>, Node)>, Failure> {
    let Some(id) = &folder.subtree else { return Err(hostile(path, "the folder has no content")) };
    if path.components().count() > DEEP {
        return Err(hostile(path, &format!("more than {DEEP} folders are in each other")));
    }
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for node in source.folder(id)? {
        let name = node.name().as_bytes().to_vec();
        if !is_name(&name) {
            let shown = String::from_utf8_lossy(&name).into_owned();
            return Err(hostile(path, &format!("{shown:?} is no name of a file")));
        }
        if !seen.insert(name.clone()) {
            return Err(hostile(&path.join(OsStr::from_bytes(&name)), "two have this name"));
        }
        all.push((name, node));
    }
    Ok(all)
}

/// What is at a path of a snapshot.
///
/// # Errors
/// Nothing is there; no path.
pub(super) fn at(source: &dyn Source, root: &Node, path: &Path) -> Result<Node, Failure> {
    let mut found = root.clone();
    let mut there = PathBuf::from("/");
    let missing = |there: &Path| {
        let message = format!("the snapshot has nothing at {}", there.display());
        Failure::new(Kind::Failed, "snap.path", message).hint("`restic ls` shows what it has")
    };
    for part in path.components() {
        let name = match part {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name.as_bytes(),
            Component::ParentDir | Component::Prefix(_) => return Err(missing(path)),
        };
        if !found.is_dir() {
            return Err(missing(path));
        }
        let all = named(source, &there, &found)?;
        there.push(OsStr::from_bytes(name));
        found = all.into_iter().find(|(own, _)| own == name).ok_or_else(|| missing(&there))?.1;
    }
    Ok(found)
}

/// A name of a file that has several: the same content has the same one.
pub(super) fn shared(node: &Node) -> Option<(u64, u64)> {
    let several = !node.is_dir() && node.meta.links > 1 && node.meta.inode != 0;
    several.then_some((node.meta.device_id, node.meta.inode))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, plain};
    use super::*;
    use rustic_core::repofile::NodeType;

    #[test]
    fn only_names_of_files_are_read() {
        let mut fake = Fake::default();
        let file = |name: &str| plain(name, NodeType::Fifo);
        for wrong in ["../x", "..", ".", "", "a/b", "/etc/passwd", "a\\u0000b", "\\x2e\\x2e", "a\\x2fb"] {
            let folder = fake.folder_of("", vec![file("good"), file(wrong)]);
            let failure = named(&fake, Path::new("/at"), &folder).unwrap_err();
            assert_eq!(failure.code, "snap.hostile", "{wrong}: {failure}");
        }
        let twice = fake.folder_of("", vec![file("a"), file("\\x61")]);
        assert!(named(&fake, Path::new("/at"), &twice).unwrap_err().message.contains("/at/a: two have"));
        let good = fake.folder_of("", vec![file("-rf *"), file("...")]);
        assert_eq!(named(&fake, Path::new("/"), &good).unwrap()[0].0, b"-rf *");
        assert!(named(&fake, Path::new("/"), &file("x")).is_err());
    }

    #[test]
    fn a_path_is_looked_up_by_names() {
        let mut fake = Fake::default();
        let file = fake.file("c", &[b"x"]);
        let (b, link) = (fake.folder_of("b", vec![file]), plain("link", NodeType::from_link(Path::new("b"))));
        let a = fake.folder_of("a", vec![b, link]);
        let root = fake.folder_of("", vec![a]);
        assert_eq!(at(&fake, &root, Path::new("/a/b/c")).unwrap().name, "c");
        assert_eq!(at(&fake, &root, Path::new("/")).unwrap().subtree, root.subtree);
        for wrong in ["/a/x", "/a/../a", "/a/b/c/d", "/a/link/c"] {
            assert_eq!(at(&fake, &root, Path::new(wrong)).unwrap_err().code, "snap.path", "{wrong}");
        }
    }
}
