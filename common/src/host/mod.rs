//! System calls that all tools share: run a program, read and write a file within a limit, hold a lock, wait.

pub mod addresses;
mod at_work;
pub mod beneath;
pub mod btrfs;
pub mod entry;
pub mod file;
pub mod kept;
pub mod limit;
pub mod lock;
pub mod named;
pub mod namespace;
pub mod process;
pub mod program;
pub mod received;
pub mod removal;
pub mod roll;
pub mod service;
pub mod spaces;
mod starter;
pub mod timer;
pub mod volume;
pub mod wait;

pub use at_work::alive;
pub use file::{Mode, remove, write};
pub use lock::Lock;
pub use program::Program;

use crate::failure::{Failure, Kind};
use nix::sys::utsname::uname;

/// Whether this process may read everything that lsx has on this host. Without root, running instances would seem stopped.
///
/// # Errors
/// Kind `Denied`, unless it is root's.
pub fn root() -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(Kind::Denied, "host.root", "only root can see what lsx has on this host")
        .hint("use sudo, or name a stack file: then its hosts are asked by ssh"))
}

/// Whether systemd runs this machine (sd_booted(3)).
pub(crate) fn systemd() -> bool {
    std::path::Path::new("/run/systemd/system").exists()
}

/// The name of this machine (uname(2) nodename), for documents without a stack.
pub fn name() -> String {
    uname().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default()
}
