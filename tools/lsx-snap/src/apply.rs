//! Changes one object of this host: ends restores that were killed, and removes what only the record of a stack knows.

use crate::model::{Object, Own};
use crate::{restore, take};
use common::Failure;
use common::plan::Kept;

/// Changes one object. Snapshots that a killed run has left go with the intent, and what restores keep goes with the data.
///
/// # Errors
/// Of the file system; of lsx-ct.
pub(crate) fn change(stack: &str, before: Option<&Object>, after: Option<&Object>) -> Result<(), Failure> {
    match (before, after) {
        (Some(Object::Own(Own::Restore { volume, .. })), None) => {
            restore::end_all(stack, Some(&[volume.clone()].into()))
        }
        (Some(Object::Kept(Kept::Intent { .. })), _) => take::clear(stack),
        (Some(Object::Kept(Kept::Data { .. })), None) => restore::settle(stack, None).map(|_| ()),
        _ => Ok(()),
    }
}
