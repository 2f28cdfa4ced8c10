//! Answers of other servers, kept for their time, and longer for when no server answers (RFC 8767). The number of answers and
//! their bytes are limited; what was not asked for the longest time goes first. Pure: it is told the time.

use super::said::{Key, Said};
use domain::base::iana::Rcode;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer is kept after its time, for when no server answers.
const STALE: Duration = Duration::from_secs(86_400);
/// When no server has answered, an old answer is given at once for so long (RFC 8767 5).
const HOLD: Duration = Duration::from_secs(30);
/// What an answer takes in memory besides its records, about.
const SLOT: usize = 256;
/// The number of bytes for each answer that may be kept, on average.
const EACH: usize = 1024;
/// An answer is asked again before its time is over if it was used this often, and its time is at least this (seconds).
const OFTEN: u32 = 3;
const WORTH: u32 = 10;

/// What there is for a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    Nothing,
    /// An answer of this age in seconds, and whether it is time to ask again.
    Fresh(Arc<Said>, u32, bool),
    /// An answer whose time is over, and whether it is given without asking.
    Stale(Arc<Said>, bool),
}

struct Slot {
    said: Arc<Said>,
    since: Duration,
    /// No server is asked before.
    hold: Duration,
    size: usize,
    used: u64,
    times: u32,
}

pub(super) struct Cache {
    most: usize,
    size: usize,
    slots: HashMap<Key, Slot>,
    /// All keys, the one that was not used for the longest time first.
    order: BTreeMap<u64, Key>,
    uses: u64,
}

impl Cache {
    /// For at most this number of answers.
    pub(super) fn new(most: usize) -> Cache {
        Cache { most, size: 0, slots: HashMap::new(), order: BTreeMap::new(), uses: 0 }
    }

    /// What is kept for a question; `now` is the time since any fixed moment.
    pub(super) fn look(&mut self, key: &Key, now: Duration) -> Kept {
        self.uses += 1;
        let Some(slot) = self.slots.get_mut(key) else { return Kept::Nothing };
        let (ttl, age) = (slot.said.ttl, now.saturating_sub(slot.since));
        let fresh = age < Duration::from_secs(ttl.into());
        let failed = slot.said.code == Rcode::SERVFAIL;
        if !fresh && (failed || age >= Duration::from_secs(ttl.into()) + STALE) {
            self.forget(key);
            return Kept::Nothing;
        }
        if let Some(key) = self.order.remove(&slot.used) {
            self.order.insert(self.uses, key);
        }
        slot.used = self.uses;
        slot.times = slot.times.saturating_add(1);
        let said = Arc::clone(&slot.said);
        if !fresh {
            return Kept::Stale(said, now < slot.hold);
        }
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let soon = !failed && slot.times >= OFTEN && ttl >= WORTH && (ttl - age.min(ttl)) <= ttl / 10;
        Kept::Fresh(said, age, soon)
    }

    /// Keeps an answer. A failure does not replace an answer: that is given in its place for a while.
    pub(super) fn keep(&mut self, key: &Key, said: Arc<Said>, now: Duration) {
        if let Some(old) = self.slots.get_mut(key)
            && said.code == Rcode::SERVFAIL
            && old.said.code != Rcode::SERVFAIL
        {
            old.hold = now + HOLD;
            return;
        }
        self.forget(key);
        let size = SLOT + 2 * key.name.len() + said.size();
        if said.ttl == 0 || self.most == 0 || size > self.most * EACH {
            return;
        }
        while self.slots.len() >= self.most || self.size + size > self.most * EACH {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.forget(&oldest);
        }
        self.uses += 1;
        self.size += size;
        self.order.insert(self.uses, key.clone());
        let slot = Slot { said, since: now, hold: now, size, used: self.uses, times: 0 };
        self.slots.insert(key.clone(), slot);
    }

    /// The number of answers, and what they take in memory, about.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.slots.len(), self.size)
    }

    fn forget(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            self.order.remove(&slot.used);
            self.size -= slot.size;
        }
    }
}

#[cfg(test)]
mod tests;
