//! The objects that the engine keeps on a host for every tool, beside the tool's own. Pure.

/// An object that the engine writes and removes for every tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The intent of this host, restored after a reboot; by the key of its content.
    Intent(String),
    /// The boot entry.
    Boot {
        /// The program that it runs.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
    /// The entry that is run each minute.
    Timer {
        /// The program that it runs.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
}
