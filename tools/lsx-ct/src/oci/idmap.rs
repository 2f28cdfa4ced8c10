//! Mounts that the C library's `mount` cannot create: a clone of a folder, with shifted ids if the kernel supports it.
#![expect(unsafe_code, reason = "these system calls have no safe wrapper")]

use nix::libc::{self, c_int, c_uint};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const OPEN_TREE_CLONE: c_uint = 1;
const OPEN_TREE_CLOEXEC: c_uint = libc::O_CLOEXEC as c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// struct mount_attr of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// A clone of the mount of `path`, rooted at `path`; it is not visible until [`Tree::attach`].
pub(super) struct Tree(OwnedFd);

impl Tree {
    /// Clones it (open_tree(2)).
    pub(super) fn clone_of(path: &Path) -> io::Result<Tree> {
        let path = text(path)?;
        // SAFETY: `path` is a NUL-terminated string that outlives the call; the other arguments are numbers.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_open_tree,
                libc::AT_FDCWD,
                path.as_ptr(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
            )
        };
        // SAFETY: the descriptor is new and not used elsewhere.
        number(fd).map(|fd| Tree(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Shifts its ids as the user namespace maps them (mount_setattr(2), Linux 5.12).
    pub(super) fn shift(&self, users: BorrowedFd<'_>) -> io::Result<()> {
        let fd = u64::try_from(users.as_raw_fd()).unwrap_or_default();
        self.set(&MountAttr { attr_set: MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: fd })
    }

    /// Makes it read-only.
    pub(super) fn read_only(&self) -> io::Result<()> {
        self.set(&MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 })
    }

    fn set(&self, attr: &MountAttr) -> io::Result<()> {
        // SAFETY: the path is an empty NUL-terminated string, `attr` is a mount_attr of the size that is given.
        let done = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH,
                std::ptr::from_ref(attr),
                size_of::<MountAttr>(),
            )
        };
        number(done).map(|_| ())
    }

    /// Attaches it to an existing folder or file (move_mount(2)).
    pub(super) fn attach(&self, target: &Path) -> io::Result<()> {
        let target = text(target)?;
        let from = self.0.as_fd();
        // SAFETY: both paths are NUL-terminated strings that outlive the call; the descriptor is open.
        let done = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                from.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_FDCWD,
                target.as_ptr(),
                MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        number(done).map(|_| ())
    }
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn number(result: libc::c_long) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(c_int::try_from(result).unwrap_or(c_int::MAX))
    }
}
