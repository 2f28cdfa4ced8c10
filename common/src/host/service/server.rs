//! A server of lsx in the router of a stack: a supervisor that opens its sockets, and a worker that serves on them.
//!
//! A new configuration is a hand-over: the next worker starts on the same sockets, and the former one ends when it has
//! answered what it has read; no query is lost. A worker that was killed is started again on the same sockets. A supervisor
//! that was killed leaves its worker serving, and the next one takes over the sockets from it.

mod supervisor;

pub use supervisor::run;

use super::{Service, log, unit};
use crate::failure::Failure;
use crate::host::{file, process, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limit for a supervisor to end, and the interval of checks.
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);
/// The first user of workers: a range without names, between those that systems give to people and to containers.
const USERS: u32 = 0x6c73_0000;

/// The state of a server that serves.
const RUNNING: &str = "running";

/// The places of one server of a stack on this host.
#[derive(Clone, Debug)]
pub struct Server {
    /// The tool: `dns`.
    pub tool: &'static str,
    /// The program: `lsx-dns`.
    pub program: &'static str,
    /// The stack, whose name has been validated.
    pub stack: String,
}

/// What a supervisor records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Its process.
    pub supervisor: i32,
    /// The worker that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// `starting`, `running` or `restarting`.
    pub state: String,
    /// Why it does not run, or has not loaded the last configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How often a worker was started after one that had ended.
    pub restarts: u32,
    /// How often a worker took over from another.
    pub handovers: u32,
    /// Digest of the configuration that the worker has loaded.
    pub loaded: String,
    /// Digest of the last configuration that could not be loaded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refused: String,
    /// What the worker has counted, as the tool defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<serde_json::Value>,
}

impl Server {
    /// Run-time files, which only root can enter: `/run/lsx/STACK/TOOL`.
    pub fn folder(&self) -> PathBuf {
        Path::new("/run/lsx").join(&self.stack).join(self.tool)
    }

    /// The folder of the log: `/var/lib/lsx/TOOL/STACK`.
    pub fn disk(&self) -> PathBuf {
        Path::new("/var/lib/lsx").join(self.tool).join(&self.stack)
    }

    /// The configuration: a JSON object, with the addresses of its sockets as `listen`.
    pub fn config(&self) -> PathBuf {
        self.folder().join("config.json")
    }

    /// The socket on which a worker without a supervisor waits for the next one.
    fn next(&self) -> PathBuf {
        self.folder().join("next")
    }

    /// The network namespace.
    fn space(&self) -> String {
        format!("lsx-{}", self.stack)
    }

    /// The user of its workers.
    pub fn user(&self) -> u32 {
        let digest = crate::document::digest(format!("{}/{}", self.stack, self.tool).as_bytes());
        USERS + u32::from_str_radix(&digest[..4], 16).unwrap_or_default()
    }

    /// The arguments of its workers.
    fn arguments(&self) -> [&str; 3] {
        ["serve", "--worker", &self.stack]
    }

    /// The supervisor.
    pub fn service(&self) -> Service {
        let (stack, tool, folder) = (&self.stack, self.tool, self.folder());
        Service {
            name: "server".to_owned(),
            tool,
            state: folder.join("state.json"),
            root: folder,
            unit: format!("lsx-{stack}.{tool}"),
            about: format!("{tool} server of stack {stack}"),
        }
    }

    /// What its supervisor has recorded.
    pub fn state(&self) -> Option<State> {
        let text = file::read(&self.service().state).ok()??;
        serde_json::from_str(&text).ok()
    }

    /// Whether something of it is on this host.
    pub fn exists(&self) -> bool {
        self.folder().exists() || self.disk().exists()
    }

    /// The digest of the configuration that a supervised worker serves in the router; `None` when there is none.
    pub fn serves(&self) -> Option<String> {
        let state = self.state().filter(|state| state.state == RUNNING)?;
        let home = identity(&Path::new("/run/netns").join(self.space()))?;
        let there = identity(Path::new(&format!("/proc/{}/ns/net", state.pid?)))?;
        (self.service().alive() && home == there).then_some(state.loaded)
    }

    /// Makes its folders.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn make(&self) -> Result<(), Failure> {
        for folder in [self.folder(), self.disk()] {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|e| file::failure(&folder, "make", &e))?;
            let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            let closed = std::fs::set_permissions(&folder, closed);
            closed.map_err(|e| file::failure(&folder, "close", &e))?;
        }
        Ok(())
    }

    /// Its workers, also those without a supervisor and those in a router that was replaced.
    pub fn processes(&self) -> Vec<i32> {
        process::by_line(process::moved_by_root, |process, words| {
            let ours = words.len() == 4 && words[1..] == self.arguments();
            ours.then_some(process)
        })
    }

    /// The last lines of its log.
    pub fn last(&self) -> Vec<String> {
        log::tail(&self.disk(), super::LAST)
    }

    /// Ends supervisor and workers, and removes all of their files.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        let service = self.service();
        if service.signal(Signal::SIGTERM) {
            wait::until(END, STEP, || !service.alive());
        }
        service.signal(Signal::SIGKILL);
        unit::end(&service.unit);
        self.kill();
        service.unlock()?;
        for tree in [self.folder(), self.disk()] {
            file::remove_tree(&tree)?;
            tree.ancestors().skip(1).take(2).for_each(file::remove_empty);
        }
        Ok(())
    }

    /// Kills what is left of its workers.
    fn kill(&self) {
        wait::until(END, STEP, || {
            let left = self.processes();
            left.iter().for_each(|process| _ = kill(Pid::from_raw(*process), Signal::SIGKILL));
            left.is_empty()
        });
    }
}

/// Device and inode of a namespace.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|m| (m.dev(), m.ino()))
}
