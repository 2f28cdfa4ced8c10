//! The server of a stack's load balancers on this host: HAProxy in the router, with a supervisor beside it.
//!
//! The supervisor starts HAProxy in the router's namespace, keeps its log, starts it again when it ends or the router was
//! replaced, and passes on reloads. A reload is HAProxy's own: its master process keeps the sockets that listen. A
//! supervisor that was killed leaves HAProxy serving; the next one takes over its sockets, too.

mod certificates;
mod haproxy;
mod run;

pub(crate) use certificates::{forget_secrets, leaf};
pub(crate) use run::run;

use crate::model::{BALANCE, CertificateState, ReplicaAt, Server, router};
use crate::render;
use common::Failure;
use common::host::service::{Service, log, unit};
use common::host::{file, process, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limit for a supervisor to end its server and itself, and the interval of checks.
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// How long `check` waits for replicas that have just become ready.
const READY: Duration = Duration::from_secs(5);

/// The state of a server that answers.
const RUNNING: &str = "running";

/// What a supervisor records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// Its process.
    supervisor: i32,
    /// The master process of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// `starting`, `running`, `waiting` or `restarting`.
    state: String,
    /// Why it is not running.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// How often the server was started again.
    restarts: u32,
    /// Certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<CertificateState>,
}

/// The places of the server of a stack.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    stack: String,
    /// Run-time files, which only root can enter.
    folder: PathBuf,
    /// The log.
    disk: PathBuf,
}

impl Home {
    /// Those of a stack, whose name has been validated.
    pub(crate) fn new(stack: &str) -> Home {
        Home {
            stack: stack.to_owned(),
            folder: PathBuf::from(render::folder(stack)),
            disk: Path::new("/var/lib/lsx/net").join(stack).join(BALANCE),
        }
    }

    /// The configuration that lsx wants.
    pub(crate) fn wanted(&self) -> PathBuf {
        self.folder.join("wanted.cfg")
    }

    /// The configuration that the server reads: the wanted one, without certificates that cannot be used yet.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("haproxy.cfg")
    }

    /// A configuration that is checked before it is used.
    pub(crate) fn candidate(&self) -> PathBuf {
        self.folder.join("haproxy.new")
    }

    fn stats(&self) -> PathBuf {
        self.folder.join("stats")
    }

    /// The supervisor.
    pub(crate) fn service(&self) -> Service {
        let stack = &self.stack;
        Service {
            name: BALANCE.to_owned(),
            tool: "net",
            root: self.folder.clone(),
            state: self.folder.join("state.json"),
            unit: format!("lsx-{stack}.net.{BALANCE}"),
            about: format!("load balancers of stack {stack}"),
        }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// Errors of the file system.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        for folder in [self.folder.join("root"), self.disk.clone()] {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|e| file::failure(&folder, "make", &e))?;
        }
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&self.folder, closed).map_err(|e| file::failure(&self.folder, "close", &e))
    }

    /// The digest of the configuration that the server has loaded, as it reports itself; `None` when it does not answer.
    pub(crate) fn loaded(&self) -> Option<String> {
        haproxy::loaded(&self.stats())
    }

    /// What the supervisor has recorded.
    fn said(&self) -> Option<State> {
        let text = file::read(&self.service().state).ok().flatten()?;
        serde_json::from_str(&text).ok()
    }

    /// The certificates of the load balancers.
    pub(crate) fn certificates(&self) -> Vec<CertificateState> {
        self.said().map(|said| said.certificates).unwrap_or_default()
    }

    /// Whether a supervisor keeps a server in the router that has loaded this configuration.
    pub(crate) fn serves(&self, config: &str) -> bool {
        let running = self.said().is_some_and(|said| said.state == RUNNING);
        running
            && self.service().alive()
            && self.loaded().is_some_and(|loaded| loaded == config)
            && self.at_home()
    }

    /// How many loads of a configuration have failed since the last good one.
    pub(crate) fn failed(&self) -> Option<u64> {
        haproxy::failed(&self.folder.join("master"))
    }

    /// Whether a process of the server is in the stack's router, and not in one that was replaced.
    fn at_home(&self) -> bool {
        let which = |path: &Path| path.metadata().ok().map(|m| (m.dev(), m.ino()));
        let home = which(&Path::new("/run/netns").join(router(&self.stack)));
        let there = |pid: u32| which(Path::new(&format!("/proc/{pid}/ns/net")));
        home.is_some() && self.processes().into_iter().any(|pid| there(pid) == home)
    }

    /// The processes of the server: those of HAProxy with this configuration, in this router or one that was replaced.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let config = self.config().to_string_lossy().into_owned();
        process::by_line(process::moved_by_root, |process, words| {
            let (name, arguments) = words.split_first()?;
            let ours = name.ends_with("haproxy") && arguments.contains(&config.as_str());
            u32::try_from(process).ok().filter(|_| ours)
        })
    }

    /// What exists on this host; `None` if nothing does.
    pub(crate) fn observed(&self) -> Option<Server> {
        if !self.folder.exists() && !self.disk.exists() {
            return None;
        }
        let loaded = self.loaded();
        // The next run sends a secret that is lost.
        let whole = !self.certificates().iter().any(certificates::lost);
        let running = loaded.is_some() && self.service().alive() && self.at_home() && whole;
        Some(Server { name: BALANCE.to_owned(), config: loaded.unwrap_or_default(), running })
    }

    /// The replicas behind the load balancers; none if the server does not answer.
    pub(crate) fn replicas(&self) -> Vec<ReplicaAt> {
        let replica = |[balancer, instance, state, weight, tested]: [String; 5]| {
            // `UP 1/2` is one that is about to be down.
            let state = match state.split(' ').next().unwrap_or_default().to_lowercase() {
                up if up == "up" && weight == "0" => "drain".to_owned(),
                state => state,
            };
            let why = haproxy::meaning(&tested).filter(|_| state == "down").map(str::to_owned);
            ReplicaAt { stack: self.stack.clone(), balancer, instance, state, why }
        };
        haproxy::servers(&self.stats()).into_iter().map(replica).collect()
    }

    /// The same, once all are ready, or after a while: HAProxy asks one that is not every second.
    pub(crate) fn replicas_ready(&self) -> Vec<ReplicaAt> {
        let mut all = Vec::new();
        wait::until(READY, STEP * 10, || {
            all = self.replicas();
            all.iter().all(|one| one.state == "up" || one.state == "drain")
        });
        all
    }

    /// The last lines of the log.
    pub(crate) fn last(&self) -> Vec<String> {
        log::tail(&self.disk, common::host::service::LAST)
    }

    /// Ends supervisor and server, and removes all of their files.
    ///
    /// # Errors
    /// What could not be removed.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        let service = self.service();
        if service.signal(Signal::SIGTERM) {
            wait::until(END, STEP, || !service.alive());
        }
        service.signal(Signal::SIGKILL);
        unit::end(&service.unit);
        self.kill();
        service.unlock()?;
        for tree in [&self.folder, &self.disk] {
            file::remove_tree(tree)?;
            tree.ancestors().skip(1).take(2).for_each(file::remove_empty);
        }
        Ok(())
    }

    /// Kills what is left of the server.
    fn kill(&self) {
        wait::until(END, STEP, || {
            let left = self.processes();
            let number = |pid: &u32| i32::try_from(*pid).ok().map(Pid::from_raw);
            left.iter().filter_map(number).for_each(|pid| _ = kill(pid, Signal::SIGKILL));
            left.is_empty()
        });
    }
}
