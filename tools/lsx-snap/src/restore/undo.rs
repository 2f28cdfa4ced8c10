//! The host's side of `undo` and `settle`: what restores keep beside volumes is brought back, or removed.

use super::{Answer, beside, record, start, turn};
use crate::model::{BackAt, Half, Restored};
use common::host::alive;
use common::host::volume::instances;
use common::tool::Hear;
use common::{Failure, Failures, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a host is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) stack: String,
    pub(crate) volumes: BTreeSet<String>,
}

/// Each volume gets what it had before its last restore that was not undone.
///
/// # Errors
/// There is none; what could not be done, or whose instances are not ready.
pub(crate) fn undo(order: &Turn, event: Hear<'_>) -> Result<Answer, Failures> {
    alive(event, || {
        common::host::root()?;
        let (stack, names) = (&order.stack, &order.volumes);
        turn::end_all(stack, Some(names))?;
        let known = record::read(stack)?;
        let mut all = names.iter().map(|name| last(&known, name)).collect::<Result<Vec<Restored>, _>>()?;
        let run = match turned(stack, &mut all) {
            Ok(run) => start(stack, &run),
            Err(failure) => {
                let ended = turn::end_all(stack, Some(names));
                return Err(Failures([Some(failure), ended.err()].into_iter().flatten().collect()));
            }
        };
        all.iter().try_for_each(|one| turn::done(stack, one))?;
        run.map_err(|failure| failure.hint("the volumes have what they had before the restore"))?;
        Ok(Answer { volumes: all.iter().map(told).collect(), warnings: Vec::new() })
    })
}

fn last(known: &[Restored], name: &str) -> Result<Restored, Failure> {
    let last = known.iter().rfind(|one| one.volume == name && !one.undone);
    last.cloned().ok_or_else(|| {
        let message = format!("no restore of volume {name} can be undone");
        Failure::new(Kind::Failed, "snap.nothing", message)
            .hint("`lsx-snap observe` shows what is kept beside volumes")
    })
}

/// Stops what runs, exchanges, and tells what ran.
fn turned(stack: &str, all: &mut [Restored]) -> Result<BTreeSet<String>, Failure> {
    let mut run = BTreeSet::new();
    for one in all.iter() {
        if !beside::has(one)? {
            let message = format!("volume {} has other content than what was restored", one.volume);
            return Err(Failure::new(Kind::Failed, "snap.other", message)
                .hint(format!("what was there before is kept in {}", one.beside)));
        }
    }
    let group = all.first().map(|one| one.token.clone()).unwrap_or_default();
    for one in all.iter_mut() {
        one.group.clone_from(&group);
        let running = instances::running(stack, &one.volume)?;
        run.extend(running.iter().cloned());
        one.half = Some(Half { restored: false, drop: false, stopped: running.into_iter().collect() });
        record::put(stack, one)?;
    }
    instances::act(stack, &["stop"], &run)?;
    all.iter().try_for_each(|one| turn::turn(stack, one, None)).map(|()| run)
}

/// Removes what is kept.
///
/// # Errors
/// A restore that is half done; of the file system.
pub(crate) fn settled(order: &Turn) -> Result<Answer, Failures> {
    common::host::root()?;
    let volumes = Some(&order.volumes).filter(|volumes| !volumes.is_empty());
    let all = turn::settle(&order.stack, volumes)?;
    let gone = |one: &Restored| BackAt { beside: None, ..told(one) };
    Ok(Answer { volumes: all.iter().map(gone).collect(), warnings: Vec::new() })
}

fn told(one: &Restored) -> BackAt {
    BackAt {
        volume: one.volume.clone(),
        repository: one.repository.clone(),
        snapshot: one.snapshot.clone(),
        beside: Some(one.beside.clone()),
        instances: one.half.iter().flat_map(|half| half.stopped.clone()).collect(),
        ..BackAt::default()
    }
}
