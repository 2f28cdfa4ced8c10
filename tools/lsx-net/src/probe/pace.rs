//! Limits the rate of probes: a burst of thousands overflows queues and neighbour tables on the path, and the losses would
//! look like blocked paths.

use std::time::{Duration, Instant};

/// Length of one slot.
const SLOT: Duration = Duration::from_millis(10);
/// Packets per slot; 100 per 10 ms are 1,000 per 100 ms.
const PER_SLOT: u32 = 100;

/// Counts the packets sent in the current slot.
#[derive(Debug)]
pub(super) struct Pace {
    slot: Instant,
    left: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { slot: now, left: 0 }
    }

    /// Takes a place in the current slot, or returns when the next slot begins.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if now >= self.slot + SLOT {
            self.slot = now;
            self.left = 0;
        }
        if self.left >= PER_SLOT {
            return Err(self.slot + SLOT);
        }
        self.left += 1;
        Ok(())
    }
}

/// Milliseconds to poll until an instant, rounded up so that a wait never spins.
pub(super) fn poll_ms(now: Instant, until: Instant) -> u16 {
    let wait = until.saturating_duration_since(now);
    u16::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX)
}
