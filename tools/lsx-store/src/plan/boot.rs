//! The volumes of a host after a reboot. Pure.

use super::there;
use crate::Store;
use crate::model::{Intent, State, Volume};
use common::plan::Warning;
use common::tool::{Draft, ObservedOf};
use common::{Failure, Kind};

/// What a host had before a reboot. A volume that is not there is no reason to leave the others out, and one that is not in the intent, such
/// as one that has just arrived or that is down, stays as it is: a boot removes no volume.
///
/// # Errors
/// An intent that cannot be read.
pub(super) fn booted(
    kept: &serde_json::Value,
    (host, seen): (&str, &ObservedOf<Store>),
    draft: &mut Draft<Store>,
) -> Result<Vec<Volume>, Failure> {
    let intent = kept_intent(kept)?;
    let there = there(seen);
    let named = |name: &str| intent.volumes.iter().any(|volume| volume.name == name);
    let others = there.values().filter(|one| one.state == State::Arriving || !named(&one.name));
    let mut all: Vec<Volume> = others.map(|one| (*one).clone()).collect();
    for volume in intent.volumes {
        match there.get(volume.name.as_str()) {
            // Instances that a move has stopped are started by lsx-ct's own boot.
            Some(found) if found.whole() => {
                all.push(Volume { move_id: found.move_id.clone(), stopped: found.stopped.clone(), ..volume })
            }
            Some(copy) if copy.state == State::Arriving => {}
            found => {
                let why = absent(&volume, found.copied());
                let message = format!("{host}: {}; instances that use it do not start. {}", why.0, why.1);
                draft.warnings.push(Warning { code: "store.missing".to_owned(), message });
                all.extend(found.map(|found| (*found).clone()));
            }
        }
    }
    Ok(all)
}

/// Why a volume is not in use, and what to do.
fn absent(volume: &Volume, found: Option<&Volume>) -> (String, String) {
    let Volume { name, path, .. } = volume;
    let leaving = found.filter(|found| found.state == State::Leaving);
    match leaving.and_then(|found| found.peer.as_ref()) {
        Some(peer) => (
            format!("volume {name} is about to move to {peer}"),
            format!(
                "`lsx-store volume move {name} {peer}` goes on with that; `lsx-store up` keeps it here unless it has arrived there"
            ),
        ),
        None => (format!("volume {name} is not at {path}"), "Is its disk mounted?".to_owned()),
    }
}

/// What this host has kept.
///
/// # Errors
/// If it cannot be read.
pub(super) fn kept_intent(kept: &serde_json::Value) -> Result<Intent, Failure> {
    serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "store.intent", format!("the intent of this host cannot be read: {e}"))
            .hint("run `lsx-store up` with the stack's document")
    })
}
