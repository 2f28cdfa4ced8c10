//! The supervisor of a service that the engine keeps: starts the program again when it ends, and when its definition changes.

use super::kept::{KeptService, State};
use super::log::Log;
use super::signals::{Asked, Signals};
use super::{Pauses, unit};
use crate::document;
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::{Program, wait};
use crate::plan::Definition;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A program that ends sooner than this has not been started.
const STARTED: Duration = Duration::from_millis(300);
/// How often it is looked whether the program has ended, if no signal says so.
const LOOK: Duration = Duration::from_secs(5);
/// Time limit for the program to end, and the interval of checks.
const END: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

/// How a run of the program ended.
enum End {
    /// On request.
    Asked,
    /// Its definition has changed.
    Changed,
    /// By itself, or it was not started.
    Ended(String),
}

struct Supervisor {
    of: KeptService,
    log: Arc<Log>,
    signals: Signals,
    state: State,
}

/// Supervises a service until SIGTERM, or until its definition is gone.
///
/// # Errors
/// If another supervisor runs, or its files cannot be written.
pub fn run(of: KeptService) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    of.make()?;
    let _lock = of.service().take_lock()?;
    let state = State { supervisor: nix::unistd::getpid().as_raw(), ..State::default() };
    let mut me = Supervisor { log: Log::new(&of.disk()), signals: Signals::hold()?, state, of };
    me.tell(false, None)?;
    me.of.clear();
    let ended = me.keep();
    me.of.clear();
    ended
}

impl Supervisor {
    fn keep(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        while let Some(text) = self.of.text()? {
            pauses.begin();
            self.state.loaded = document::digest(text.as_bytes());
            let why = match self.once(&text) {
                Ok(End::Asked) => return Ok(()),
                Ok(End::Changed) => {
                    pauses.reset();
                    continue;
                }
                Ok(End::Ended(why)) => why,
                Err(failure) => failure.to_string(),
            };
            self.state.restarts += 1;
            let pause = pauses.after();
            let why = format!("{why}; restarting in {} ms", pause.as_millis());
            self.log.say(&why);
            self.tell(false, Some(why))?;
            let end = Instant::now() + pause;
            while Instant::now() < end {
                if self.signals.wait(end.saturating_duration_since(Instant::now())) == Asked::Stop {
                    return Ok(());
                }
                if self.signals.looks() {
                    pauses.reset();
                    break;
                }
            }
        }
        Ok(())
    }

    /// From the start of the program to its end.
    fn once(&mut self, text: &str) -> Result<End, Failure> {
        self.tell(false, None)?;
        let mut child = self.start(text)?;
        self.state.pid = Some(child.id());
        let started = Instant::now() + STARTED;
        let mut running = false;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let when = if running { "ended" } else { "ended at its start" };
                return Ok(End::Ended(format!("{when}: {status}")));
            }
            if !running && Instant::now() >= started {
                running = true;
                self.tell(true, None)?;
                unit::ready();
            }
            if self.signals.looks() && self.of.text()?.as_deref() != Some(text) {
                stop(&mut child);
                return Ok(End::Changed);
            }
            let left = started.saturating_duration_since(Instant::now());
            if self.signals.wait(if running { LOOK } else { left }) == Asked::Stop {
                stop(&mut child);
                return Ok(End::Asked);
            }
        }
    }

    fn start(&self, text: &str) -> Result<Child, Failure> {
        let wrong = || Failure::new(Kind::Data, "host.service", "the definition of the service is damaged");
        let definition: Definition = serde_json::from_str(text).map_err(|_| wrong())?;
        let (first, more) = definition.argv.split_first().ok_or_else(wrong)?;
        let (name, value) = self.of.mark();
        let program = Program::bare(first).args(more).env(name, &value).without("NOTIFY_SOCKET");
        let mut child = program.start(Stdio::null(), Stdio::piped(), Stdio::piped())?;
        child.stdout.take().map(|pipe| self.log.pump("stdout", pipe));
        child.stderr.take().map(|pipe| self.log.pump("stderr", pipe));
        Ok(child)
    }

    /// Records the state; a reader sees the old or the new one.
    fn tell(&mut self, running: bool, why: Option<String>) -> Result<(), Failure> {
        (self.state.running, self.state.why) = (running, why);
        if !running {
            self.state.pid = None;
        }
        let text = document::canonical(&self.state)?;
        file::write(&self.of.service().state, &text, Mode::Private).map(|_| ())
    }
}

fn stop(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if !wait::until(END, STEP, || !matches!(child.try_wait(), Ok(None))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}
