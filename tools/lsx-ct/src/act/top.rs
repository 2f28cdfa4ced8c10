//! Resource usage of instances, as rates.

use super::{Order, Top};
use crate::driver::Found;
use crate::engines;
use crate::model::Usage;
use common::host::wait;
use common::{Failure, document};
use std::time::{Duration, Instant};

/// The interval between the two measurements of `top`.
const APART: Duration = Duration::from_secs(1);

/// Measures all targets twice, a second apart.
pub(super) fn top(order: &Order) -> Result<Vec<Top>, Failure> {
    let look = || -> Result<Vec<(Found, Usage)>, Failure> {
        let mut all = Vec::new();
        for (_, engine) in engines::working() {
            for found in engine.list(None)? {
                let meant = order.targets.iter().any(|t| t.stack == found.stack && t.name == found.name);
                if meant {
                    let usage = engine.usage(&found)?;
                    all.push((found, usage));
                }
            }
        }
        Ok(all)
    };
    let (begin, before) = (Instant::now(), look()?);
    wait::until(APART, APART, || false);
    let (ms, after) = (u64::try_from(begin.elapsed().as_millis()).unwrap_or(1).max(1), look()?);
    let was = |found: &Found| before.iter().find(|(b, _)| b.stack == found.stack && b.name == found.name);
    let row = |(found, now): (Found, Usage)| {
        let then = was(&found).map(|(_, usage)| usage.clone()).unwrap_or_default();
        let rate = |now: u64, then: u64| now.saturating_sub(then) * 1000 / ms;
        Top {
            schema: document::schema("ct", "top"),
            host: common::host::name(),
            stack: found.stack,
            instance: found.name,
            state: found.condition.state,
            #[expect(clippy::cast_precision_loss, reason = "thousandths of a processor in a second")]
            cpu_percent: rate(now.cpu_ms, then.cpu_ms) as f64 / 10.0,
            memory_bytes: now.memory_bytes,
            processes: now.processes,
            received_bps: rate(now.received_bytes, then.received_bytes),
            sent_bps: rate(now.sent_bytes, then.sent_bytes),
        }
    };
    Ok(after.into_iter().map(row).collect())
}
