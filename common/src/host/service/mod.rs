//! Supervisors: a process beside each program that must outlive a session. It starts the program, keeps its log, restarts
//! it, and records its state; with systemd it is a transient unit, else a detached child of init.

mod holder;
pub mod kept;
pub mod log;
mod marks;
mod own;
pub mod places;
pub(crate) mod running;
mod seen;
pub mod signals;
pub mod sockets;
pub mod supervisor;
pub mod tend;
pub mod unit;
pub mod work;
pub mod worker;

use super::{Lock, file, lock, wait};
use crate::failure::{Failure, Kind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Number of lines of a log in a failure.
pub const LAST: usize = 20;
/// Time limit for a new supervisor to take its lock, and the interval of checks. It is long, since a host may be busy; one that
/// ends is noticed at once.
const BEGIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// How long a supervisor retries to take its lock, which a test for a running supervisor holds for an instant.
const TAKE: Duration = Duration::from_secs(1);

/// The place of one supervisor on this host.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, in its folder of locks.
    pub name: String,
    /// The tool: `ct`.
    pub tool: &'static str,
    /// The folder of its lock, in a folder of its stack below /run/lsx: so [`running`] finds it.
    pub root: PathBuf,
    /// The file in which it records its state, with its process as `supervisor`.
    pub state: PathBuf,
    /// The name of its unit of systemd, without `.service`: `lsx-STACK.NAME`. Names of stacks have no dot, so that units
    /// are unique.
    pub unit: String,
    /// What it is, for systemd and [`running`]: `instance web-1 of stack office`.
    pub about: String,
}

#[derive(Deserialize)]
struct Recorded {
    supervisor: i32,
}

impl Service {
    /// Takes its lock.
    ///
    /// # Errors
    /// Kind `Again` while another supervisor runs.
    pub fn take_lock(&self) -> Result<Lock, Failure> {
        let take = || Lock::take_at(&self.root, &self.name, self.tool);
        let mut lock = take();
        wait::until(TAKE, Duration::from_millis(2), || {
            if lock.as_ref().is_err_and(|e| e.kind == Kind::Again) {
                lock = take();
            }
            !lock.as_ref().is_err_and(|e| e.kind == Kind::Again)
        });
        lock.inspect(|lock| lock.says(&self.about))
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join(format!("{}.{}.lock", self.name, self.tool))
    }

    /// Whether a supervisor runs: then nobody can take its lock, not even shared.
    pub fn alive(&self) -> bool {
        lock::held(&self.lock_path())
    }

    /// Removes the lock file of a killed supervisor.
    ///
    /// # Errors
    /// If there is something other than a lock file.
    pub fn unlock(&self) -> Result<(), Failure> {
        lock::odd(&self.lock_path())?;
        if self.lock_path().exists() {
            drop(self.take_lock()); // the file is removed with the lock
        }
        Ok(())
    }

    /// The process of the supervisor, as last recorded.
    pub(crate) fn recorded(&self) -> Option<i32> {
        let text = file::read(&self.state).ok()??;
        Some(serde_json::from_str::<Recorded>(&text).ok()?.supervisor)
    }

    /// Sends a signal to a running supervisor; returns whether there is one.
    pub fn signal(&self, signal: Signal) -> bool {
        let process = self.recorded().filter(|process| *process > 0 && self.alive());
        process.is_some_and(|process| kill(Pid::from_raw(process), signal).is_ok())
    }

    /// Starts a supervisor, which outlives this session; returns after it has recorded a state. Of two started at once, one
    /// takes the lock and the other exits. `hint` says how to find out why it did not start.
    ///
    /// # Errors
    /// If it did not start.
    pub fn begin(&self, argv: &[String], hint: &str) -> Result<(), Failure> {
        self.begin_with(unit::Others::End, argv, hint)
    }

    fn begin_with(&self, others: unit::Others, argv: &[String], hint: &str) -> Result<(), Failure> {
        // The last state of an earlier one must not be taken for the new one's.
        let before = self.recorded();
        lock::odd(&self.lock_path())?;
        let mut begun = unit::begin(&self.unit, &self.about, others, argv);
        let mut over = || match &mut begun {
            Ok(Some(child)) => !matches!(child.try_wait(), Ok(None)),
            Ok(None) => false,
            Err(_) => true,
        };
        wait::until(BEGIN, LOOK, || self.recorded() != before || (over() && !self.alive()));
        if self.recorded() != before {
            return Ok(());
        }
        begun?;
        let message = format!("the supervisor of {} did not start", self.name);
        Err(Failure::new(Kind::Failed, "host.service", message).hint(hint))
    }
}

/// A program that runs longer than this is restarted at once, with the pauses reset.
const GOOD: Duration = Duration::from_secs(10);
/// The first and the longest pause before a restart.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// The pauses between restarts of a program that ends again and again: each is twice the one before.
#[derive(Debug)]
pub struct Pauses {
    next: Duration,
    began: Instant,
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses { next: FIRST, began: Instant::now() }
    }
}

impl Pauses {
    /// The program starts now.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// The pause after it ended.
    pub fn after(&mut self) -> Duration {
        if self.began.elapsed() > GOOD {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (self.next * 2).min(LONGEST);
        pause
    }

    /// Something has changed, so that the next start may succeed.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// A program of the same set on this host: beside this one, or in the newest copy if this one's has been pruned.
pub fn sibling(program: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let own = PathBuf::from(own.to_string_lossy().trim_end_matches(" (deleted)"));
    let beside = own.with_file_name(program);
    if beside.exists() {
        return beside;
    }
    let copies = std::fs::read_dir(crate::fleet::BIN).into_iter().flatten().flatten();
    let mut copies: Vec<_> = copies.map(|e| e.path().join(program)).filter(|p| p.exists()).collect();
    copies.sort_by_key(|p| p.metadata().and_then(|m| m.modified()).ok());
    copies.pop().unwrap_or(beside)
}

/// A program of the same set that is held open, so that it can be started after its file was removed.
#[derive(Debug)]
pub struct OpenProgram(File);

impl OpenProgram {
    /// Opens it; see [`sibling`].
    ///
    /// # Errors
    /// If it is not there.
    pub fn open(program: &str) -> Result<OpenProgram, Failure> {
        let path = sibling(program);
        File::open(&path).map(OpenProgram).map_err(|e| file::failure(&path, "open", &e))
    }

    /// A path by which this process can start it.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_change() {
        let mut pauses = Pauses::default();
        let all: Vec<u128> = (0..11).map(|_| pauses.after().as_millis()).collect();
        assert_eq!(all, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        pauses.reset();
        assert_eq!(pauses.after(), FIRST);
    }
}
