//! The supervisor's loop.

use super::certificates::Certificates;
use super::{Home, RUNNING, State, haproxy};
use crate::model::router;
use crate::netlink::namespace;
use crate::observe::io_failure;
use crate::render::certificates::without;
use common::host::file::{self, Mode};
use common::host::service::log::Log;
use common::host::service::signals::{Asked, Signals};
use common::host::service::{Pauses, unit};
use common::host::wait;
use common::{Failure, Kind, document};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the supervisor looks whether the router was replaced.
const LOOK: Duration = Duration::from_secs(1);
/// Time limit for the server to answer after its start, and the interval of checks.
const BEGIN: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);
/// Time limit for the server to end.
const END: Duration = Duration::from_secs(10);

/// How a run of the server ended.
enum End {
    /// On request.
    Asked,
    /// By itself, or because the router was replaced.
    Ended(String),
}

struct Supervisor {
    home: Home,
    log: Arc<Log>,
    signals: Signals,
    state: State,
    /// The wanted configuration.
    wanted: String,
    certificates: Certificates,
    pumps: Vec<JoinHandle<()>>,
}

/// The verb `supervise`: runs until SIGTERM.
///
/// # Errors
/// If another supervisor runs, or its files cannot be written.
pub(crate) fn run(stack: &str) -> Result<(), Failure> {
    let _ = nix::unistd::setsid();
    let home = Home::new(stack);
    home.make()?;
    let _lock = home.service().take_lock()?;
    let state = State { supervisor: nix::unistd::getpid().as_raw(), ..State::default() };
    let log = Log::new(&home.disk);
    let mut me = Supervisor {
        home,
        log,
        signals: Signals::hold()?,
        state,
        wanted: String::new(),
        certificates: Certificates::default(),
        pumps: Vec::new(),
    };
    me.tell("starting", None)?;
    me.keep()
}

impl Supervisor {
    /// Runs the server again and again.
    fn keep(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        loop {
            pauses.begin();
            let why = match self.once() {
                Ok(End::Asked) => return Ok(()),
                Ok(End::Ended(why)) => why,
                Err(failure) => failure.to_string(),
            };
            self.state.pid = None;
            self.state.restarts += 1;
            let pause = pauses.after();
            let why = format!("{why}; restarting in {} ms", pause.as_millis());
            self.log.say(&why);
            self.tell("restarting", Some(why))?;
            match self.pause(pause) {
                Asked::Stop => return Ok(()),
                Asked::Look => pauses.reset(),
                _ => {}
            }
        }
    }

    fn pause(&mut self, time: Duration) -> Asked {
        let end = std::time::Instant::now() + time;
        loop {
            let asked = self.signals.wait(end.saturating_duration_since(std::time::Instant::now()));
            if asked == Asked::Child && self.signals.looks() {
                return Asked::Look;
            }
            if asked != Asked::Child {
                return asked;
            }
        }
    }

    /// From the start of the server to its end.
    fn once(&mut self) -> Result<End, Failure> {
        self.read()?;
        let left = self.home.processes();
        let over = !left.is_empty() && self.home.loaded().is_some() && self.home.at_home();
        if !over {
            self.home.kill();
        }
        let mut child = self.start(over)?;
        self.state.pid = Some(child.id());
        let mut ended = None;
        let answers = wait::until(BEGIN, STEP, || {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || self.signals.wait(Duration::ZERO) == Asked::Stop || self.serves(&left)
        });
        if let Some(status) = ended {
            return Ok(End::Ended(format!("HAProxy ended at its start: {status}")));
        }
        if !answers {
            self.stop(&mut child);
            return Ok(End::Ended("HAProxy did not answer after its start".to_owned()));
        }
        // An earlier server ends by itself when its last connection does.
        let masters = left.iter().filter(|pid| parent(**pid).is_none_or(|parent| !left.contains(&parent)));
        masters.for_each(|pid| signal(*pid, Signal::SIGUSR1));
        self.tell(RUNNING, None)?;
        unit::ready();
        Ok(self.watch(&mut child))
    }

    /// Reads the wanted configuration, and writes the one for the server.
    fn read(&mut self) -> Result<(), Failure> {
        let wanted = file::read(&self.home.wanted())?;
        self.wanted = wanted.ok_or_else(|| {
            let message = format!("{} is missing", self.home.wanted().display());
            Failure::new(Kind::Failed, "net.balance", message)
                .hint("run `lsx-net up` with the stack's document")
        })?;
        self.prepare().map(|_| ())
    }

    /// Writes the configuration for the server, with the certificates that can be used. Returns whether it has to be loaded.
    fn prepare(&mut self) -> Result<bool, Failure> {
        let (changed, news) = self.certificates.take(&self.home, &self.wanted)?;
        let text = without(&self.wanted, &self.certificates.lacking());
        let written = file::write(&self.home.config(), text.as_bytes(), Mode::Private)?;
        news.iter().for_each(|line| self.log.say(line));
        let states = self.certificates.states();
        if self.state.certificates != states {
            self.state.certificates = states;
            self.tell(&self.state.state.clone(), self.state.why.clone())?;
        }
        Ok(changed || written)
    }

    /// Whether the server has to load its configuration again: on request, or because a certificate has changed.
    fn reads(&mut self) -> bool {
        let asked = self.signals.looks();
        let read = if asked { self.read().map(|()| true) } else { self.prepare() };
        read.unwrap_or_else(|failure| {
            self.log.say(&failure.to_string());
            false
        })
    }

    /// Whether a worker that was not there before answers.
    fn serves(&self, left: &[u32]) -> bool {
        let pid = haproxy::pid(&self.home.stats());
        pid.is_some_and(|pid| !left.contains(&pid))
    }

    /// Starts the server in the router.
    fn start(&mut self, over: bool) -> Result<Child, Failure> {
        let name = router(&self.home.stack);
        let space = namespace::open(namespace::NamespaceRef::Name(&name))
            .map_err(|e| io_failure(&format!("open the router {name}"), &e))?;
        let socket = self.home.stats();
        let program =
            haproxy::program(&self.home.folder, &self.home.config(), over.then_some(socket.as_path()));
        let start = || program.start(Stdio::null(), Stdio::piped(), Stdio::piped());
        let mut child =
            namespace::inside(space.as_fd(), start).map_err(|e| io_failure("enter the router", &e))??;
        self.pumps.retain(|pump| !pump.is_finished());
        self.pumps.extend(child.stdout.take().map(|pipe| self.log.pump("stdout", pipe)));
        self.pumps.extend(child.stderr.take().map(|pipe| self.log.pump("stderr", pipe)));
        Ok(child)
    }

    /// Until it ends, passing on requests to load the configuration again.
    fn watch(&mut self, child: &mut Child) -> End {
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return End::Ended(format!("HAProxy ended: {status}")),
                Err(e) => return End::Ended(format!("HAProxy cannot be waited for: {e}")),
                Ok(None) => {}
            }
            if self.reads() {
                signal(child.id(), Signal::SIGUSR2);
            }
            if !self.home.at_home() && child.try_wait().is_ok_and(|status| status.is_none()) {
                self.stop(child);
                return End::Ended("the router was replaced".to_owned());
            }
            if self.signals.wait(LOOK) == Asked::Stop {
                self.stop(child);
                self.home.kill();
                return End::Asked;
            }
        }
    }

    fn stop(&self, child: &mut Child) {
        signal(child.id(), Signal::SIGTERM);
        if !wait::until(END, STEP, || !matches!(child.try_wait(), Ok(None))) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Records the state; a reader sees the old or the new one.
    fn tell(&mut self, state: &str, why: Option<String>) -> Result<(), Failure> {
        state.clone_into(&mut self.state.state);
        self.state.why = why;
        let text = document::canonical(&self.state)?;
        file::write(&self.home.service().state, &text, Mode::Private).map(|_| ())
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The parent of a process (proc(5)).
fn parent(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}
