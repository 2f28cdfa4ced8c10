//! What happens with the intent, which the engine writes.

use super::Changer;
use crate::model::Object;
use crate::observe::keeper;
use crate::plan;
use common::Failure;

impl Changer {
    /// Before the intent is replaced: ends connections that are no longer allowed. For undo the plan does not have the new
    /// one, and nothing is ended.
    pub(super) fn replaces(&self, wanted: &Object) -> Result<(), Failure> {
        match (keeper(&self.stack).intent()?, plan::desired_of(&self.plan, wanted)) {
            (Some(old), Some(new)) => self.end_flows(&old.desired, Some(&new)),
            _ => Ok(()),
        }
    }

    /// Before the intent is removed: ends all connections of the stack.
    pub(super) fn forgets(&self) -> Result<(), Failure> {
        keeper(&self.stack).intent()?.map_or(Ok(()), |old| self.end_flows(&old.desired, None))
    }
}
