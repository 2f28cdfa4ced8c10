//! After a reboot: a process for each instance of LXD or Incus that waits until everything it needs is ready, and then
//! starts it. The server has no dependencies, and the run that restores a host must not wait for another host.

use super::state::{self, SupervisorState};
use super::waiting::forget;
use crate::engines;
use crate::lxd::ended::ENDED;
use crate::model::{Condition, State};
use crate::oci::disk::{InstanceFolders, folder_with};
use common::host::service::unit;
use common::host::wait;
use common::stack::Restart;
use common::{Failure, Kind};
use std::time::Duration;

/// The first pause after a failed start; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The number of attempts to start.
const TRIES: u32 = 5;

/// The verb `supervise` for an instance that an engine runs. The caller holds its lock.
///
/// # Errors
/// If the instance does not exist, or could not be started.
pub(super) fn run(place: &InstanceFolders, stack: &str, name: &str) -> Result<(), Failure> {
    folder_with(&place.run, 0o711)?;
    let supervisor = nix::unistd::getpid().as_raw();
    let tell = |state: State, why: Option<String>| {
        let condition = Condition { state, why, ..Condition::default() };
        state::write(place, &SupervisorState { supervisor, condition, ..SupervisorState::default() })
    };
    tell(State::Waiting, None)?;
    let mut told = String::new();
    let mut waiting = |why: &str| {
        if why != told {
            why.clone_into(&mut told);
            let _ = tell(State::Waiting, Some(told.clone()));
        }
    };
    let (mut tries, mut pause) = (0, PAUSE);
    let done = loop {
        match once(stack, name, &mut waiting) {
            // A job that has failed is not started again by itself.
            Err(failure) if failure.code == ENDED && restart(stack, name) == Some(Restart::No) => {
                tracing::info!("{failure}");
                break Ok(());
            }
            Err(failure) if tries < TRIES => {
                tracing::info!("{failure}");
                waiting(&failure.to_string());
                wait::until(pause, pause, || false);
                (tries, pause) = (tries + 1, pause * 2);
            }
            done => break done,
        }
    };
    unit::ready();
    match &done {
        Ok(()) => forget(place),
        Err(failure) => tell(State::Stopped, Some(failure.to_string())),
    }?;
    done
}

fn restart(stack: &str, name: &str) -> Option<Restart> {
    Some(engines::found(stack, name).ok()??.1.instance?.restart)
}

fn once(stack: &str, name: &str, waiting: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    let found = engines::found(stack, name)?.and_then(|(driver, found)| Some((driver, found.instance?)));
    let (driver, instance) = found.ok_or_else(|| {
        Failure::new(Kind::Failed, "ct.instance", format!("{name} does not exist"))
            .hint("create it with `lsx-ct up`")
    })?;
    engines::of(driver, None)?.wait_and_start(stack, &instance, waiting)
}
