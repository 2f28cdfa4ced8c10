//! The locks of a stack on all its hosts: all of them before the first step, or none.
//!
//! First all locks are tried at once without waiting. If another run holds one, those taken are released, and then taken
//! one after the other in the order of the hosts' names, each with a wait: a run only ever waits for locks later in the
//! order than those it holds, so there is no deadlock.

use super::HostSet;
use super::host_set::Answers;
use super::waves::REFUSED;
use crate::failure::{Failure, Failures, Kind};
use crate::host::lock::LOCKED;
use crate::log;
use crate::plan::HostReport;
use crate::tool::{ObservedOf, Tool};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a run waits for another one.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// The same at boot, where nobody repeats the command.
pub(super) const AT_BOOT: Duration = Duration::from_secs(120);

/// Why no host may be changed.
#[derive(Debug)]
pub(super) struct Refused {
    /// The hosts where another run holds the lock.
    pub(super) by: BTreeMap<String, Failures>,
    /// Hosts that could not be asked.
    pub(super) failed: BTreeMap<String, Failures>,
}

impl Refused {
    /// The report of each of `hosts`.
    pub(super) fn reports<'a>(&self, hosts: impl Iterator<Item = &'a String>) -> Vec<HostReport> {
        let by: Vec<&str> = self.by.keys().map(String::as_str).collect();
        let idle = || {
            let message = format!("not changed because of {}", by.join(", "));
            Failure::new(Kind::Again, REFUSED, message).into()
        };
        let why = |host| self.by.get(host).or(self.failed.get(host)).cloned().unwrap_or_else(idle);
        hosts.map(|host| HostReport::failed(host, why(host))).collect()
    }

    /// The failures of the run: the hosts that refused; the others were not changed.
    pub(super) fn told(self) -> Failures {
        self.failed.values().for_each(log::failures);
        Failures(self.by.into_values().flat_map(|failures| failures.0).collect())
    }
}

impl<T: Tool> HostSet<T> {
    /// Takes the lock of a stack on every host and observes it; the locks are held until the set is dropped. A host that
    /// cannot be reached is reported as failed and does not keep the others from being locked.
    pub(super) fn hold(&mut self, stack: &str, wait: Duration) -> Result<Answers<ObservedOf<T>>, Refused> {
        let all = self.names();
        let (seen, failed) = self.observe_some(&all, stack, true);
        if !failed.values().any(locked) {
            return Ok((seen, failed));
        }
        let (by, mut others) = split(failed);
        let had = seen.into_keys().collect();
        let held = self
            .in_order((stack, &[T::NAME]), had, by, wait)
            .map_err(|by| Refused { by, failed: others.clone() })?;
        others.extend(held.1);
        let (seen, failed) = self.observe_some(&held.0, stack, true);
        others.extend(failed);
        Ok((seen, others))
    }

    /// Takes the locks that some tools have of a stack on some hosts, for a verb without a plan. All or none.
    ///
    /// # Errors
    /// Kind `Again` when another run holds one; a host that cannot be reached.
    pub fn lock(&mut self, stack: &str, tools: &[&str], hosts: &BTreeSet<String>) -> Result<(), Failures> {
        let request = json!({"op": "lock", "stack": stack, "tools": tools, "wait_ms": 0});
        let answers = self.ask(hosts.iter().map(|host| (host.clone(), request.clone())).collect());
        let (mut had, mut not) = (BTreeSet::new(), BTreeMap::new());
        for (host, answer) in answers {
            match answer {
                Ok(_) => _ = had.insert(host),
                Err(failures) => _ = not.insert(host, failures),
            }
        }
        let (by, failed) = split(not);
        if by.is_empty() {
            return super::plan::gather(failed).verdict();
        }
        let refused = |by| super::plan::gather(by);
        let (_, failed) = self.in_order((stack, tools), had, by, LOCK_WAIT).map_err(refused)?;
        super::plan::gather(failed).verdict()
    }

    /// Releases the locks `had`, then takes them and those of the refusing hosts in the order of their names. Returns the
    /// hosts that are locked now, and those that failed meanwhile; or the host that still refuses.
    #[expect(clippy::type_complexity, reason = "both halves are named where they are used")]
    fn in_order(
        &mut self,
        (stack, tools): (&str, &[&str]),
        had: BTreeSet<String>,
        by: BTreeMap<String, Failures>,
        wait: Duration,
    ) -> Result<(BTreeSet<String>, BTreeMap<String, Failures>), BTreeMap<String, Failures>> {
        for failure in by.values().flat_map(|failures| &failures.0) {
            let host = failure.host.as_deref().unwrap_or_default();
            log::note(&format!("{host}: {}; waiting up to {} s", failure.message, wait.as_secs()));
        }
        self.ask(had.iter().map(|host| (host.clone(), json!({"op": "unlock"}))).collect());
        let end = Instant::now() + wait;
        let (mut held, mut failed) = (BTreeSet::new(), BTreeMap::new());
        for host in had.into_iter().chain(by.into_keys()).collect::<BTreeSet<_>>() {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            let wait_ms = u64::try_from(left).unwrap_or(0);
            let request = json!({"op": "lock", "stack": stack, "tools": tools, "wait_ms": wait_ms});
            match self.ask(BTreeMap::from([(host.clone(), request)])).remove(&host) {
                Some(Err(failures)) if locked(&failures) => return Err(BTreeMap::from([(host, failures)])),
                Some(Err(failures)) => _ = failed.insert(host, failures),
                _ => _ = held.insert(host),
            }
        }
        Ok((held, failed))
    }
}

/// Whether a host reported that another run holds the lock.
fn locked(failures: &Failures) -> bool {
    failures.0.iter().any(|failure| failure.code == LOCKED)
}

/// Separates hosts whose lock is held by another run from those that failed for another reason.
fn split(failed: BTreeMap<String, Failures>) -> (BTreeMap<String, Failures>, BTreeMap<String, Failures>) {
    failed.into_iter().partition(|(_, failures)| locked(failures))
}
