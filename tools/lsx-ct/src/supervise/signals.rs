//! The signals of a supervisor, as something to wait for: SIGTERM asks it to stop, SIGHUP to look again at what its instance is,
//! SIGCHLD says that somebody ended. They are
//! handled, not blocked: what is blocked stays so in the programs that one starts (sigprocmask(2)).

use common::{Failure, Kind};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Stop the instance.
    Stop,
    /// Look again at what the instance is; told by who asks [`Signals::looks`].
    Look,
    /// A process ended, or something else woke it.
    Child,
    /// The time is over.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
    look: Arc<AtomicBool>,
}

impl Signals {
    /// From here on they wake whoever waits.
    pub(super) fn hold() -> Result<Signals, Failure> {
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
        held().map_err(|e| Failure::new(Kind::Failed, "ct.supervise", format!("cannot hold signals: {e}")))
    }

    /// Whether somebody asked to look again since this was asked last.
    pub(super) fn looks(&self) -> bool {
        self.look.swap(false, Ordering::Relaxed)
    }

    /// The next one, or that the time is over. Once asked to stop, it says so every time.
    pub(super) fn wait(&mut self, time: Duration) -> Asked {
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

    /// While stopping: until somebody ends, or the time is over.
    pub(super) fn wait_for_child(&mut self, time: Duration) {
        let _ = self.wake.set_read_timeout(Some(time.max(Duration::from_millis(1))));
        let _ = self.wake.read(&mut [0; 64]);
    }
}
