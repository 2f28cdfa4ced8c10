//! Sends a signal by its number: the crate's own type has no real-time signals.
#![expect(unsafe_code, reason = "kill(2) by number has no safe wrapper")]

use nix::libc;
use nix::unistd::Pid;

/// Sends it; a process that has ended is ignored.
pub(crate) fn send(pid: Pid, number: i32) {
    // SAFETY: kill(2) takes two numbers and touches no memory of ours.
    let _ = unsafe { libc::kill(pid.as_raw(), number) };
}
