//! Hosts that the document no longer names. No run contacts them, so each run prints a warning until a person confirms that
//! nothing is left there.

use super::HostSet;
use crate::failure::{Failure, Failures, Kind};
use crate::host::roll::MOST;
use crate::plan::Warning;
use crate::stack::Resolved;
use crate::tool::{ObservedOf, Tool};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Maximum number of warnings; further hosts are counted.
const TOLD: usize = 20;

/// The hosts of a stack's document.
pub(super) struct Roll {
    stack: String,
    named: BTreeSet<Ipv4Addr>,
    forgotten: BTreeSet<Ipv4Addr>,
}

impl Roll {
    /// Records the hosts of the document; warnings about the `forgotten` ones end.
    ///
    /// # Errors
    /// Kind `Usage`: the document names a forgotten host.
    pub(super) fn of(resolved: &Resolved, forgotten: &[Ipv4Addr]) -> Result<Roll, Failures> {
        let named: BTreeSet<Ipv4Addr> = resolved.hosts.iter().map(|host| host.address).collect();
        let wrong = forgotten.iter().filter(|address| named.contains(address)).map(|address| {
            let message = format!("--forget {address}: this host is in the document");
            Failure::new(Kind::Usage, "usage.forget", message).hint("remove it from `hosts` first")
        });
        Failures(wrong.collect()).verdict()?;
        Ok(Roll { stack: resolved.stack.clone(), named, forgotten: forgotten.iter().copied().collect() })
    }

    /// For a saved plan: the warnings continue.
    pub(super) fn planned(stack: &str, named: BTreeSet<Ipv4Addr>) -> Roll {
        Roll { stack: stack.to_owned(), named, forgotten: BTreeSet::new() }
    }

    fn gone<T: Tool>(&self, seen: &BTreeMap<String, ObservedOf<T>>) -> BTreeSet<Ipv4Addr> {
        let had = seen.values().flat_map(|host| host.stack_hosts.iter().copied());
        had.filter(|address| !self.named.contains(address) && !self.forgotten.contains(address)).collect()
    }

    /// One warning for each such host.
    pub(super) fn told<T: Tool>(&self, seen: &BTreeMap<String, ObservedOf<T>>) -> Vec<Warning> {
        let gone = self.gone::<T>(seen);
        let warning = |message: String| Warning { code: "plan.gone".to_owned(), message };
        let stack = &self.stack;
        let one = |address: &Ipv4Addr| {
            warning(format!(
                "{address} was a host of stack {stack} but is no longer in the document. What lsx created there is kept, including \
                 instances, and is restored after a reboot. To remove it, run there: lsx-ct down --stack {stack}, then lsx-net down \
                 --stack {stack}. Afterwards, or if the host no longer exists, run: {} up --forget {address}",
                T::PROGRAM
            ))
        };
        let more = gone.len().saturating_sub(TOLD);
        let counted =
            (more > 0).then(|| warning(format!("{more} further hosts were also hosts of stack {stack}")));
        gone.iter().take(TOLD).map(one).chain(counted).collect()
    }

    /// Records all present and former hosts of the stack on the hosts that lack some; returns the hosts where that failed.
    pub(super) fn note<T: Tool>(
        &self,
        host_set: &mut HostSet<T>,
        seen: &BTreeMap<String, ObservedOf<T>>,
    ) -> BTreeMap<String, Failures> {
        let all: BTreeSet<Ipv4Addr> =
            self.named.iter().copied().chain(self.gone::<T>(seen)).take(MOST).collect();
        let other = |host: &&ObservedOf<T>| !host.stack_hosts.iter().eq(&all);
        let request = json!({"op": "roll", "stack": self.stack, "hosts": all});
        let asked = seen.values().filter(other).map(|host| (host.host.clone(), request.clone())).collect();
        let failed = host_set.ask(asked).into_iter();
        failed.filter_map(|(host, result)| Some((host, result.err()?))).collect()
    }
}
