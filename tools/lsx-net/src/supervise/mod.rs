//! The server of a stack's load balancers on this host: HAProxy in the router, kept running by the engine.
//!
//! Here is what only HAProxy has: a master process that keeps the sockets that listen over a reload, and passes them to the next
//! server of a supervisor that was killed; certificates; and what it reports on its sockets.

mod certificates;
mod earlier;
mod haproxy;

pub(crate) use certificates::{forget_secrets, leaf};

use crate::Net;
use crate::model::{BALANCE, CertificateState, ReplicaAt, Server};
use crate::render;
use crate::render::certificates::without;
use certificates::Certificates;
use common::host::file::{self, Mode};
use common::host::service::kept::KeptService;
use common::host::service::log::Log;
use common::host::service::tend::Tend;
use common::host::wait;
use common::plan::{Definition, Kept, Program, Reload, Runs};
use common::tool::Tool;
use common::{Failure, Kind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long `check` waits for replicas that have just become ready, and the interval of checks.
const READY: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(100);
/// The name of the file with the configuration that lsx wants.
const WANTED: &str = "wanted.cfg";

/// The server of a stack.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    stack: String,
    /// Run-time files, which only root can enter.
    folder: PathBuf,
}

/// What its supervisor does for it.
pub(crate) struct Tended {
    home: Home,
    /// The digest of the wanted configuration; empty before the first look.
    wanted: String,
    certificates: Certificates,
    /// How many loads had failed before the last one.
    failed: Option<u64>,
}

impl Home {
    /// That of a stack, whose name has been validated.
    pub(crate) fn new(stack: &str) -> Home {
        Home { stack: stack.to_owned(), folder: PathBuf::from(render::folder(stack)) }
    }

    /// The folder of its run-time files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration that lsx wants.
    pub(crate) fn wanted(&self) -> PathBuf {
        self.folder.join(WANTED)
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

    fn master(&self) -> PathBuf {
        self.folder.join("master")
    }

    /// Writes for the next load which replicas are up and down now.
    fn keep_states(&self, before: &str, after: &str) -> Result<(), Failure> {
        let text = render::states::kept(&haproxy::states(&self.stats()), before, after);
        file::write(&self.folder.join("states"), text.as_bytes(), Mode::Private).map(drop)
    }

    /// The service.
    pub(crate) fn service(&self) -> KeptService {
        KeptService { tool: Net::NAME, stack: self.stack.clone(), name: BALANCE.to_owned() }
    }

    /// Its definition, with a whole configuration.
    pub(crate) fn definition(&self, whole: &str) -> Definition {
        let argv = ["haproxy", "-W", "-S", "%FOLDER%/master,mode,600", "-f", "%FOLDER%/haproxy.cfg"];
        let files = [(WANTED, whole), ("root/", "")];
        let program = Program {
            argv: argv.map(str::to_owned).into(),
            files: files.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            reload: Reload::Usr2,
            folder: Some(render::folder(&self.stack)),
            ..Program::default()
        };
        Definition { runs: Runs::Program(program), router: true, ..Definition::program(Vec::new()) }
    }

    /// The digest of the configuration that the server has loaded, as it reports itself; `None` when it does not answer.
    fn loaded(&self) -> Option<String> {
        haproxy::loaded(&self.stats())
    }

    /// The certificates of the load balancers.
    pub(crate) fn certificates(&self) -> Vec<CertificateState> {
        self.service().counts().and_then(|found| serde_json::from_value(found).ok()).unwrap_or_default()
    }

    /// What exists on this host; `None` if nothing does. `kept` is what the engine has found.
    pub(crate) fn observed(&self, kept: &[Kept]) -> Option<Server> {
        let found = kept.iter().any(|one| matches!(one, Kept::Service { name, .. } if name == BALANCE));
        if !found && !self.folder.exists() && !self.service().has_files() && !self.earlier_exists() {
            return None;
        }
        let loaded = self.loaded();
        // The next run sends a secret that is lost.
        let whole = !self.certificates().iter().any(certificates::lost);
        let running = loaded.is_some() && self.service().runs() && whole;
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
        wait::until(READY, STEP, || {
            all = self.replicas();
            all.iter().all(|one| one.state == "up" || one.state == "drain")
        });
        all
    }

    /// Ends supervisor and server, and removes all of their files.
    ///
    /// # Errors
    /// What could not be removed.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        self.end_earlier()?;
        self.service().remove()?;
        file::remove_tree(&self.folder)?;
        self.folder.ancestors().skip(1).take(2).for_each(file::remove_empty);
        Ok(())
    }
}

impl Tended {
    /// Of a service of this tool.
    pub(crate) fn of(service: &KeptService) -> Tended {
        let (home, certificates) = (Home::new(&service.stack), Certificates::default());
        Tended { home, wanted: String::new(), certificates, failed: None }
    }
}

impl Tend for Tended {
    /// Writes the configuration for the server, with the certificates that can be used.
    fn prepare(&mut self, log: &Log) -> Result<bool, Failure> {
        let wanted = file::read(&self.home.wanted())?.ok_or_else(|| {
            let message = format!("{} is missing", self.home.wanted().display());
            Failure::new(Kind::Failed, "net.balance", message)
                .hint("run `lsx-net up` with the stack's document")
        })?;
        let (changed, news) = self.certificates.take(&self.home, &wanted)?;
        let text = without(&wanted, &self.certificates.lacking());
        let before = file::read(&self.home.config())?.unwrap_or_default();
        let written = file::write(&self.home.config(), text.as_bytes(), Mode::Private)?;
        news.iter().for_each(|line| log.say(line));
        if changed || written || self.wanted.is_empty() {
            self.home.keep_states(&before, &text)?;
        }
        self.wanted = render::balance::digest_in(&wanted).unwrap_or_default().to_owned();
        if changed || written {
            self.failed = haproxy::failed(&self.home.master());
        }
        Ok(changed || written)
    }

    fn over(&self, _: &[i32]) -> Vec<String> {
        let socket = self.home.stats().to_string_lossy().into_owned();
        if self.home.loaded().is_some() { vec!["-x".to_owned(), socket] } else { Vec::new() }
    }

    /// An earlier server ends by itself when its last connection does.
    fn relieve(&self, left: &[i32]) {
        let masters = left.iter().filter(|pid| parent(**pid).is_none_or(|parent| !left.contains(&parent)));
        masters.for_each(|pid| _ = kill(Pid::from_raw(*pid), Signal::SIGUSR1));
    }

    fn serves(&self, left: &[i32]) -> Option<bool> {
        let stats = self.home.stats();
        if haproxy::pid(&stats).is_some_and(|pid| !left.contains(&pid))
            && haproxy::loaded(&stats).as_ref() == Some(&self.wanted)
        {
            return Some(true);
        }
        let refused = self.failed.is_some() && haproxy::failed(&self.home.master()) > self.failed;
        refused.then_some(false)
    }

    fn facts(&self) -> Option<Value> {
        Some(json!(self.certificates.states()))
    }
}

/// The parent of a process (proc(5)).
fn parent(pid: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}
