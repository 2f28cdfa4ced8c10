//! The command line of an OCI runtime.

use common::host::Program;
use std::path::Path;

/// The runtime's state folder, separate from other users of the same program.
pub(super) const ROOT: &str = "/run/lsx/runtime";

/// A command of a runtime, without its verb.
pub(super) fn program(path: &Path) -> Program {
    // A runtime with access to the socket would notify systemd in the instance's name.
    Program::new(&path.to_string_lossy()).without("NOTIFY_SOCKET").args(["--root", ROOT])
}
