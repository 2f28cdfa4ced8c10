//! The steps of a move. From before instances are stopped until the copy is the volume, a signal only ends it: the volume stays then.

use super::aim::{self, Found};
use super::ends::Fleet;
use crate::apply::leaving::{Going, Left};
use crate::apply::moved::Ask;
use crate::carry::Entry;
use crate::carry::pass::{Passed, pass};
use crate::model::Moved;
use common::host::wait;
use common::{Failure, Failures, Kind, log, people, signal};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Most passes while instances use the volume.
const LIVE: u64 = 5;
/// A pass that has sent fewer bytes is the last one of them.
const SMALL: u64 = 16 << 20;
/// So many passes there may be when nobody uses it, however long they take. The second one finds nothing, unless a file was changed a
/// moment before.
const LEAST: u64 = 3;
/// How long those may take that find no less than one before.
const IDLE: Duration = Duration::from_secs(600);
/// Between them.
const PAUSE: Duration = Duration::from_millis(200);

/// The move, as far as it is not done. Returns when the instances were stopped.
pub(super) fn whole(
    fleet: &mut Fleet,
    found: &Found,
    moved: &mut Moved,
) -> Result<Option<Instant>, Failures> {
    let Some(from) = &found.from else {
        log::note(&format!("{} has volume {} already", fleet.to, fleet.volume.name));
        return Ok(None);
    };
    let stopped = if found.arrived { None } else { Some(copied(fleet, moved)?) };
    let (stack, name) = fleet.named();
    let move_id = fleet.volume.move_id.clone();
    // The volume has arrived: its instances are started whatever is left of it.
    let gone = fleet.source::<Value>(&Ask::Gone { stack: stack.clone(), name: name.clone(), move_id });
    match gone {
        // If it does not hear that, it only remembers the name of the move.
        Ok(_) => _ = fleet.target::<Value>(&Ask::Settled { stack, name }),
        Err(failures) => log::warning(&format!(
            "what is left of volume {name} on {from} is not removed, `lsx-store up` does that: {failures}"
        )),
    }
    Ok(stopped)
}

/// Until the copy is the volume.
fn copied(fleet: &mut Fleet, moved: &mut Moved) -> Result<Instant, Failures> {
    let (stack, name) = fleet.named();
    let (since, clock, move_id): (i64, String, String) =
        fleet.source(&Ask::Begin { stack: stack.clone(), name: name.clone() })?;
    // A copy that was cut off is one of the time when it was begun.
    if fleet.volume.since.is_none() {
        (fleet.volume.since, fleet.volume.clock) = (Some(since), Some(clock));
    }
    fleet.volume.move_id.get_or_insert(move_id);
    fleet.target::<Value>(&Ask::Arrive { stack: stack.clone(), volume: fleet.volume.clone() })?;
    for _ in 0..LIVE {
        let passed = once(fleet, moved)?;
        log::note(&format!("copied {} of volume {name}", people::size(passed.sent)));
        if passed.sent < SMALL {
            break;
        }
    }
    // Not while instances wait for it.
    fleet.target::<Value>(&Ask::Sync { stack: stack.clone(), volume: fleet.volume.clone() })?;
    moved.instances = fleet.source(&Ask::Running { stack, name })?;
    let interrupted = signal::noted();
    let begin = Instant::now();
    match halted(fleet, moved, &interrupted) {
        Ok(()) => Ok(begin),
        Err(failures) => Err(aim::undone(fleet, moved, failures)),
    }
}

/// What is done while nobody uses the volume.
fn halted(fleet: &mut Fleet, moved: &mut Moved, interrupted: &AtomicBool) -> Result<(), Failures> {
    let (stack, name) = fleet.named();
    let instances = moved.instances.clone();
    fleet.source::<Value>(&Ask::Halt { stack: stack.clone(), name: name.clone(), instances })?;
    let volume = fleet.volume.clone();
    let going = Going {
        to: fleet.to.clone(),
        move_id: volume.move_id.clone(),
        since: volume.since,
        clock: volume.clock.clone(),
    };
    let left: Left = fleet.source(&Ask::Leave { stack: stack.clone(), name, going })?;
    fleet.last = Some(left.since);
    let own = settled(fleet, moved, interrupted)?;
    fleet.switching = true;
    fleet.target::<Value>(&Ask::Switch { stack, volume, own, new: left.new })?;
    Ok(())
}

/// Passes until one finds nothing.
fn settled(fleet: &mut Fleet, moved: &mut Moved, interrupted: &AtomicBool) -> Result<Entry, Failures> {
    let stopped = || interrupted.load(Ordering::Relaxed);
    let failed = |message: String| Err(Failure::new(Kind::Failed, "store.move", message).into());
    let (mut least, mut idle, mut passes) = (u64::MAX, Duration::ZERO, 0);
    loop {
        if stopped() {
            return failed("interrupted while the last differences were copied".to_owned());
        }
        let begin = Instant::now();
        let passed = once(fleet, moved)?;
        if passed.changed == 0 {
            return Ok(passed.own);
        }
        wait::until(PAUSE, PAUSE, stopped);
        if passed.changed >= least {
            idle += begin.elapsed();
        }
        (least, passes) = (least.min(passed.changed), passes + 1);
        if passes >= LEAST && idle >= IDLE {
            return failed(format!("volume {} changes although nobody uses it", fleet.volume.name));
        }
    }
}

fn once(fleet: &mut Fleet, moved: &mut Moved) -> Result<Passed, Failures> {
    let passed = pass(fleet)?;
    moved.passes += 1;
    moved.sent_bytes += passed.sent;
    Ok(passed)
}
