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
        let here = observed.get(&at.host).is_none_or(|seen| there(seen).contains_key(at.name.as_str()));
        let wanted = |host: &str| resolved.volumes.iter().any(|one| one.name == at.name && one.host == host);
        let has = |(host, seen): &(&String, &ObservedOf<Store>)| {
            !wanted(host) && there(seen).contains_key(at.name.as_str())
        };
        if let Some((other, _)) = observed.iter().find(has).filter(|_| !here) {
            let message = format!(
                "volume {} is on {other}; on {} it would begin without its content",
                at.name, at.host
            );
            let hint = format!(
                "write host: {other}; or copy it, then on {other} `lsx-store down --only store.{} --destroy-data`",
                at.name
            );
            let failure = Failure::new(Kind::Data, "store.plan.moved", message);
            failures.push(failure.at(format!("store.volumes.{}", at.name)).hint(hint));
        }
    }
    Failures(failures).verdict()
}

/// A volume that exists is not another one only because the document says so.
pub(super) fn changed(wanted: &[Volume], host: &str, seen: &ObservedOf<Store>) -> Result<(), Failures> {
    let there = there(seen);
    let pairs = wanted.iter().filter_map(|volume| Some((volume, *there.get(volume.name.as_str())?)));
    let stack = seen.stack.as_deref().unwrap_or_default();
    let used = |name: &str| seen.seen.usage.iter().find(|usage| usage.volume == name)?.used_bytes;
    let refused = pairs.filter_map(|(volume, found)| {
        refused(volume, found, stack).or_else(|| shrunk(volume, used(&volume.name)?))
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

fn refused(volume: &Volume, found: &Volume, stack: &str) -> Option<Failure> {
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
