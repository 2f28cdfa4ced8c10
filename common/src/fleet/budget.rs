//! The memory that the output of all hosts may take together: each host has a share of its own, and what it needs beyond that
//! comes from a common part. So a few hosts cannot exhaust the memory, nor what others need.

use crate::host::limit;
use crate::{Failure, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The code of a host whose output has no room.
pub(super) const MEMORY: &str = "fleet.memory";

/// The memory for the requests of a run.
pub(super) struct Budget {
    /// The share of each host.
    share: u64,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by: BTreeMap<String, u64>,
    /// The sum of what hosts have beyond their shares.
    common: u64,
}

impl Budget {
    pub(super) fn new(hosts: usize) -> Budget {
        let hosts = u64::try_from(hosts).unwrap_or(u64::MAX).max(1);
        Budget { share: limit::COMMON / hosts, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what a host has; refuses more than there is.
    fn change(&self, host: &str, less: u64, more: u64) -> Result<(), Failure> {
        let mut taken = self.taken();
        let before = taken.by.get(host).copied().unwrap_or(0);
        let after = before.saturating_sub(less).saturating_add(more);
        let beyond = |bytes: u64| bytes.saturating_sub(self.share);
        let common = taken.common.saturating_sub(beyond(before)).saturating_add(beyond(after));
        if after > before && common > limit::COMMON {
            return Err(full(host, after, &taken.by));
        }
        taken.common = common;
        match after {
            0 => taken.by.remove(host),
            _ => taken.by.insert(host.to_owned(), after),
        };
        Ok(())
    }
}

/// The failure of a host whose output would take `wanted` bytes.
fn full(host: &str, wanted: u64, by: &BTreeMap<String, u64>) -> Failure {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let message = format!(
        "its answer would take {} MiB of memory here, and the answers of all hosts together may take {} MiB",
        mib(wanted),
        mib(limit::COMMON * 2)
    );
    let failure = Failure::new(Kind::Unreachable, MEMORY, message);
    let others = by.iter().filter(|(name, _)| *name != host);
    let most = others.max_by_key(|(_, bytes)| **bytes).filter(|(_, bytes)| mib(**bytes) > 1);
    let failure = most.into_iter().fold(failure, |failure, (name, bytes)| {
        failure.because(format!("the answer of {name} takes {} MiB", mib(*bytes)))
    });
    failure.hint("a host that sends much more than the others may have been taken over: check it; for many instances, run with --only for some of the hosts at a time")
}

/// What one line or value of a host takes; it is given back when this is dropped.
pub(super) struct Charge {
    budget: Arc<Budget>,
    host: String,
    bytes: u64,
}

impl Charge {
    pub(super) fn none(budget: &Arc<Budget>, host: &str) -> Charge {
        Charge { budget: Arc::clone(budget), host: host.to_owned(), bytes: 0 }
    }

    /// Takes as much as needed for `bytes` in all.
    pub(super) fn at_least(&mut self, bytes: u64) -> Result<(), Failure> {
        if bytes > self.bytes {
            self.budget.change(&self.host, self.bytes, bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let _ = self.budget.change(&self.host, self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_host_has_its_share_whatever_others_take() {
        let budget = Arc::new(Budget::new(64));
        let mut greedy: Vec<Charge> = (0..3).map(|n| Charge::none(&budget, &format!("g{n}"))).collect();
        let mut refused = None;
        for charge in &mut greedy {
            refused = charge.at_least(limit::VALUES).err().or(refused);
        }
        let refused = refused.unwrap();
        assert!(refused.code == MEMORY && refused.message.contains("768 MiB"), "{refused}");
        assert!(refused.causes[0].starts_with("the answer of g"), "{refused}");
        let mut small = Charge::none(&budget, "small");
        small.at_least(10 * MIB).unwrap();
        let mut more = Charge::none(&budget, "small");
        more.at_least(5 * MIB).unwrap();
        drop((small, more, greedy));
        assert!(budget.taken().by.is_empty() && budget.taken().common == 0);
        let mut alone = Charge::none(&budget, "alone");
        alone.at_least(limit::VALUES + 2 * limit::LINE).unwrap();
    }
}
