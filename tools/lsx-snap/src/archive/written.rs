//! Writes what a snapshot has into a folder that nobody else uses: each name in its open folder, so that nothing leads out of it.

use super::given::give;
use super::source::{Source, named, shared};
use common::Failure;
use common::host::volume::FOLDER;
use common::host::{beneath, file};
use rustic_core::DataId;
use rustic_core::repofile::{Node, NodeType};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::{self, Errno};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

/// What is zero and so long is not written.
const HOLE: usize = 4096;

/// A restore.
pub(super) struct Writer<'a> {
    source: &'a dyn Source,
    /// Where paths of first names begin.
    top: &'a OwnedFd,
    /// The first name of each file that has several, with its content.
    firsts: BTreeMap<(u64, u64), (Vec<u8>, Node)>,
    /// Parts that are zero.
    zeros: BTreeSet<DataId>,
}

/// A folder that is being filled.
struct Frame {
    folder: Arc<OwnedFd>,
    /// Below `top`.
    path: Vec<u8>,
    own: Node,
    left: IntoIter<(Vec<u8>, Node)>,
}

fn told(path: &[u8], e: Errno) -> Failure {
    file::failure(Path::new(OsStr::from_bytes(path)), "restore", &e.into())
}

impl<'a> Writer<'a> {
    /// Into an open folder.
    pub(super) fn new(source: &'a dyn Source, top: &'a OwnedFd) -> Writer<'a> {
        Writer { source, top, firsts: BTreeMap::new(), zeros: BTreeSet::new() }
    }

    /// Makes the folder what `node`, a folder, is.
    ///
    /// # Errors
    /// Of the file system; what cannot be read.
    pub(super) fn fill(&mut self, node: &Node) -> Result<(), Failure> {
        let top = Arc::new(io::fcntl_dupfd_cloexec(self.top, 0).map_err(|e| told(b"/", e))?);
        let frame = self.frame(top, Vec::new(), node.clone())?;
        self.all(vec![frame])
    }

    /// Makes one name in it.
    ///
    /// # Errors
    /// As [`Writer::fill`].
    pub(super) fn put(&mut self, name: &[u8], node: &Node) -> Result<(), Failure> {
        let top = Arc::new(io::fcntl_dupfd_cloexec(self.top, 0).map_err(|e| told(name, e))?);
        match self.one(&top, name.to_vec(), name, node)? {
            None => Ok(()),
            Some(folder) => {
                let frame = self.frame(folder, name.to_vec(), node.clone())?;
                self.all(vec![frame])
            }
        }
    }

    fn frame(&self, folder: Arc<OwnedFd>, path: Vec<u8>, own: Node) -> Result<Frame, Failure> {
        let shown = PathBuf::from("/").join(OsStr::from_bytes(&path));
        let left = named(self.source, &shown, &own)?.into_iter();
        Ok(Frame { folder, path, own, left })
    }

    fn all(&mut self, mut open: Vec<Frame>) -> Result<(), Failure> {
        while let Some(frame) = open.last_mut() {
            let Some((name, node)) = frame.left.next() else {
                // Its time changes with each name in it.
                give(&frame.folder, b".", &frame.own).map_err(|e| told(&frame.path, e))?;
                open.pop();
                continue;
            };
            let (folder, between) = (Arc::clone(&frame.folder), if frame.path.is_empty() { "" } else { "/" });
            let path = [frame.path.as_slice(), between.as_bytes(), &name].concat();
            if let Some(folder) = self.one(&folder, path.clone(), &name, &node)? {
                let frame = self.frame(folder, path, node)?;
                open.push(frame);
            }
        }
        Ok(())
    }

    /// One name; of a folder that is to be filled, its descriptor.
    fn one(
        &mut self,
        folder: &OwnedFd,
        path: Vec<u8>,
        name: &[u8],
        node: &Node,
    ) -> Result<Option<Arc<OwnedFd>>, Failure> {
        let wrong = |e: Errno| told(&path, e);
        if let Some(link) = shared(node) {
            let same = |first: &Node| (&first.node_type, &first.content) == (&node.node_type, &node.content);
            match self.firsts.get(&link) {
                Some((first, known)) if same(known) => {
                    let (above, other) = beneath::above(self.top, first).map_err(wrong)?;
                    fs::linkat(above, other, folder, name, AtFlags::empty()).map_err(wrong)?;
                    return Ok(None);
                }
                Some(_) => {}
                None => _ = self.firsts.insert(link, (path.clone(), node.clone())),
            }
        }
        let private = Mode::from_raw_mode(0o600);
        let special = |kind, device| fs::mknodat(folder, name, kind, private, device);
        match &node.node_type {
            NodeType::Dir => {
                fs::mkdirat(folder, name, Mode::from_raw_mode(0o700)).map_err(wrong)?;
                return Ok(Some(Arc::new(beneath::file(folder, name, FOLDER).map_err(wrong)?)));
            }
            NodeType::File => {
                let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let made = beneath::file(folder, name, how).map_err(wrong)?;
                self.content(&made, &path, node)?;
            }
            NodeType::Symlink { .. } => {
                fs::symlinkat(node.node_type.to_link(), folder, name).map_err(wrong)?
            }
            NodeType::Dev { device } => special(FileType::BlockDevice, *device).map_err(wrong)?,
            NodeType::Chardev { device } => special(FileType::CharacterDevice, *device).map_err(wrong)?,
            NodeType::Fifo => special(FileType::Fifo, 0).map_err(wrong)?,
            NodeType::Socket => special(FileType::Socket, 0).map_err(wrong)?,
        }
        give(folder, name, node).map_err(wrong)?;
        Ok(None)
    }

    fn content(&mut self, made: &OwnedFd, path: &[u8], node: &Node) -> Result<(), Failure> {
        let wrong = |e: Errno| told(path, e);
        let mut at = 0;
        for part in node.content.iter().flatten() {
            if self.zeros.contains(part) {
                at += self.source.length(part)?;
                continue;
            }
            let bytes = self.source.bytes(part)?;
            if bytes.iter().all(|byte| *byte == 0) {
                self.zeros.insert(*part);
            }
            for piece in bytes.chunks(HOLE) {
                if piece.len() < HOLE || piece.iter().any(|byte| *byte != 0) {
                    whole(made, piece, at).map_err(wrong)?;
                }
                at += piece.len() as u64;
            }
        }
        fs::ftruncate(made, at).map_err(wrong)
    }
}

/// Writes all of it.
fn whole(made: &OwnedFd, bytes: &[u8], at: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        done += io::pwrite(made, &bytes[done..], at + done as u64)?;
    }
    Ok(())
}
