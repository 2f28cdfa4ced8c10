//! One supervisor process for each instance with the driver oci, instead of a daemon: it mounts the root, lets the runtime
//! create the container, attaches its interfaces, waits for what it needs, keeps its log, restarts it when it ends, and
//! records its state.

mod run;
pub(crate) mod state;
mod waiter;
pub(crate) mod waiting;

use crate::exit;
use crate::model::{Condition, Exit, Instance, State, runtime_id};
use crate::oci::disk::InstanceFolders;
use crate::oci::{groups, mounts, runtime::Runtime};
use common::host::service::signals::{Asked, Signals};
use common::host::service::{LAST, Pauses, log, unit};
use common::stack::Restart;
use common::{Failure, Kind};
use run::{End, Run};
use state::{Beside, SupervisorState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The verb `supervise`: runs until the instance has ended for good, or until SIGTERM.
///
/// # Errors
/// Why the instance could not run.
pub(crate) fn run(stack: &str, name: &str, beside: Option<Beside>) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    let _lock = state::service(stack, name).take_lock()?;
    let place = InstanceFolders::new(stack, name);
    crate::net::hold();
    if let Some(beside) = beside {
        return waiter::run(&place, stack, name, beside);
    }
    place.make()?;
    state::unfinish(&place)?;
    let said = SupervisorState { supervisor: nix::unistd::getpid().as_raw(), ..SupervisorState::default() };
    let mut supervisor = Supervisor {
        stack: stack.to_owned(),
        name: name.to_owned(),
        id: runtime_id(stack, name),
        log: log::Log::new(&place.disk),
        signals: Signals::hold()?,
        said,
        place,
    };
    if let Ok(instance) = supervisor.instance() {
        supervisor.said.goes_by = state::goes_by(&instance);
    }
    supervisor.tell(State::Waiting, None);
    let done = supervisor.set_up().and_then(|mut life| supervisor.keep(&mut life));
    if let Err(failure) = &done {
        supervisor.said.last = log::tail(&supervisor.place.disk, LAST);
        supervisor.log.say(&failure.to_string());
        supervisor.tell(State::Stopped, Some(failure.to_string()));
    }
    done
}

pub(crate) struct Supervisor {
    stack: String,
    name: String,
    id: String,
    log: Arc<log::Log>,
    signals: Signals,
    said: SupervisorState,
    place: InstanceFolders,
}

impl Supervisor {
    fn set_up(&mut self) -> Result<Run, Failure> {
        nix::sys::prctl::set_child_subreaper(true).map_err(|e| {
            Failure::new(Kind::Failed, "ct.supervise", format!("cannot adopt processes: {e}"))
        })?;
        groups::enter(&self.stack, &self.name)?;
        // A killed supervisor leaves its container, which still uses the layer that is mounted next.
        let before = Runtime::of(&self.place)?;
        if before.knows(&self.id) {
            before.delete(&self.id)?;
        }
        let runtime = Runtime::find(self.place.choice()?.as_deref())?;
        runtime.makes(&self.place)?;
        mounts::apart()?;
        let instance = self.instance()?;
        Run::new(runtime, &self.place, &instance)
    }

    fn instance(&self) -> Result<Instance, Failure> {
        self.place.instance()?.ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                "ct.supervise",
                format!("{} does not exist", self.place.disk.display()),
            )
            .hint("create it with `lsx-ct up`")
        })
    }

    /// Runs the instance again and again, until it is not restarted.
    fn keep(&mut self, life: &mut Run) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        loop {
            let instance = self.look_again()?;
            pauses.begin();
            let end = life.live(self, &instance);
            let cleared = life.clear(self);
            let why = match end.and_then(|end| cleared.map(|()| end)) {
                Ok(End::Asked) => {
                    self.tell(State::Stopped, None);
                    return Ok(());
                }
                Ok(End::Ended(exit)) => match self.over(exit)? {
                    None => return Ok(()),
                    Some(why) => why,
                },
                // A mistake in the image or the document does not go away by itself.
                Err(failure) if instance.restart == Restart::No || failure.kind == Kind::Data => {
                    return Err(failure);
                }
                Err(failure) => {
                    self.said.last = log::tail(&self.place.disk, LAST);
                    self.log.say(&failure.to_string());
                    failure.to_string()
                }
            };
            self.said.condition.restarts += 1;
            let pause = pauses.after();
            let why = format!("{why}; restarting in {} ms", pause.as_millis());
            self.tell(State::Restarting, Some(why));
            match self.pause(pause) {
                Asked::Stop => {
                    self.tell(State::Stopped, None);
                    return Ok(());
                }
                Asked::Look => pauses.reset(),
                _ => {}
            }
        }
    }

    /// After it ended by itself: why it is restarted, or `None` if it is not.
    fn over(&mut self, exit: Exit) -> Result<Option<String>, Failure> {
        let code = exit.code;
        let how = format!("ended with {code}{}", if exit.oom { ", out of memory" } else { "" });
        self.log.say(&format!("{} {how}", self.name));
        self.said.condition.exit = Some(exit);
        if !exit::again(self.instance()?.restart, code) {
            if let Some(exit) = self.said.condition.exit.as_ref().filter(|exit| exit.code == 0) {
                state::finish(&self.place, exit)?;
            }
            self.tell(State::Exited, None);
            return Ok(None);
        }
        self.said.last = log::tail(&self.place.disk, LAST);
        Ok(Some(how))
    }

    /// Waits; returns what ended the wait: time, a request to stop, or a request to reload.
    fn pause(&mut self, time: Duration) -> Asked {
        let end = Instant::now() + time;
        loop {
            let asked = self.signals.wait(end.saturating_duration_since(Instant::now()));
            if asked == Asked::Child && self.signals.looks() {
                return Asked::Look;
            }
            if asked != Asked::Child {
                return asked;
            }
        }
    }

    /// Reads the current definition of the instance, which is used from here on.
    fn look_again(&mut self) -> Result<Instance, Failure> {
        let instance = self.instance()?;
        self.said.goes_by = state::goes_by(&instance);
        Ok(instance)
    }

    /// Records the state of a running instance, which may be frozen, or still be checked for readiness.
    fn tell_running(&mut self, frozen: Option<&String>, asked: bool) {
        match (frozen, asked) {
            (Some(why), _) => {
                self.log.say(&format!("{} is {why}", self.name));
                self.tell(State::Waiting, Some(why.clone()));
            }
            (None, true) => self.tell(State::Starting, None),
            (None, false) => self.tell(State::Running, None),
        }
    }

    /// Records the state of the instance; a reader sees the old or the new one.
    fn tell(&mut self, state: State, why: Option<String>) {
        let stopped = matches!(state, State::Stopped | State::Exited | State::Restarting);
        let condition = &mut self.said.condition;
        *condition = Condition { state, why, pid: condition.pid.filter(|_| !stopped), ..condition.clone() };
        if state == State::Running {
            self.said.last.clear();
            unit::ready();
        }
        if let Err(failure) = state::write(&self.place, &self.said) {
            self.log.say(&failure.to_string());
        }
    }

    fn folder(&self) -> &Path {
        &self.place.run
    }
}

/// The exit of a process, at the current time.
fn ended(code: i32, oom: bool) -> Exit {
    Exit { code, at: common::log::now(), oom }
}
