//! Hosts over SSH: one `agent` session each for a whole verb, all in parallel, each with its deadline; the tool copies
//! itself to the hosts. The only async code: a tokio runtime inside, synchronous calls outside.
//!
//! The controller makes a [`Fleet`] and calls [`Fleet::each`]; the tool's hidden verb `agent` calls [`agent()`].

mod address;
mod agent;
mod budget;
mod control;
mod digests;
mod ended;
mod host;
mod install;
mod knock;
mod near;
mod news;
mod options;
mod progress;
mod prune;
mod reply;
mod session;
mod set;
mod ship;
mod ssh;
mod verdict;
mod wire;

pub use agent::{Handler, agent};
pub use install::{install, installed_path};
pub use options::{Options, Target};
pub use prune::{leave, prune};
pub use reply::shape;

use crate::{Failure, Failures, Kind};
use budget::Budget;
use host::Host;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// The folder of the tools' copies on a host.
pub(crate) const BIN: &str = "/var/lib/lsx/bin";
/// The boot entries; copies named there are kept.
pub(crate) const BOOT: &str = "/etc/lsx/boot.d";
/// The entries that are run each minute; copies named there are kept, too.
pub(crate) const TIMER: &str = "/etc/lsx/timer.d";

/// The in-process host: runs [`agent()`] on the stream until it ends, in its own thread.
pub type Local = Arc<dyn Fn(UnixStream) + Send + Sync>;

/// The data that the hosts of a fleet share.
struct Shared {
    options: Options,
    local: Local,
    own: OnceLock<Result<set::Set, Failure>>,
    permits: Semaphore,
    deadline: tokio::time::Instant,
    /// The failed steps of the running requests, for all hosts.
    news: watch::Sender<Vec<String>>,
    budget: Arc<Budget>,
    /// See [`Fleet::renew`].
    renew: AtomicBool,
}

impl Shared {
    /// The tool's own set, read and hashed once, when a host first needs it.
    fn own(&self) -> Result<set::Set, Failure> {
        self.own.get_or_init(|| set::Set::own(&self.options.set, self.private().as_deref())).clone()
    }

    /// The folder of the SSH masters.
    fn private(&self) -> Option<PathBuf> {
        control::folder(&self.options).ok()
    }

    /// What a session needs of it for one request.
    fn for_session(&self) -> (watch::Receiver<Vec<String>>, &Arc<Budget>, bool) {
        (self.news.subscribe(), &self.budget, self.renew.load(Ordering::Relaxed))
    }

    fn tool(&self) -> &str {
        self.options.set.first().map_or("", String::as_str)
    }
}

/// The hosts of one verb.
pub struct Fleet {
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    hosts: HashMap<String, Host>,
}

impl Fleet {
    /// Prepares the hosts without connecting.
    ///
    /// # Errors
    /// When a target's SSH text or the SSH configuration is invalid, or no private folder for sockets can be used.
    pub fn new(targets: Vec<Target>, options: Options, local: Local) -> Result<Fleet, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::new(Kind::Failed, "fleet.runtime", "cannot start").because(e))?;
        if options.set.is_empty() {
            return Err(Failure::new(Kind::Bug, "fleet.set", "a tool's set names at least itself"));
        }
        let now = tokio::time::Instant::now();
        let far = now + Duration::from_secs(30 * 365 * 86_400);
        let deadline = now.checked_add(options.deadline).map_or(far, |at| at.min(far));
        let permits = Semaphore::new(options.max_parallel.max(1));
        let shared = Arc::new(Shared {
            options,
            local,
            own: OnceLock::new(),
            permits,
            deadline,
            news: watch::Sender::default(),
            budget: Arc::new(Budget::new(targets.len())),
            renew: AtomicBool::new(false),
        });
        let own = host::addresses();
        let mut hosts = HashMap::new();
        for target in &targets {
            hosts.insert(target.name.clone(), Host::new(target, &shared, &own)?);
        }
        Ok(Fleet { runtime, shared, hosts })
    }

    /// From here on the deadline counts from a host's last request or event, for verbs that copy any amount of data.
    pub(crate) fn renew(&self) {
        self.shared.renew.store(true, Ordering::Relaxed);
    }

    /// Sends each named host its request, all in parallel, connecting on first use. Every host gets a result; one that
    /// cannot be reached does not delay the others, and fails at once when it is asked again. Failures carry the host's
    /// name.
    pub fn each(
        &mut self,
        requests: BTreeMap<String, Value>,
        on_event: &mut dyn FnMut(&str, Value),
    ) -> BTreeMap<String, Result<Value, Failures>> {
        self.each_until(self.shared.options.interrupted, requests, on_event)
    }

    /// The same for what must be done even after the run was interrupted.
    pub(crate) fn each_to_the_end(
        &mut self,
        requests: BTreeMap<String, Value>,
        on_event: &mut dyn FnMut(&str, Value),
    ) -> BTreeMap<String, Result<Value, Failures>> {
        self.each_until(|| false, requests, on_event)
    }

    fn each_until(
        &mut self,
        interrupted: fn() -> bool,
        requests: BTreeMap<String, Value>,
        on_event: &mut dyn FnMut(&str, Value),
    ) -> BTreeMap<String, Result<Value, Failures>> {
        let mut results = BTreeMap::new();
        let mut asked = Vec::new();
        for (name, request) in requests {
            match self.hosts.remove(&name) {
                Some(host) => asked.push((host, request)),
                None => {
                    let failure = Failure::new(Kind::Bug, "fleet.host", "no such host in the fleet");
                    results.insert(name.clone(), Err(failure.on(name).into()));
                }
            }
        }
        let shared = Arc::clone(&self.shared);
        for (name, host, result) in self.runtime.block_on(all(shared, asked, interrupted, on_event)) {
            self.hosts.extend(host.map(|host| (name.clone(), host)));
            results.insert(name, result);
        }
        results
    }

    /// The argument list that runs the tool in a terminal on a host that has been asked before; absent if this process can
    /// do it itself. Arguments may contain letters, digits and `/._=-`.
    ///
    /// # Errors
    /// When there is no such host, or an argument has other characters.
    pub fn terminal(&self, host: &str, args: &[&str]) -> Result<Option<Vec<String>>, Failure> {
        let found = self.hosts.get(host);
        let found =
            found.ok_or_else(|| Failure::new(Kind::Bug, "fleet.host", "no such host in the fleet"))?;
        found.terminal(&self.shared, args).map_err(|failure| failure.on(host))
    }

    /// Ends the sessions, as dropping the fleet does. Connections are kept for the next run until their idle limit.
    pub fn close(self) {}
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let (shared, hosts) = (&self.shared, std::mem::take(&mut self.hosts));
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for host in hosts.into_values() {
                let shared = Arc::clone(shared);
                tasks.spawn(async move { host.close(&shared).await });
            }
            while tasks.join_next().await.is_some() {}
        });
    }
}

type Answer = (String, Option<Host>, Result<Value, Failures>);

/// Asks all hosts; passes events on and checks the interrupt flag while it waits.
async fn all(
    shared: Arc<Shared>,
    asked: Vec<(Host, Value)>,
    interrupted: fn() -> bool,
    on_event: &mut dyn FnMut(&str, Value),
) -> Vec<Answer> {
    shared.news.send_replace(Vec::new());
    let (events, mut incoming) = mpsc::channel(reply::WAITING);
    let (interrupt, cancel) = watch::channel(interrupted());
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut tasks = JoinSet::new();
    let mut names = HashMap::new();
    for (mut host, request) in asked {
        let (shared, events, cancel) = (Arc::clone(&shared), events.clone(), cancel.clone());
        let name = host.name.clone();
        let task = async move {
            let result = host.ask(&shared, &request, &events, &cancel).await;
            (host, result)
        };
        names.insert(tasks.spawn(task).id(), name);
    }
    let mut answers = Vec::new();
    loop {
        // Not only at the tick: hosts continue until they are told, and a small plan ends within one tick.
        if interrupted() {
            interrupt.send_if_modified(|set| !std::mem::replace(set, true));
        }
        tokio::select! {
            biased;
            _ = tick.tick() => {}
            Some((name, event, _charge)) = incoming.recv() => {
                news::tell(&shared.news, &name, &event);
                on_event(&name, event);
            }
            done = tasks.join_next_with_id() => match done {
                None => break,
                Some(done) => answers.push(answer(done, &mut names)),
            },
        }
    }
    while let Ok((name, event, _charge)) = incoming.try_recv() {
        on_event(&name, event);
    }
    answers
}

type Done = Result<(tokio::task::Id, (Host, Result<Value, Failures>)), tokio::task::JoinError>;

fn answer(done: Done, names: &mut HashMap<tokio::task::Id, String>) -> Answer {
    match done {
        Ok((id, (host, result))) => (names.remove(&id).unwrap_or_default(), Some(host), result),
        Err(error) => {
            let name = names.remove(&error.id()).unwrap_or_default();
            let failure =
                Failure::new(Kind::Bug, "fleet.panic", "a task ended unexpectedly").because(error).on(&name);
            (name, None, Err(failure.into()))
        }
    }
}
