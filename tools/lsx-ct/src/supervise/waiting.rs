//! The process beside an instance of LXD or Incus: how others start it, read its state and end it.

use super::state::{self, Beside};
use crate::driver::Driver;
use crate::model::{Condition, Instance, State};
use crate::oci::disk::InstanceFolders;
use crate::oci::strays;
use common::Failure;
use common::host::file::{self, Mode};
use common::host::service::unit;
use common::host::wait;
use common::stack::Driver as Kinds;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;

/// Whether an instance that runs lacks the process that keeps the reserve of the host's disk: others have a supervisor.
pub(crate) fn lacks(stack: &str, instance: &Instance) -> bool {
    matches!(instance.driver, Kinds::Lxd | Kinds::Incus) && !state::alive(stack, &instance.name)
}

/// When it is ready: its process says so, and is started if there is none.
///
/// # Errors
/// If it could not be started.
pub(crate) fn attend(engine: &dyn Driver, stack: &str, instance: &Instance) -> Result<(), Failure> {
    note_ready(stack, &instance.name)?;
    watched(engine, stack, instance)
}

/// When it runs, before it is ready: starts that process, and notes that the instance is not ready yet.
///
/// # Errors
/// If it could not be started.
pub(crate) fn attend_early(engine: &dyn Driver, stack: &str, instance: &Instance) -> Result<(), Failure> {
    watched(engine, stack, instance)?;
    if state::alive(stack, &instance.name) {
        note_unready(stack, &instance.name)?;
    }
    Ok(())
}

/// The note that an instance has been started and is not ready. It outlives the run that waits, so that the next one does
/// not take the instance for ready.
fn unready_note(stack: &str, name: &str) -> PathBuf {
    InstanceFolders::new(stack, name).run.join("unready")
}

pub(super) fn note_unready(stack: &str, name: &str) -> Result<(), Failure> {
    file::write(&unready_note(stack, name), b"", Mode::Private).map(|_| ())
}

pub(super) fn note_ready(stack: &str, name: &str) -> Result<(), Failure> {
    file::remove(&unready_note(stack, name)).map(|_| ())
}

/// Whether an instance that runs was not ready at its last start.
pub(crate) fn unready(stack: &str, name: &str) -> bool {
    unready_note(stack, name).exists()
}

/// Starts that process, unless there is one or the instance has already ended.
fn watched(engine: &dyn Driver, stack: &str, instance: &Instance) -> Result<(), Failure> {
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
    file::remove(&place.run.join("unready"))?;
    place.run.ancestors().take(4).for_each(file::remove_empty);
    Ok(())
}

/// Time limit for it to end on request.
const END: Duration = Duration::from_secs(5);
