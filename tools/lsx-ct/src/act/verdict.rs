//! The check of one instance for `lsx-ct check`: whether it is ready, and how long its certificate is still valid.

use super::{Target, await_ready, find};
use crate::model::Probe;
use crate::ready;
use common::Failure;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) instance: String,
    /// Why it is not ready.
    pub(crate) why: Option<String>,
    /// With an `https` check: the days that the certificate of the server is still valid.
    pub(crate) days_left: Option<i64>,
}

/// Waits until it is ready. One with an `https` check is probed again, because its certificate may have expired since.
pub(super) fn of(target: &Target, timeout: Duration) -> Verdict {
    let verdict = await_ready(target, timeout).and_then(|()| certificate(target));
    let (why, days_left) = verdict.unwrap_or_else(|failure| (Some(failure.to_string()), None));
    let why = why.map(|why| if why.contains(&target.name) { why } else { format!("{}: {why}", target.name) });
    Verdict { instance: target.name.clone(), why, days_left }
}

fn certificate(target: &Target) -> Result<(ready::Why, Option<i64>), Failure> {
    let (_, found) = find(target)?;
    let (Some(instance), Some(pid)) = (&found.instance, found.condition.pid) else { return Ok((None, None)) };
    match (instance.ready.as_ref().map(|ready| &ready.probe), instance.nics.first()) {
        (Some(probe @ Probe::Https { .. }), Some(nic)) => ready::probed(probe, nic.address.addr(), pid),
        _ => Ok((None, None)),
    }
}
