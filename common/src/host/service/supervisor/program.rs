//! A program that is not lsx's: its files, which are checked before they are used, its start, and how it reads them again.

use super::child::Child;
use super::files::Files;
use super::server;
use super::{BEGIN, STEP, Supervisor};
use crate::failure::{Failure, Kind};
use crate::host::service::holder;
use crate::host::service::kept::{KeptService, identity};
use crate::host::service::signals::Asked;
use crate::host::wait;
use crate::plan::{Definition, Program, Reload};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The interval between two commands that say whether a program serves.
const PAUSE: Duration = Duration::from_millis(50);

/// Versions of files: device, inode, time of change, size.
type Stamps = Vec<Option<(u64, u64, i64, i64, u64)>>;

/// A program that runs.
pub(super) struct Loaded {
    definition: Definition,
    program: Program,
    watched: Stamps,
}

impl Supervisor {
    /// Lets a program read its files again, or starts it. Returns what it waits for instead.
    pub(super) fn run_program(
        &mut self,
        definition: &Definition,
        program: &Program,
        space: &OwnedFd,
    ) -> Result<Option<String>, Failure> {
        if let Some(missing) = program.waits.iter().find(|path| !Path::new(path).exists()) {
            return Ok(Some(self.waits_for(missing)));
        }
        let of = self.of.clone();
        let files = Files::of(&of, program);
        files.check(definition, &self.log)?;
        let watched = stamps(program);
        let start = definition.start();
        let former = self.program.take().filter(|_| self.child.is_some());
        match former {
            Some(former) if !start.is_empty() && former.definition.start() == start => {
                if let Err(failure) = self.read_again(&files, &former, space) {
                    self.program = Some(former);
                    return Err(failure);
                }
            }
            _ => self.start_program(definition, &files, space)?,
        }
        let (definition, program) = (definition.clone(), program.clone());
        self.program = Some(Loaded { definition, program, watched });
        Ok(None)
    }

    /// Ends what runs, until a file is there. Returns what is said then.
    pub(super) fn waits_for(&mut self, missing: &str) -> String {
        self.end();
        self.pairs.clear();
        format!("waits for {missing}")
    }

    /// Lets it read other files; if it does not serve with them, the former ones.
    fn read_again(&mut self, files: &Files<'_>, former: &Loaded, space: &OwnedFd) -> Result<(), Failure> {
        files.write(&former.definition, Some(&former.program))?;
        self.prepare()?;
        self.reload(files.program.reload);
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.again();
        let served = self.serves(&mut child, files, &[], space);
        self.child = Some(child);
        if let Err(failure) = served {
            let back = Files::of(files.of, &former.program);
            back.write(&former.definition, Some(files.program))?;
            self.prepare()?;
            self.reload(former.program.reload);
            return Err(failure);
        }
        Ok(())
    }

    /// Starts it. A former one is ended, unless the new one takes over from it.
    fn start_program(
        &mut self,
        definition: &Definition,
        files: &Files<'_>,
        space: &OwnedFd,
    ) -> Result<(), Failure> {
        if self.child.is_some() || self.tend.is_none() {
            self.end();
            self.tell(false, None)?;
        }
        self.pairs.clear();
        files.write(definition, None)?;
        self.prepare()?;
        let mut left = self.of.processes();
        let here = identity(Path::new("/proc/self/ns/net")).filter(|_| !definition.router).or(self.home);
        let there = |process: &i32| identity(Path::new(&format!("/proc/{process}/ns/net"))) == here;
        let more = self.tend.as_ref().filter(|_| !left.is_empty() && left.iter().all(there));
        let more = more.map(|tend| tend.over(&left)).unwrap_or_default();
        if more.is_empty() {
            self.of.clear();
            left.clear();
            let mut listen = files.program.listen.iter();
            if let Some(message) = listen.find_map(|at| server::held(space.as_fd(), *at)) {
                return Err(Failure::new(Kind::Failed, "host.service", message));
            }
        }
        let argv: Vec<String> = files.filled(&files.program.argv).chain(more).collect();
        let mut child = Child::start(&self.of, definition, &argv, space.as_fd(), &self.log, &[])?;
        if let Err(failure) = self.serves(&mut child, files, &left, space) {
            child.stop();
            self.of.clear();
            return Err(failure);
        }
        if let Some(tend) = self.tend.as_ref().filter(|_| !left.is_empty()) {
            tend.relieve(&left);
        }
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it serves.
    fn serves(
        &mut self,
        child: &mut Child,
        files: &Files<'_>,
        left: &[i32],
        space: &OwnedFd,
    ) -> Result<(), Failure> {
        let mut serves = None;
        let Program { ready, listen, .. } = files.program;
        let pause = if ready.is_empty() && listen.is_empty() { STEP } else { PAUSE };
        let has_all = |of: &KeptService| {
            listen.is_empty() || {
                let own = of.processes();
                listen.iter().all(|at| holder::has(space.as_fd(), *at, &own))
            }
        };
        wait::until(BEGIN, pause, || {
            serves = match &self.tend {
                _ if !ready.is_empty() => files.ready(space).then_some(true),
                Some(tend) => tend.serves(left),
                None => child.stays().then_some(true),
            };
            // Somebody else's program may answer in its place.
            serves = serves.filter(|serves| !serves || has_all(&self.of));
            serves.is_some() || child.ended() || self.signals.wait(Duration::ZERO) == Asked::Stop
        });
        let why = match serves {
            _ if child.ended() => format!("ended at its start: {}", child.status()),
            Some(true) => return Ok(()),
            Some(false) => "it did not load its configuration".to_owned(),
            None => "did not answer after its start".to_owned(),
        };
        Err(Failure::new(Kind::Failed, "host.service", why))
    }

    /// At each look: what the tool does for its program, and files that it reads. Returns when the definition is to be loaded.
    pub(super) fn looked(&mut self, due: Option<Instant>) -> Option<Instant> {
        let Some(loaded) = self.program.as_mut().filter(|_| due.is_none()) else { return due };
        let now = stamps(&loaded.program);
        let mut changed = now != loaded.watched;
        loaded.watched = now;
        let reload = loaded.program.reload;
        changed |= self.prepare().unwrap_or_else(|failure| {
            let why = failure.to_string();
            if why != self.said {
                self.log.say(&why);
                self.said = why;
            }
            false
        });
        if changed && reload == Reload::Restart {
            self.end();
            return Some(Instant::now());
        }
        if changed {
            self.reload(reload);
        }
        due
    }

    fn prepare(&mut self) -> Result<bool, Failure> {
        match &mut self.tend {
            Some(tend) => tend.prepare(&self.log),
            None => Ok(false),
        }
    }

    fn reload(&self, how: Reload) {
        let signal = match how {
            Reload::Restart | Reload::Notices => return,
            Reload::Hup => Signal::SIGHUP,
            Reload::Usr1 => Signal::SIGUSR1,
            Reload::Usr2 => Signal::SIGUSR2,
        };
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.pid()).ok());
        pid.map(|pid| kill(Pid::from_raw(pid), signal));
    }
}

fn stamps(program: &Program) -> Stamps {
    let one = |path: &String| {
        let found = Path::new(path).metadata().ok()?;
        Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), found.size()))
    };
    program.watch.iter().map(one).collect()
}
