//! The supervisor of a service that the engine keeps: one loop, for programs and for the tool's own servers.
//!
//! What ends is started again, after a pause. Another definition of a program ends it first. That of a server is a hand-over: the
//! next worker starts on the same sockets, and the former one ends when it has answered what it has read; no query is lost. A
//! supervisor that was killed leaves its worker serving, and the next one takes over the sockets from it.

mod child;
mod files;
mod program;
mod server;

use super::kept::{KeptService, State, identity};
use super::log::Log;
use super::signals::{Asked, Signals};
use super::sockets::Pair;
use super::tend::Tend;
use super::{Pauses, unit};
use crate::document;
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::namespace::{self, NamespaceRef};
use crate::plan::{Definition, Runs};
use child::Child;
use program::Loaded;
use serde::de::IgnoredAny;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it looks for a file that it waits for.
const WAIT: Duration = Duration::from_secs(1);
/// How often the supervisor looks at the process and the router, if no signal says that something ended.
const LOOK: Duration = Duration::from_millis(500);
/// Time limit for a worker to load its definition, and the interval of checks.
const BEGIN: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);
/// Time limit for a former worker to answer what it has read.
const DRAIN: Duration = Duration::from_secs(30);

struct Supervisor {
    of: KeptService,
    log: Arc<Log>,
    signals: Signals,
    state: State,
    /// Where a worker without a supervisor waits for the next one.
    next: UnixListener,
    pairs: Vec<Pair>,
    /// The router of process and sockets; none for the host itself.
    home: Option<(u64, u64)>,
    child: Option<Child>,
    /// What the tool does for its program.
    tend: Option<Box<dyn Tend>>,
    /// The program that runs.
    program: Option<Loaded>,
    /// The folder that the worker sees.
    seen: Option<(String, Option<(u64, u64)>)>,
    /// What was logged last about files that cannot be prepared.
    said: String,
    /// Former workers, with their time limit.
    drained: Vec<(Child, Instant)>,
}

/// Supervises a service until SIGTERM, or until its definition is gone.
///
/// # Errors
/// If another supervisor runs, or its files cannot be written.
pub fn run(of: KeptService, tend: Option<Box<dyn Tend>>) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    of.make()?;
    let _lock = of.service().take_lock()?;
    let (log, signals) = (Log::new(&of.disk()), Signals::hold()?);
    let (child, pairs) = child::adopt(&of).map_or((None, Vec::new()), |(child, pairs)| (Some(child), pairs));
    file::remove(&of.next())?;
    let next = UnixListener::bind(of.next()).map_err(|e| file::failure(&of.next(), "make", &e))?;
    let home = child.as_ref().and_then(|child| identity(Path::new(&child.space())));
    let home = home.filter(|home| identity(Path::new("/proc/self/ns/net")) != Some(*home));
    let state = State { supervisor: nix::unistd::getpid().as_raw(), ..State::default() };
    let (program, seen, said, drained) = (None, None, String::new(), Vec::new());
    let mut me =
        Supervisor { of, log, signals, state, next, pairs, home, child, tend, program, seen, said, drained };
    me.tell(false, None)?;
    let ended = me.keep();
    me.child.iter_mut().chain(me.drained.iter_mut().map(|(child, _)| child)).for_each(Child::stop);
    me.of.clear();
    ended
}

impl Supervisor {
    fn keep(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        // When the definition is to be loaded; none if it is.
        let mut due = Some(Instant::now());
        loop {
            let left = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
            if self.signals.wait(left) == Asked::Stop {
                return Ok(());
            }
            self.drained.retain_mut(|(child, end)| !child.ended() && (Instant::now() < *end || child.kill()));
            if self.signals.looks() {
                pauses.reset();
                due = Some(Instant::now());
            }
            if let Some(why) = self.lost() {
                self.state.restarts += 1;
                due = Some(self.fails(&why, &mut pauses)?);
            }
            self.note_counts()?;
            due = self.looked(due);
            if due.is_none_or(|due| Instant::now() < due) {
                continue;
            }
            let Some(text) = self.of.text()? else { return Ok(()) };
            pauses.begin();
            let loaded = self.load(&text);
            due = match loaded {
                Ok(()) => self.state.waits.then(|| Instant::now() + WAIT),
                Err(failure) if self.child.is_some() => {
                    self.log.say(&failure.to_string());
                    self.tell(true, Some(failure.to_string()))?;
                    None
                }
                Err(failure) => Some(self.fails(&failure.to_string(), &mut pauses)?),
            };
        }
    }

    /// Records why nothing runs; returns when it is to be started again.
    fn fails(&mut self, why: &str, pauses: &mut Pauses) -> Result<Instant, Failure> {
        let pause = pauses.after();
        let why = format!("{why}; restarting in {} ms", pause.as_millis());
        self.log.say(&why);
        self.tell(false, Some(why))?;
        Ok(Instant::now() + pause)
    }

    /// Records what the worker has counted.
    fn note_counts(&mut self) -> Result<(), Failure> {
        let counts = self.child.as_mut().and_then(Child::counts);
        let counts = counts.or_else(|| self.tend.as_ref()?.facts());
        if counts.is_none() || counts == self.state.counts {
            return Ok(());
        }
        self.state.counts = counts;
        self.record()
    }

    /// Why the process no longer runs where it should; it is ended then.
    fn lost(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        let why = if self.state.router && self.of.router().1 != self.home {
            "the router was replaced".to_owned()
        } else if child.ended() {
            format!("ended: {}", child.status())
        } else if let Some((path, _)) =
            self.seen.as_ref().filter(|(path, there)| identity(Path::new(path)) != *there)
        {
            format!("{path} was replaced")
        } else if !child.beats() {
            "does not answer".to_owned()
        } else {
            return None;
        };
        child.stop();
        self.child = None;
        Some(why)
    }

    /// Loads the present definition, unless it is what runs.
    fn load(&mut self, text: &str) -> Result<(), Failure> {
        let digest = document::digest(text.as_bytes());
        let mut waits = None;
        if self.child.is_none() || self.state.loaded != digest {
            let again = self.state.waits && self.state.loaded == digest;
            self.state.tries += u32::from(!again);
            match self.start(text, &digest) {
                Ok(missing) => waits = missing,
                Err(failure) => {
                    (self.state.refused, self.state.waits) = (digest, false);
                    return Err(failure);
                }
            }
        }
        self.state.waits = waits.is_some();
        (self.state.loaded, self.state.refused) = (digest, String::new());
        self.tell(!self.state.waits, waits)?;
        unit::ready();
        Ok(())
    }

    /// Starts the process; a former one ends before or after that. Returns what it waits for instead.
    fn start(&mut self, text: &str, digest: &str) -> Result<Option<String>, Failure> {
        let path = self.of.definition();
        let wrong =
            |e| Failure::new(Kind::Data, "host.service", format!("{} is damaged: {e}", path.display()));
        let (definition, _) = Definition::read::<IgnoredAny>(text.as_bytes()).map_err(wrong)?;
        let space = self.enter(definition.router)?;
        let waits = match &definition.runs {
            Runs::Program(program) => self.run_program(&definition, program, &space)?,
            Runs::Server { listen, .. } => self.run_worker(&definition, listen, digest, &space)?,
        };
        (self.state.router, self.state.handover) = (definition.router, definition.hands_over());
        self.state.start = definition.start();
        Ok(waits)
    }

    /// The network namespace of the definition. What runs in another one is ended, and its sockets are closed.
    fn enter(&mut self, router: bool) -> Result<OwnedFd, Failure> {
        let (name, home) = self.of.router();
        let space = if router { namespace::open(NamespaceRef::Name(&name)) } else { namespace::own() };
        let space = space.map_err(|e| {
            failed(&format!("enter the router {name}"), &e).hint("lsx-net makes the router: run lsx-net up")
        })?;
        let home = home.filter(|_| router);
        if home != self.home {
            if self.child.is_some() {
                self.end();
            }
            self.pairs.clear();
            self.home = home;
        }
        Ok(space)
    }

    /// Ends the process, and all that it has started.
    fn end(&mut self) {
        self.child.take().iter_mut().for_each(Child::stop);
        self.program = None;
        self.of.clear();
    }

    /// Records the state; a reader sees the old or the new one.
    fn tell(&mut self, running: bool, why: Option<String>) -> Result<(), Failure> {
        (self.state.running, self.state.why) = (running, why);
        self.state.pid = self.child.as_ref().map(Child::pid);
        if self.child.is_none() && !self.state.waits {
            self.state.loaded.clear();
        }
        self.state.counts = self.tend.as_ref().and_then(|tend| tend.facts()).or(self.state.counts.take());
        self.record()
    }

    fn record(&self) -> Result<(), Failure> {
        let text = document::canonical(&self.state)?;
        file::write(&self.of.service().state, &text, Mode::Private).map(|_| ())
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, "host.service", format!("cannot {what}: {error}"))
}
