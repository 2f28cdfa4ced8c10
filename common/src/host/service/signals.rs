//! The signals of a supervisor: SIGTERM asks it to stop, SIGHUP to read its definition again, SIGCHLD reports that a child
//! ended. They are handled, not blocked, since a blocked signal stays blocked in started programs (sigprocmask(2)).

use crate::{Failure, Kind};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Stop the program.
    Stop,
    /// Read the definition again; reported by [`Signals::looks`].
    Look,
    /// A process ended, or another event.
    Child,
    /// The time is over.
    Nothing,
}

/// What has arrived, and a pipe that wakes whoever waits.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
    look: Arc<AtomicBool>,
}

impl Signals {
    /// Installs the handlers, which wake any wait.
    ///
    /// # Errors
    /// Errors of the kernel.
    pub fn hold() -> Result<Signals, Failure> {
        let held = || -> io::Result<Signals> {
            let (wake, end) = UnixStream::pair()?;
            let stop = Arc::new(AtomicBool::new(false));
            flag::register(SIGTERM, Arc::clone(&stop))?;
            flag::register(SIGINT, Arc::clone(&stop))?;
            let look = Arc::new(AtomicBool::new(false));
            flag::register(SIGHUP, Arc::clone(&look))?;
            for signal in [SIGTERM, SIGINT, SIGCHLD, SIGHUP] {
                pipe::register(signal, end.try_clone()?)?;
            }
            Ok(Signals { wake, stop, look })
        };
        held().map_err(|e| Failure::new(Kind::Failed, "host.service", format!("cannot hold signals: {e}")))
    }

    /// Whether a reload was requested since the last call.
    pub fn looks(&self) -> bool {
        self.look.swap(false, Ordering::Relaxed)
    }

    /// Waits for the next event or the time. After a request to stop it always returns that.
    pub fn wait(&mut self, time: Duration) -> Asked {
        let asked = |s: &Signals| s.stop.load(Ordering::Relaxed);
        if !asked(self) {
            let _ = self.wake.set_read_timeout(Some(time.max(Duration::from_millis(1))));
            let woken = self.wake.read(&mut [0; 64]).is_ok_and(|n| n > 0);
            if !asked(self) {
                return if woken { Asked::Child } else { Asked::Nothing };
            }
        }
        Asked::Stop
    }

    /// While stopping: waits until a process ends or for the time.
    pub fn wait_for_child(&mut self, time: Duration) {
        let _ = self.wake.set_read_timeout(Some(time.max(Duration::from_millis(1))));
        let _ = self.wake.read(&mut [0; 64]);
    }
}
