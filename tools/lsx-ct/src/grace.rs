//! The time from an instance's stop signal until what still runs is killed.

use crate::model::Instance;
use std::time::Duration;

/// Unless the document or the caller says otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// That of an instance.
pub(crate) fn of(instance: &Instance) -> Duration {
    instance.stop_grace_ms.map_or(GRACE, Duration::from_millis)
}
