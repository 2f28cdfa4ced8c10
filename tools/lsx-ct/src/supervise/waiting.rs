//! The process beside an instance of LXD or Incus: how others start it, read its state and end it.

use super::state::{self, Beside};
use crate::driver::Driver;
use crate::model::{Condition, Instance, State};
use crate::oci::disk::InstanceFolders;
use crate::oci::strays;
use common::Failure;
use common::host::service::unit;
use common::host::{file, wait};
use common::stack::Driver as Kinds;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// Whether an instance that runs lacks the process that keeps the reserve of the host's disk: others have a supervisor.
pub(crate) fn lacks(stack: &str, instance: &Instance) -> bool {
    matches!(instance.driver, Kinds::Lxd | Kinds::Incus) && !state::alive(stack, &instance.name)
}

/// After its start: starts that process, unless the instance has already ended.
///
/// # Errors
/// If it could not be started.
pub(crate) fn attend(engine: &dyn Driver, stack: &str, instance: &Instance) -> Result<(), Failure> {
    let runs = || -> Result<bool, Failure> { Ok(engine.served(stack, &instance.name)?.is_some()) };
    if !lacks(stack, instance) || !runs()? {
        return Ok(());
    }
    state::begin(stack, &instance.name, Some(Beside::Watch)).or_else(|failure| match runs()? {
        true => Err(failure),
        false => Ok(()),
    })
}

/// Why that process has frozen an instance.
pub(crate) fn frozen(stack: &str, name: &str) -> Option<String> {
    let said = state::said(stack, name).filter(|said| said.condition.state == State::Waiting)?;
    said.condition.why.filter(|_| state::alive(stack, name))
}

/// The state of an instance of an engine that has not been started yet.
pub(crate) fn said(stack: &str, name: &str) -> Option<Condition> {
    let said = state::said(stack, name).filter(|said| said.condition.state != State::Running)?;
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
    strays::end_beside(stack, name);
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
