//! The supervisor's loop.

mod child;

use super::{RUNNING, STEP, Server, State, identity};
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::namespace::{self, NamespaceRef};
use crate::host::service::log::Log;
use crate::host::service::signals::{Asked, Signals};
use crate::host::service::sockets::Pair;
use crate::host::service::{OpenProgram, Pauses, unit};
use crate::{document, host::wait};
use child::Child;
use serde::Deserialize;
use std::fs::File;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the supervisor looks at the worker and the router.
const LOOK: Duration = Duration::from_millis(500);
/// Time limit for a worker to load its configuration.
const BEGIN: Duration = Duration::from_secs(60);
/// Time limit for a former worker to answer what it has read.
const DRAIN: Duration = Duration::from_secs(30);

/// The part of a configuration that the supervisor reads.
#[derive(Deserialize)]
struct Listens {
    listen: Vec<SocketAddrV4>,
}

struct Supervisor {
    server: Server,
    /// The program, held open: an upgrade may remove its file.
    program: OpenProgram,
    log: Arc<Log>,
    signals: Signals,
    state: State,
    /// Where a worker without a supervisor waits for the next one.
    next: UnixListener,
    pairs: Vec<Pair>,
    /// The namespace of the sockets.
    home: Option<(u64, u64)>,
    worker: Option<Child>,
    /// Former workers, with their time limit.
    drained: Vec<(Child, Instant)>,
}

/// Supervises until SIGTERM.
///
/// # Errors
/// If another supervisor runs, or its files cannot be written.
pub fn run(server: Server) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    server.make()?;
    let _lock = server.service().take_lock()?;
    let log = Log::new(&server.disk());
    let state = State { supervisor: nix::unistd::getpid().as_raw(), ..State::default() };
    let (program, signals) = (OpenProgram::open(server.program)?, Signals::hold()?);
    let (adopted, pairs) = child::adopt(&server).map_or((None, Vec::new()), |(a, p)| (Some(a), p));
    file::remove(&server.next())?;
    let next = UnixListener::bind(server.next()).map_err(|e| file::failure(&server.next(), "make", &e))?;
    let home = adopted.as_ref().and_then(|worker| identity(Path::new(&worker.space())));
    let drained = Vec::new();
    let mut me =
        Supervisor { server, program, log, signals, state, next, pairs, home, worker: adopted, drained };
    if me.worker.is_none() {
        me.server.kill();
    }
    me.tell("starting", None)?;
    me.keep()
}

impl Supervisor {
    fn keep(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        let mut wait = Duration::ZERO;
        let mut again = true;
        loop {
            if self.signals.wait(wait) == Asked::Stop {
                self.end();
                return Ok(());
            }
            wait = LOOK;
            self.drained
                .retain_mut(|(worker, end)| !worker.ended() && (Instant::now() < *end || worker.kill()));
            if self.signals.looks() {
                pauses.reset();
                again = true;
            }
            let why = self.lost();
            if let Some(why) = &why {
                self.state.restarts += 1;
                self.log.say(why);
                again = true;
            }
            self.note_counts()?;
            if !again {
                continue;
            }
            pauses.begin();
            match self.hand_over() {
                Ok(()) => again = false,
                Err(failure) if self.worker.is_some() => {
                    self.log.say(&failure.to_string());
                    self.tell(RUNNING, Some(failure.to_string()))?;
                    again = false;
                }
                Err(failure) => {
                    wait = pauses.after();
                    let why = format!("{failure}; trying again in {} ms", wait.as_millis());
                    self.log.say(&why);
                    self.tell("restarting", Some(why))?;
                }
            }
        }
    }

    /// Records what the worker has counted.
    fn note_counts(&mut self) -> Result<(), Failure> {
        let counts = self.worker.as_mut().and_then(Child::counts);
        if counts.is_none() || counts == self.state.counts {
            return Ok(());
        }
        self.state.counts = counts;
        self.record()
    }

    /// Why there is no longer a worker that serves in the router.
    fn lost(&mut self) -> Option<String> {
        let worker = self.worker.as_mut()?;
        let home = identity(&Path::new("/run/netns").join(self.server.space()));
        let why = if home != self.home {
            "the router was replaced".to_owned()
        } else if worker.ended() {
            format!("the worker ended: {}", worker.status())
        } else if !worker.beats() {
            "the worker does not answer".to_owned()
        } else {
            return None;
        };
        worker.kill();
        self.worker = None;
        (self.state.pid, self.state.loaded) = (None, String::new());
        Some(why)
    }

    /// Starts a worker with the present configuration, and ends the former one when it serves.
    fn hand_over(&mut self) -> Result<(), Failure> {
        let text = file::read(&self.server.config())?.unwrap_or_default();
        let digest = document::digest(text.as_bytes());
        let made = self.start(&text, &digest);
        if let Err(failure) = made {
            self.state.refused = digest;
            return Err(failure);
        }
        self.state.refused = String::new();
        self.state.loaded = digest;
        self.state.counts = None; // Another worker counts from zero.
        self.tell(RUNNING, None)?;
        unit::ready();
        Ok(())
    }

    fn start(&mut self, text: &str, digest: &str) -> Result<(), Failure> {
        let wrong = |e| {
            let path = self.server.config();
            Failure::new(Kind::Failed, "host.service", format!("{} cannot be read: {e}", path.display()))
        };
        let listens: Listens = serde_json::from_str(text).map_err(wrong)?;
        let space = self.enter()?;
        let mut opened = Vec::new();
        for at in &listens.listen {
            if !self.pairs.iter().any(|pair| pair.at == *at) {
                let pair = Pair::open(space.as_fd(), *at);
                opened.push(pair.map_err(|e| failed(&format!("listen on {at}"), &e))?);
            }
        }
        let config =
            File::open(self.server.config()).map_err(|e| file::failure(&self.server.config(), "open", &e))?;
        let kept = self.pairs.iter().filter(|pair| listens.listen.contains(&pair.at));
        let pairs: Vec<&Pair> = kept.chain(&opened).collect();
        let mut all = vec![config.as_fd(), self.next.as_fd()];
        all.extend(pairs.into_iter().flat_map(|pair| [pair.udp.as_fd(), pair.tcp.as_fd()]));
        let worker = Child::start(&self.server, &self.program, space.as_fd(), &self.log, &all);
        let mut worker = worker?;
        let signals = &mut self.signals;
        let answered =
            wait::until(BEGIN, STEP, || worker.said() || signals.wait(Duration::ZERO) == Asked::Stop);
        if !answered || worker.loaded() != Some(digest) {
            let why = worker.refusal();
            worker.kill();
            return Err(Failure::new(Kind::Failed, "host.service", why));
        }
        self.pairs.retain(|pair| listens.listen.contains(&pair.at));
        self.pairs.extend(opened);
        self.state.pid = worker.pid();
        if let Some(mut former) = self.worker.replace(worker) {
            former.drain();
            self.state.handovers += 1;
            self.drained.push((former, Instant::now() + DRAIN));
        }
        Ok(())
    }

    /// The router's namespace. Sockets of one that was replaced are closed.
    fn enter(&mut self) -> Result<OwnedFd, Failure> {
        let name = self.server.space();
        let space = namespace::open(NamespaceRef::Name(&name)).map_err(|e| {
            failed(&format!("enter the router {name}"), &e).hint("lsx-net makes the router: run lsx-net up")
        })?;
        let home = identity(&Path::new("/run/netns").join(&name));
        if home != self.home {
            self.pairs.clear();
            self.home = home;
            self.worker = None;
            self.server.kill();
        }
        Ok(space)
    }

    fn end(&mut self) {
        for worker in self.worker.iter_mut().chain(self.drained.iter_mut().map(|(worker, _)| worker)) {
            worker.kill();
        }
        self.server.kill();
    }

    /// Records the state; a reader sees the old or the new one.
    fn tell(&mut self, state: &str, why: Option<String>) -> Result<(), Failure> {
        state.clone_into(&mut self.state.state);
        self.state.why = why;
        self.record()
    }

    fn record(&self) -> Result<(), Failure> {
        let text = document::canonical(&self.state)?;
        file::write(&self.server.service().state, &text, Mode::Private).map(|_| ())
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, "host.service", format!("cannot {what}: {error}"))
}
