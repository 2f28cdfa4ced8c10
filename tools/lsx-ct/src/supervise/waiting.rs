//! The process that waits for what an instance of LXD or Incus needs, as others see it: its state and its end.

use super::state;
use crate::model::{Condition, State};
use crate::oci::disk::InstanceFolders;
use common::Failure;
use common::host::service::unit;
use common::host::{file, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// The state of an instance of an engine that has not been started yet.
pub(crate) fn said(stack: &str, name: &str) -> Option<Condition> {
    let said = state::said(stack, name)?;
    Some(match state::alive(stack, name) {
        true => said.condition,
        false => Condition { state: State::Stopped, ..said.condition },
    })
}

/// Ends the process that waits for an instance; returns whether there was one.
pub(crate) fn end(stack: &str, name: &str) -> Result<bool, Failure> {
    let place = InstanceFolders::new(stack, name);
    if place.disk.exists() {
        return Ok(false);
    }
    let waits = state::alive(stack, name);
    if let Some(said) = state::said(stack, name).filter(|_| waits) {
        // It only holds a namespace, which is removed with it.
        let _ = kill(Pid::from_raw(said.supervisor), Signal::SIGKILL);
        unit::end(&state::service(stack, name).unit);
        wait::until(END, Duration::from_millis(5), || !state::alive(stack, name));
        state::service(stack, name).unlock()?;
    }
    forget(&place)?;
    Ok(waits)
}

pub(super) fn forget(place: &InstanceFolders) -> Result<(), Failure> {
    file::remove(&place.run.join("state.json"))?;
    place.run.ancestors().take(4).for_each(file::remove_empty);
    Ok(())
}

/// Time limit for it to end on request.
const END: Duration = Duration::from_secs(5);
