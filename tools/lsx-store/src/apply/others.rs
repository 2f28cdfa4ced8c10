//! Runs the other tools of lsx.

use common::Failure;
use common::host::Program;
use common::host::service::sibling;
use std::ffi::OsStr;

/// Runs one.
///
/// # Errors
/// Its own.
pub(crate) fn run<S: AsRef<OsStr>>(name: &str, args: &[S]) -> Result<(), Failure> {
    Program::new(&sibling(name).to_string_lossy()).args(args).run(b"").map(|_| ())
}
