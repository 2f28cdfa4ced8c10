//! System calls that all tools share: run a program, read and write a file within a limit, hold a lock, wait.

pub mod boot;
pub mod file;
pub mod limit;
pub mod lock;
pub mod named;
pub mod program;
pub mod roll;
pub mod service;
pub mod wait;

pub use file::{Mode, remove, write};
pub use lock::Lock;
pub use program::Program;

use nix::sys::utsname::uname;

/// The name of this machine (uname(2) nodename), for documents without a stack.
pub fn name() -> String {
    uname().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default()
}
