//! Paths in a tree that is being unpacked. Names in an archive are not trusted: each is resolved from the tree's root by
//! openat2(2), which neither leaves it nor follows a symbolic link.

use super::limits;
use common::host::file;
use common::{Failure, Kind};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// The tree's folder.
pub(super) struct Tree {
    root: Rc<OwnedFd>,
    /// The folder used last, since entries are grouped by folder.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
}

/// A folder in the tree, and a name in it.
pub(super) struct TreeEntry {
    folder: Rc<OwnedFd>,
    pub(super) name: Vec<u8>,
}

impl TreeEntry {
    pub(super) fn at(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.folder.as_fd(), OsStr::from_bytes(&self.name))
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const WITHIN: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A name in normal form; empty for the tree itself. An absolute name starts at the tree's root, as in tar.
pub(super) fn clean(name: &[u8]) -> Result<Vec<u8>, Failure> {
    let parts = name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<&[u8]> = parts.collect();
    if parts.contains(&b"..".as_slice()) {
        return Err(escape(name, "it contains .. and leads out of the image"));
    }
    if name.contains(&0) {
        return Err(escape(name, "it contains a zero byte"));
    }
    if name.len() > limits::PATH || parts.len() > limits::DEPTH {
        let begin = String::from_utf8_lossy(&name[..name.len().min(60)]);
        let limit = format!(
            "{} bytes in {} folders; at most {} and {} are allowed",
            name.len(),
            parts.len(),
            limits::PATH,
            limits::DEPTH
        );
        return Err(limits::over("the layer", format!("the name {begin:?}... has {limit}")));
    }
    Ok(parts.join(&b'/'))
}

/// The failure for an unsafe name.
pub(super) fn escape(name: &[u8], why: &str) -> Failure {
    super::refused("escape", format!("the layer has the name {:?}", String::from_utf8_lossy(name)))
        .because(why)
        .hint("nothing was kept; do not use this image")
}

/// The failure for an error of the kernel.
pub(super) fn failed(name: &[u8], error: Errno) -> Failure {
    match error {
        Errno::LOOP | Errno::NOTDIR => escape(name, "it goes through a symbolic link or a file"),
        Errno::XDEV => escape(name, "it leads out of the image"),
        Errno::NAMETOOLONG => escape(name, "it is too long"),
        Errno::NOSYS => Failure::new(Kind::Failed, "ct.image.kernel", "this kernel has no openat2(2)")
            .hint("Linux 5.6 or newer is needed"),
        error => file::failure(Path::new(OsStr::from_bytes(name)), "unpack", &error.into()),
    }
}

impl Tree {
    /// The tree in a folder.
    pub(super) fn open(folder: &Path) -> Result<Tree, Failure> {
        let root = rustix::fs::openat(CWD, folder, FOLDER, Mode::empty());
        let root = root.map_err(|e| file::failure(folder, "open", &e.into()))?;
        open_to_all(root.as_fd()).map_err(|e| file::failure(folder, "open", &e.into()))?;
        Ok(Tree { root: Rc::new(root), last: None })
    }

    /// The tree itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The place of a clean name; missing folders are created.
    pub(super) fn place(&mut self, name: &[u8]) -> Result<TreeEntry, Failure> {
        let (parent, own) = split(name);
        Ok(TreeEntry { folder: self.folder(parent, true)?, name: own.to_vec() })
    }

    /// The place of a clean name that must exist.
    pub(super) fn existing(&mut self, name: &[u8]) -> Result<TreeEntry, Failure> {
        let (parent, own) = split(name);
        let folder = match self.folder(parent, false) {
            Err(failure) if failure.code != "ct.image.escape" => {
                return Err(escape(name, "it must be a file of this layer, but is not"));
            }
            folder => folder?,
        };
        Ok(TreeEntry { folder, name: own.to_vec() })
    }

    /// A folder by its clean name, to set its attributes.
    pub(super) fn opened(&mut self, name: &[u8]) -> Result<Rc<OwnedFd>, Failure> {
        self.folder(name, false)
    }

    fn folder(&mut self, name: &[u8], make: bool) -> Result<Rc<OwnedFd>, Failure> {
        if name.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some((_, folder)) = self.last.as_ref().filter(|(last, _)| last == name) {
            return Ok(Rc::clone(folder));
        }
        let path = OsStr::from_bytes(name);
        let opened = match rustix::fs::openat2(&*self.root, path, FOLDER, Mode::empty(), WITHIN) {
            Err(Errno::NOENT) if make => {
                let (parent, own) = split(name);
                let parent = self.folder(parent, true)?;
                let own = OsStr::from_bytes(own);
                rustix::fs::mkdirat(&*parent, own, Mode::from_raw_mode(0o755))
                    .map_err(|e| failed(name, e))?;
                let made = rustix::fs::openat2(&*parent, own, FOLDER, Mode::empty(), WITHIN);
                made.and_then(|made| {
                    open_to_all(made.as_fd())?;
                    super::parents::implied(&made)?;
                    Ok(made)
                })
            }
            opened => opened,
        };
        let folder = Rc::new(opened.map_err(|e| failed(name, e))?);
        self.last = Some((name.to_vec(), Rc::clone(&folder)));
        Ok(folder)
    }

    /// Forgets the last folder, after something was removed.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Removes an entry that is replaced by another; a folder only if it is empty.
    pub(super) fn clear(&mut self, name: &[u8], place: &TreeEntry) -> Result<(), Failure> {
        let (folder, own) = place.at();
        match rustix::fs::unlinkat(folder, own, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {
                self.forget();
                rustix::fs::unlinkat(folder, own, AtFlags::REMOVEDIR).map_err(|e| match e {
                    Errno::NOTEMPTY => escape(name, "a folder with files exists there already"),
                    e => failed(name, e),
                })
            }
            Err(e) => Err(failed(name, e)),
        }
    }
}

/// A folder without an entry in the archive: 0755, independent of the umask.
fn open_to_all(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::fchmod(folder, Mode::from_raw_mode(0o755))
}

fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|b| *b == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}
