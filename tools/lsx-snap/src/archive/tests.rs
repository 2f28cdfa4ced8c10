//! A repository in memory, for tests.

use super::source::Source;
use bytes::Bytes;
use common::{Failure, document};
use rustic_core::repofile::{Metadata, Node, NodeType, Tree};
use rustic_core::{DataId, Id, TreeId};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// A repository in memory.
#[derive(Default)]
pub(super) struct Fake {
    folders: BTreeMap<TreeId, Vec<Node>>,
    parts: BTreeMap<DataId, Bytes>,
}

impl Source for Fake {
    fn folder(&self, id: &TreeId) -> Result<Vec<Node>, Failure> {
        Ok(self.folders[id].clone())
    }
    fn length(&self, id: &DataId) -> Result<u64, Failure> {
        Ok(self.parts[id].len() as u64)
    }
    fn bytes(&self, id: &DataId) -> Result<Bytes, Failure> {
        Ok(self.parts[id].clone())
    }
}

fn id(bytes: &[u8]) -> Id {
    document::digest(bytes).parse().unwrap()
}

impl Fake {
    /// A folder; names are as a repository has them.
    pub(super) fn folder_of(&mut self, name: &str, nodes: Vec<Node>) -> Node {
        let text = serde_json::to_vec(&Tree { nodes: nodes.clone() }).unwrap();
        let tree = TreeId::from(id(&text));
        self.folders.insert(tree, nodes);
        let mut node = plain(name, NodeType::Dir);
        node.subtree = Some(tree);
        node
    }

    /// A file of parts.
    pub(super) fn file(&mut self, name: &str, parts: &[&[u8]]) -> Node {
        let mut node = plain(name, NodeType::File);
        let ids = parts.iter().map(|part| {
            let own = DataId::from(id(part));
            self.parts.insert(own, Bytes::copy_from_slice(part));
            own
        });
        node.content = Some(ids.collect());
        node
    }
}

/// Anything without content.
pub(super) fn plain(name: &str, kind: NodeType) -> Node {
    let mode = if kind == NodeType::Dir { 0o755 | 1 << 31 } else { 0o640 };
    let uid = Some(nix::unistd::getuid().as_raw());
    let gid = Some(nix::unistd::getgid().as_raw());
    let meta = Metadata { mode: Some(mode), uid, gid, ..Metadata::default() };
    Node { name: name.to_owned(), ..Node::new_node(OsStr::new(""), kind, meta) }
}
