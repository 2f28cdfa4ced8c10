//! What could not be read of a volume.

use std::sync::{Mutex, PoisonError};

/// The most things that are named.
const NAMED: usize = 20;

/// How much of it there is, and the first of it.
#[derive(Debug, Default)]
pub(super) struct Missed(Mutex<(u64, Vec<String>)>);

impl Missed {
    /// Adds something.
    pub(super) fn add(&self, what: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.0 += 1;
        if all.1.len() < NAMED {
            all.1.push(what);
        }
    }

    /// The number, and the first ones.
    pub(super) fn all(&self) -> (u64, Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
