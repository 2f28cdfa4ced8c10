//! What versions before 2026-11-26 left: a supervisor of their own, with its files in other places. It is replaced at the next change, and
//! removed with the stack.

use super::{BALANCE, Home};
use common::Failure;
use common::host::service::{Service, unit};
use common::host::{file, process, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limit for them to end, and the interval of checks.
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

impl Home {
    fn earlier(&self) -> Service {
        Service {
            name: BALANCE.to_owned(),
            tool: "net",
            root: self.folder.clone(),
            state: self.folder.join("state.json"),
            unit: format!("lsx-{}.net.{BALANCE}", self.stack),
            about: String::new(),
        }
    }

    /// The folder of the log.
    fn earlier_log(&self) -> PathBuf {
        Path::new("/var/lib/lsx/net").join(&self.stack).join(BALANCE)
    }

    /// Whether there is anything of them.
    pub(super) fn earlier_exists(&self) -> bool {
        self.earlier().state.exists() || self.earlier_log().exists()
    }

    /// Ends supervisor and server, and removes what only they use.
    ///
    /// # Errors
    /// What could not be removed.
    pub(crate) fn end_earlier(&self) -> Result<(), Failure> {
        if !self.earlier_exists() {
            return Ok(());
        }
        let service = self.earlier();
        if service.signal(Signal::SIGTERM) {
            wait::until(END, STEP, || !service.alive());
        }
        service.signal(Signal::SIGKILL);
        unit::end(&service.unit);
        wait::until(END, STEP, || {
            let left = self.earlier_processes();
            left.iter().for_each(|pid| _ = kill(Pid::from_raw(*pid), Signal::SIGKILL));
            left.is_empty()
        });
        service.unlock()?;
        file::remove(&service.state)?;
        file::remove_tree(&self.earlier_log())?;
        self.earlier_log().ancestors().skip(1).take(2).for_each(file::remove_empty);
        Ok(())
    }

    /// Whether a process in the router is the server, or one that they left.
    pub(crate) fn has(&self, process: i32) -> bool {
        let earlier = || {
            let line = process::words(process).unwrap_or_default();
            process::moved_by_root(process) && self.is_earlier(&line.split('\0').collect::<Vec<_>>())
        };
        self.service().has(process) || earlier()
    }

    /// Processes of HAProxy with this configuration, in this router or one that was replaced.
    fn earlier_processes(&self) -> Vec<i32> {
        process::by_line(process::moved_by_root, |process, words| self.is_earlier(words).then_some(process))
    }

    fn is_earlier(&self, words: &[&str]) -> bool {
        let config = self.config().to_string_lossy().into_owned();
        let named = words.first().is_some_and(|name| name.ends_with("haproxy"));
        named && words[1..].contains(&config.as_str())
    }
}
