//! What a tool does for a program of its own, in the program's supervisor.

use super::log::Log;
use crate::failure::Failure;
use serde_json::Value;

/// What a tool does for a program of its own beyond what a definition says.
pub trait Tend {
    /// Makes files for the program from its own and others of the host: before its start, and at each look. Returns whether it has to
    /// read its files again.
    ///
    /// # Errors
    /// What could not be read or written.
    fn prepare(&mut self, log: &Log) -> Result<bool, Failure>;

    /// Further arguments, with which it starts beside these processes that an earlier supervisor left. Without any, they are
    /// ended before.
    fn over(&self, _left: &[i32]) -> Vec<String> {
        Vec::new()
    }

    /// Ends these processes when it serves.
    fn relieve(&self, _left: &[i32]) {}

    /// Whether it serves as it was prepared, and not with one of the processes that were left; none while that is not known. Asked
    /// only if the definition has no command for it.
    fn serves(&self, _left: &[i32]) -> Option<bool> {
        None
    }

    /// What was found about it, for [`KeptService::counts`].
    fn facts(&self) -> Option<Value> {
        None
    }
}
