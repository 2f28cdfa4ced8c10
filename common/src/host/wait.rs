//! Waiting, always with a deadline.

use std::time::{Duration, Instant};

/// Asks `ready` every `step` until it says yes or `limit` has passed; returns whether it said yes.
pub fn until(limit: Duration, step: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "the one wait, and it has a deadline")]
        std::thread::sleep(step);
    }
}
