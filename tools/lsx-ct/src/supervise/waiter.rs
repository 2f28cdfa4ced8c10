//! A process for each instance of LXD or Incus. After a reboot it waits until everything the instance needs is ready, and then
//! starts it: the server has no dependencies, and the run that restores a host must not wait for another host. While the
//! instance runs, it keeps the reserve of the host's disk, as the supervisors of other instances do.

use super::run::room::{Watch, Writer};
use super::state::{self, Beside, SupervisorState};
use super::waiting::{self, forget, note_ready, note_unready};
use crate::driver::Driver;
use crate::engines;
use crate::lxd::ended::ENDED;
use crate::model::{Condition, Instance, State};
use crate::oci::disk::{InstanceFolders, folder_with};
use common::host::service::unit;
use common::host::{process, wait};
use common::stack::Restart;
use common::{Failure, Kind};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Where the servers have the files of storage pools that they made themselves.
const POOLS: [&str; 3] = ["/var/lib/lxd/disks", "/var/snap/lxd/common/lxd/disks", "/var/lib/incus/disks"];
/// How often to check whether its instance still runs.
const LOOK: Duration = Duration::from_secs(2);
/// The first pause after a failed start; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The number of attempts to start.
const TRIES: u32 = 5;

/// Records a state of the instance.
type Tell<'a> = &'a (dyn Fn(State, Option<String>) -> Result<(), Failure> + Sync);

/// The verb `supervise` for an instance that an engine runs. The caller holds its lock.
///
/// # Errors
/// If the instance does not exist, or could not be started.
pub(super) fn run(place: &InstanceFolders, stack: &str, name: &str, beside: Beside) -> Result<(), Failure> {
    folder_with(&place.run, 0o711)?;
    let supervisor = nix::unistd::getpid().as_raw();
    let tell = |state: State, why: Option<String>| {
        let condition = Condition { state, why, ..Condition::default() };
        state::write(place, &SupervisorState { supervisor, condition, ..SupervisorState::default() })
    };
    tell(if beside == Beside::Watch { State::Running } else { State::Waiting }, None)?;
    let mut told = String::new();
    let mut waiting = |why: &str| {
        if why != told {
            why.clone_into(&mut told);
            let _ = tell(State::Waiting, Some(told.clone()));
        }
    };
    let done = thread::scope(|scope| {
        let (started, runs) = mpsc::channel();
        let watches = scope.spawn(|| follow(stack, name, runs, &tell));
        let begun = || {
            let _ = started.send(());
        };
        let done = begin(stack, name, beside, &mut waiting, &begun);
        unit::ready();
        if done.is_ok() {
            begun();
        }
        drop(started);
        let watched = watches.join().unwrap_or(Ok(()));
        done.and(watched)
    });
    match &done {
        Ok(()) if ours(stack, name) => forget(place),
        Ok(()) => Ok(()),
        Err(failure) => tell(State::Stopped, Some(failure.to_string())),
    }?;
    done
}

/// Starts it, if that is to be done, and waits until it is ready. `begun` is called as soon as it runs.
fn begin(
    stack: &str,
    name: &str,
    beside: Beside,
    waiting: &mut dyn FnMut(&str),
    begun: &dyn Fn(),
) -> Result<(), Failure> {
    if beside != Beside::Start {
        return Ok(());
    }
    let (mut tries, mut pause) = (0, PAUSE);
    loop {
        match once(stack, name, waiting, begun) {
            // A job that has failed is not started again by itself.
            Err(failure) if failure.code == ENDED && restart(stack, name) == Some(Restart::No) => {
                tracing::info!("{failure}");
                return Ok(());
            }
            Err(failure) if tries < TRIES => {
                tracing::info!("{failure}");
                waiting(&failure.to_string());
                wait::until(pause, pause, || false);
                (tries, pause) = (tries + 1, pause * 2);
            }
            done => return done,
        }
    }
}

/// Watches it from the first message of `started`, until it has ended; no message: it has not been started.
fn follow(stack: &str, name: &str, started: mpsc::Receiver<()>, tell: Tell<'_>) -> Result<(), Failure> {
    while started.recv().is_ok() {
        while let Some((driver, instance, pid)) = runs(stack, name).filter(|_| ours(stack, name)) {
            tell(State::Running, None)?;
            watch(&*driver, (stack, &instance), pid, tell)?;
        }
    }
    Ok(())
}

/// An instance that runs, its engine, and its first process.
fn runs(stack: &str, name: &str) -> Option<(Box<dyn Driver>, Instance, u32)> {
    let mut engines = engines::working();
    engines.find_map(|(_, engine)| {
        let (instance, pid) = engine.served(stack, name).ok()??;
        Some((engine, instance, pid))
    })
}

/// Whether this is still the process of the instance: its files may have been removed, and another one started.
fn ours(stack: &str, name: &str) -> bool {
    let own = nix::unistd::getpid().as_raw();
    state::said(stack, name).is_some_and(|said| said.supervisor == own) && state::alive(stack, name)
}

/// An instance as its server and the kernel have it.
struct Served<'a> {
    driver: &'a dyn Driver,
    stack: &'a str,
    name: &'a str,
    pid: u32,
}

impl Writer for Served<'_> {
    fn processes(&self) -> BTreeSet<i32> {
        process::beside(&self.pid.to_string()).into_iter().collect()
    }

    fn freeze(&self, frozen: bool) -> bool {
        self.driver.freeze(self.stack, self.name, frozen).is_ok()
    }
}

/// Keeps the reserve until its first process ends, or this process is no longer the one of the instance.
fn watch(
    driver: &dyn Driver,
    (stack, instance): (&str, &Instance),
    pid: u32,
    tell: Tell<'_>,
) -> Result<(), Failure> {
    // When a process began tells it from a later one with its number (proc(5)).
    let began = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
    };
    let Some(first) = began() else { return Ok(()) };
    let name = &instance.name;
    // Also with `limits.disk`, which a pool with the driver dir does not enforce.
    let own = Some(PathBuf::from(format!("/proc/{pid}/root/.")));
    let pools = POOLS.iter().map(PathBuf::from).filter(|pool| pool.exists()).collect();
    let of = Served { driver, stack, name, pid };
    let mut watch = Watch::at(stack, instance, own, pools, Box::new(of));
    while began().as_ref() == Some(&first) && ours(stack, name) {
        if watch.look() {
            let state = if watch.held().is_some() { State::Waiting } else { State::Running };
            tell(state, watch.held().cloned())?;
        }
        let time = watch.time().clamp(Duration::from_millis(50), LOOK);
        wait::until(time, time, || false);
    }
    Ok(())
}

fn restart(stack: &str, name: &str) -> Option<Restart> {
    Some(engines::found(stack, name).ok()??.1.instance?.restart)
}

fn once(stack: &str, name: &str, waiting: &mut dyn FnMut(&str), begun: &dyn Fn()) -> Result<(), Failure> {
    let (driver, state, instance) = loop {
        let found = engines::found(stack, name)?
            .and_then(|(driver, found)| Some((driver, found.condition, found.instance?)));
        let (driver, condition, instance) = found.ok_or_else(|| {
            Failure::new(Kind::Failed, "ct.instance", format!("{name} does not exist"))
                .hint("create it with `lsx-ct up`")
        })?;
        // While it is frozen, because the host's disk is nearly full, it cannot become ready.
        let frozen = condition.state == State::Waiting && condition.pid.is_some();
        if !frozen || waiting::frozen(stack, name).is_none() || !ours(stack, name) {
            break (driver, condition.state, instance);
        }
        wait::until(LOOK, LOOK, || false);
    };
    if state == State::Running {
        return Ok(());
    }
    let started = || {
        let _ = note_unready(stack, name);
        begun();
    };
    engines::of(driver, None)?.wait_and_start(stack, &instance, waiting, &started)?;
    note_ready(stack, name)
}
