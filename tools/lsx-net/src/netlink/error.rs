//! The kernel's answer to a refused request.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// A request that the kernel refused or did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkError {
    /// The kernel's errno, positive (`EEXIST` is 17).
    pub errno: i32,
    /// The request in words: `create bridge lsx0`.
    pub op: String,
    /// The kernel's own message (extended acknowledgement, `NLMSGERR_ATTR_MSG`); empty when it gave none.
    pub message: String,
}

impl NetlinkError {
    pub(super) fn new(op: &str, errno: Errno, message: &str) -> Self {
        NetlinkError { errno: errno as i32, op: op.to_owned(), message: message.to_owned() }
    }

    /// For a failed system call on the socket itself; an error without a number counts as `EIO`.
    pub(super) fn from_io(op: &str, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(Errno::EIO as i32);
        let message = if error.raw_os_error().is_some() { String::new() } else { error.to_string() };
        NetlinkError { errno, op: op.to_owned(), message }
    }

    /// The object already exists (`EEXIST`); for a link with an explicit index, its name or its index.
    pub fn exists(&self) -> bool {
        self.is(&[Errno::EEXIST])
    }

    /// The object, its device or its address does not exist (`ENODEV ENOENT ESRCH EADDRNOTAVAIL`).
    pub fn missing(&self) -> bool {
        self.is(&[Errno::ENODEV, Errno::ENOENT, Errno::ESRCH, Errno::EADDRNOTAVAIL])
    }

    /// The caller lacks `CAP_NET_ADMIN` in the namespace (`EPERM EACCES`).
    pub fn denied(&self) -> bool {
        self.is(&[Errno::EPERM, Errno::EACCES])
    }

    /// This kernel lacks the feature (`EOPNOTSUPP EAFNOSUPPORT EPROTONOSUPPORT`).
    pub fn unsupported(&self) -> bool {
        self.is(&[Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT, Errno::EPROTONOSUPPORT])
    }

    /// It is in use (`EBUSY`).
    pub fn busy(&self) -> bool {
        self.is(&[Errno::EBUSY])
    }

    /// The kernel had no room for it (`ENOBUFS`); of a neighbour: its table is full.
    pub fn crowded(&self) -> bool {
        self.is(&[Errno::ENOBUFS])
    }

    fn is(&self, some: &[Errno]) -> bool {
        some.contains(&Errno::from_raw(self.errno))
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, Errno::from_raw(self.errno).desc())?;
        if self.message.is_empty() { Ok(()) } else { write!(f, " ({})", self.message) }
    }
}

impl std::error::Error for NetlinkError {}

impl From<NetlinkError> for io::Error {
    fn from(error: NetlinkError) -> Self {
        io::Error::new(io::Error::from_raw_os_error(error.errno).kind(), error)
    }
}
