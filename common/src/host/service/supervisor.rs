//! The supervisor of a service that the engine keeps: one loop, for programs and for the tool's own servers.
//!
//! What ends is started again, after a pause. Another definition of a program ends it first. That of a server is a hand-over: the
//! next worker starts on the same sockets, and the former one ends when it has answered what it has read; no query is lost. A
//! supervisor that was killed leaves its worker serving, and the next one takes over the sockets from it.

mod child;

use super::kept::{KeptService, State, identity};
use super::log::Log;
use super::signals::{Asked, Signals};
use super::sockets::Pair;
use super::{Pauses, holder, unit};
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::namespace::{self, NamespaceRef};
use crate::plan::{Definition, Runs};
use crate::{document, host::wait};
use child::Child;
use std::fs::File;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Former workers, with their time limit.
    drained: Vec<(Child, Instant)>,
}

/// Supervises a service until SIGTERM, or until its definition is gone.
///
/// # Errors
/// If another supervisor runs, or its files cannot be written.
pub fn run(of: KeptService) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    of.make()?;
    let _lock = of.service().take_lock()?;
    let (log, signals) = (Log::new(&of.disk()), Signals::hold()?);
    let (child, pairs) = child::adopt(&of).map_or((None, Vec::new()), |(child, pairs)| (Some(child), pairs));
    file::remove(&of.next())?;
    let next = UnixListener::bind(of.next()).map_err(|e| file::failure(&of.next(), "make", &e))?;
    if child.is_none() {
        of.clear();
    }
    let home = child.as_ref().and_then(|child| identity(Path::new(&child.space())));
    let home = home.filter(|home| identity(Path::new("/proc/self/ns/net")) != Some(*home));
    let state = State { supervisor: nix::unistd::getpid().as_raw(), ..State::default() };
    let mut me = Supervisor { of, log, signals, state, next, pairs, home, child, drained: Vec::new() };
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
            if due.is_none_or(|due| Instant::now() < due) {
                continue;
            }
            let Some(text) = self.of.text()? else { return Ok(()) };
            pauses.begin();
            let loaded = self.load(&text);
            due = match loaded {
                Ok(()) => None,
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
        if self.child.is_none() || self.state.loaded != digest {
            self.state.tries += 1;
            if let Err(failure) = self.start(text, &digest) {
                self.state.refused = digest;
                return Err(failure);
            }
        }
        (self.state.loaded, self.state.refused) = (digest, String::new());
        self.tell(true, None)?;
        unit::ready();
        Ok(())
    }

    /// Starts the process; a former one ends before or after that.
    fn start(&mut self, text: &str, digest: &str) -> Result<(), Failure> {
        let path = self.of.definition();
        let wrong =
            |e| Failure::new(Kind::Data, "host.service", format!("{} is damaged: {e}", path.display()));
        let definition: Definition = serde_json::from_str(text).map_err(wrong)?;
        let space = self.enter(definition.router)?;
        let (mut all, mut opened) = (Vec::new(), Vec::new());
        let file = File::open(&path).map_err(|e| file::failure(&path, "open", &e))?;
        if !definition.hands_over() || self.child.as_ref().is_some_and(|child| !child.hands_over()) {
            self.end();
            self.tell(false, None)?;
        }
        match &definition.runs {
            Runs::Argv(_) => self.pairs.clear(),
            Runs::Server { listen, .. } => {
                for at in listen.iter().filter(|at| self.pairs.iter().all(|pair| pair.at != **at)) {
                    let pair = Pair::open(space.as_fd(), *at);
                    opened.push(pair.map_err(|e| taken(space.as_fd(), *at, &e))?);
                }
                let kept = self.pairs.iter().filter(|pair| listen.contains(&pair.at));
                all.extend([file.as_fd(), self.next.as_fd()]);
                all.extend(kept.chain(&opened).flat_map(|pair| [pair.udp.as_fd(), pair.tcp.as_fd()]));
            }
        }
        let mut child = Child::start(&self.of, &definition, space.as_fd(), &self.log, &all)?;
        let signals = &mut self.signals;
        wait::until(BEGIN, STEP, || child.said() || signals.wait(Duration::ZERO) == Asked::Stop);
        if !child.runs(digest) {
            let why = child.refusal();
            child.stop();
            return Err(Failure::new(Kind::Failed, "host.service", why));
        }
        if let Runs::Server { listen, .. } = &definition.runs {
            self.pairs.retain(|pair| listen.contains(&pair.at));
            self.pairs.extend(opened);
        }
        self.state.counts = None; // Another worker counts from zero.
        (self.state.router, self.state.handover) = (definition.router, definition.hands_over());
        if let Some(mut former) = self.child.replace(child) {
            former.drain();
            self.state.handovers += 1;
            self.drained.push((former, Instant::now() + DRAIN));
        }
        Ok(())
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
            self.end();
            self.pairs.clear();
            self.home = home;
        }
        Ok(space)
    }

    /// Ends the process, and all that it has started.
    fn end(&mut self) {
        self.child.take().iter_mut().for_each(Child::stop);
        self.of.clear();
    }

    /// Records the state; a reader sees the old or the new one.
    fn tell(&mut self, running: bool, why: Option<String>) -> Result<(), Failure> {
        (self.state.running, self.state.why) = (running, why);
        self.state.pid = self.child.as_ref().map(Child::pid);
        if self.child.is_none() {
            self.state.loaded.clear();
        }
        self.record()
    }

    fn record(&self) -> Result<(), Failure> {
        let text = document::canonical(&self.state)?;
        file::write(&self.of.service().state, &text, Mode::Private).map(|_| ())
    }
}

/// Why there is no socket; if another program has the port, which one.
fn taken(space: BorrowedFd<'_>, at: SocketAddrV4, error: &std::io::Error) -> Failure {
    let failure = failed(&format!("listen on {at}"), error);
    let taken = error.kind() == std::io::ErrorKind::AddrInUse;
    match taken.then(|| holder::of(space, at)).flatten() {
        // A state has one line.
        Some(holder) => {
            let message = format!("cannot listen on {at}: {}; {}", holder.said(), holder.hint());
            Failure { message, ..failure }
        }
        None => failure,
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, "host.service", format!("cannot {what}: {error}"))
}
