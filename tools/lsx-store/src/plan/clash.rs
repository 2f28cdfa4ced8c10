//! Volumes that are not what or where the document says: nothing is made anew in their stead. Pure.

use super::{Keys, there};
use crate::Store;
use crate::model::{State, Volume};
use common::stack::Resolved;
use common::tool::{ObservedOf, PlanInput};
use common::{Failure, Failures, Kind, people};
use std::collections::BTreeMap;

/// A volume that is on another host than the document says must not begin empty on the new one.
pub(super) fn moved(
    input: &PlanInput<Keys>,
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<Store>>,
) -> Result<(), Failures> {
    let mut failures = Vec::new();
    for at in resolved.volumes.iter().filter(|at| input.only.stored(&at.name)) {
        let has_one = |seen: &ObservedOf<Store>| {
            let found = there(seen).get(at.name.as_str()).copied();
            found.is_some_and(|found| found.state != State::Arriving && !arrived(found, observed))
        };
        let here = observed.get(&at.host).is_none_or(has_one);
        let wanted = |host: &str| resolved.volumes.iter().any(|one| one.name == at.name && one.host == host);
        let has = |(host, seen): &(&String, &ObservedOf<Store>)| !wanted(host) && has_one(seen);
        if let Some((other, _)) = observed.iter().find(has).filter(|_| !here) {
            let message = format!(
                "volume {} is on {other}; on {} it would begin without its content",
                at.name, at.host
            );
            let hint = format!(
                "`lsx-store volume move {} {}` moves it with its instance; or write host: {other}",
                at.name, at.host
            );
            let failure = Failure::new(Kind::Data, "store.plan.moved", message);
            failures.push(failure.at(format!("store.volumes.{}", at.name)).hint(hint));
        }
    }
    Failures(failures).verdict()
}

/// Whether a host has anything of a volume, or knows that it had it.
fn knows(seen: &ObservedOf<Store>, name: &str) -> bool {
    there(seen).contains_key(name) || super::gone(seen).any(|gone| gone.name == name)
}

/// A volume that has moved away is not made anew, unless the host that it has moved to has nothing of it any more.
pub(super) fn gone(
    input: &PlanInput<Keys>,
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<Store>>,
) -> Result<(), Failures> {
    let mut failures = Vec::new();
    for at in resolved.volumes.iter().filter(|at| input.only.stored(&at.name)) {
        let left =
            observed.get(&at.host).and_then(|seen| super::gone(seen).find(|gone| gone.name == at.name));
        let peer = left.and_then(|left| left.peer.as_deref());
        let known = |peer: &&str| observed.get(*peer).is_none_or(|seen| knows(seen, &at.name));
        if let Some(peer) = peer.filter(known) {
            let message = format!(
                "volume {0} has moved from {1} to {peer}; on {1} it would begin without its content",
                at.name, at.host
            );
            let hint = format!(
                "write host: {peer}; or `lsx-store volume move {} {}` moves it back with its instance",
                at.name, at.host
            );
            let failure = Failure::new(Kind::Data, "store.plan.moved", message).on(&at.host);
            failures.push(failure.at(format!("store.volumes.{}", at.name)).hint(hint));
        }
    }
    Failures(failures).verdict()
}

/// While the host that a volume goes to is not asked, nobody knows whether it has arrived there.
pub(super) fn leaving(
    input: &PlanInput<Keys>,
    observed: &BTreeMap<String, ObservedOf<Store>>,
) -> Result<(), Failures> {
    let mut failures = Vec::new();
    for (host, seen) in observed {
        for (name, volume) in there(seen).into_iter().filter(|(name, _)| input.only.stored(name)) {
            let peer = volume
                .peer
                .as_deref()
                .filter(|peer| volume.state == State::Leaving && !observed.contains_key(*peer));
            let Some(peer) = peer else { continue };
            let message = format!("volume {name} goes to {peer}, which was not asked whether it has arrived");
            let stack = &input.stack;
            let hint = format!(
                "run this again with {peer}; if that host is lost for good, on {host}: setfattr -n trusted.lsx.volume -v {stack}/{name} {}",
                volume.path
            );
            let failure = Failure::new(Kind::Data, "store.plan.leaving", message).on(host);
            failures.push(failure.at(format!("store.volumes.{name}")).hint(hint));
        }
    }
    Failures(failures).verdict()
}

/// Whether another host has the volume that leaves this one, by the same move.
pub(super) fn arrived(volume: &Volume, observed: &BTreeMap<String, ObservedOf<Store>>) -> bool {
    let at_peer = || there(observed.get(volume.peer.as_deref()?)?).get(volume.name.as_str()).copied();
    let same = |found: &Volume| found.move_id.is_some() && found.move_id == volume.move_id;
    volume.state == State::Leaving && at_peer().is_some_and(|found| found.whole() && same(found))
}

/// A volume that exists is not another one only because the document says so.
pub(super) fn changed(
    wanted: &[Volume],
    (host, seen): (&str, &ObservedOf<Store>),
    observed: &BTreeMap<String, ObservedOf<Store>>,
) -> Result<(), Failures> {
    let there = there(seen);
    let asked = |host: &str| observed.contains_key(host);
    let pairs = wanted.iter().filter_map(|volume| Some((volume, *there.get(volume.name.as_str())?)));
    let stack = seen.stack.as_deref().unwrap_or_default();
    let used = |name: &str| seen.seen.usage.iter().find(|usage| usage.volume == name)?.used_bytes;
    let refused = pairs.filter_map(|(volume, found)| {
        refused(volume, found, stack, &asked).or_else(|| shrunk(volume, used(&volume.name)?))
    });
    Failures(refused.map(|failure| failure.on(host)).collect()).verdict()
}

/// Nothing is cut off: a size below what is there would only stop every writer.
fn shrunk(volume: &Volume, used: u64) -> Option<Failure> {
    let size = volume.size_bytes.filter(|size| volume.driver.enforces() && used > *size)?;
    let (name, size) = (&volume.name, people::size(size));
    let message = format!("volume {name} has {}, more than its new size of {size}", people::size(used));
    let failure = Failure::new(Kind::Data, "store.plan.shrink", message);
    Some(
        failure
            .at(format!("store.volumes.{name}.size"))
            .hint("write a larger size, or remove files from it first"),
    )
}

fn refused(volume: &Volume, found: &Volume, stack: &str, asked: &dyn Fn(&str) -> bool) -> Option<Failure> {
    let Volume { name, path, .. } = volume;
    let told = |code: &str, message: String, hint: String| {
        let failure = Failure::new(Kind::Data, code, message);
        Some(failure.at(format!("store.volumes.{name}")).hint(hint))
    };
    let record = volume.record(stack);
    match found.state {
        State::Missing | State::Foreign => {
            let what = if found.state == State::Missing { "not at" } else { "no longer what is at" };
            let message = format!("volume {name} is {what} {}", found.path);
            let hint = format!(
                "mount its disk, or put it back; if it is lost, remove {}, and it begins without content",
                record
            );
            told("store.plan.missing", message, hint)
        }
        // A run was killed before it had any content.
        State::Unfinished => None,
        State::Arriving if found.peer.as_deref().is_some_and(|peer| !asked(peer)) => {
            let from = found.peer.as_deref().unwrap_or_default();
            let message =
                format!("the copy of volume {name} from {from} is not complete, and {from} was not asked");
            told("store.plan.leaving", message, format!("run this again with {from}"))
        }
        State::Arriving => {
            let from = found.peer.as_deref().unwrap_or("another host");
            let message = format!(
                "the copy of volume {name} from {from} is not complete, and {from} does not have it any more"
            );
            let hint = format!(
                "`lsx-store down --only store.{name}` removes the copy; then it begins without content"
            );
            told("store.plan.missing", message, hint)
        }
        State::Leaving | State::Moved => None,
        State::Ready | State::Unmounted if found.path != *path => {
            let message = format!("volume {name} is at {}, and would be at {path}", found.path);
            let hint =
                format!("leave store.root and the pool as they were, or copy it there and remove {}", record);
            told("store.plan.moved", message, hint)
        }
        State::Ready | State::Unmounted if found.driver != volume.driver => {
            let message =
                format!("volume {name} is kept by {}, and would be by {}", found.driver, volume.driver);
            told("store.plan.driver", message, format!("write driver: {} for it", found.driver))
        }
        State::Ready | State::Unmounted => None,
    }
}
