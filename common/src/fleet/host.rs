//! One host of a fleet: how it is reached, its open session, and its result.

use super::address::Address;
use super::budget::MEMORY;
use super::control::Way;
use super::ended::Stderr;
use super::progress::Progress;
use super::reply::Events;
use super::reply::{GARBAGE, LOST};
use super::session::{End, Session, cancelled};
use super::set::Set;
use super::ship;
use super::ssh::Ssh;
use super::verdict::{self, Verdict};
use super::{Shared, Target, near};
use crate::{Failure, Failures, Kind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::sync::watch;

/// A host and its session, which stays open between requests.
pub(super) struct Host {
    pub(super) name: String,
    reach: Reach,
    state: State,
    progress: Progress,
}

enum Reach {
    /// In this process.
    Here,
    /// This machine, by sudo.
    Sudo,
    /// By SSH.
    Ssh(Box<Ssh>),
}

enum State {
    Idle,
    Open(Box<Session>),
    Lost(Box<Failure>),
}

impl Host {
    /// Decides how the host is reached; connects on the first request.
    pub(super) fn new(target: &Target, shared: &Shared, own: &BTreeSet<Ipv4Addr>) -> Result<Host, Failure> {
        let ours = target.address.is_loopback() || own.contains(&target.address);
        let here = target.local || (shared.options.detect_local && ours);
        let progress = Progress::default();
        let reach = if here && nix::unistd::geteuid().is_root() {
            Reach::Here
        } else if here {
            Reach::Sudo
        } else {
            let address = Address::parse(&target.ssh).map_err(|f| f.on(&target.name))?;
            let control = super::control::Control::new(&shared.options, &target.ssh, target.key.as_deref())?;
            let (key, progress) = (target.key.clone(), progress.clone());
            Reach::Ssh(Box::new(Ssh { address, key, control, progress }))
        };
        Ok(Host { name: target.name.clone(), reach, state: State::Idle, progress })
    }

    /// Sends one request and waits for its reply, up to the deadline.
    pub(super) async fn ask(
        &mut self,
        shared: &Shared,
        request: &Value,
        events: &Events,
        cancel: &watch::Receiver<bool>,
    ) -> Result<Value, Failures> {
        let progress = self.progress.begin(shared);
        let asked = self.try_ask(shared, request, events, cancel);
        let result = match progress.within(shared, asked).await {
            Some(result) => result,
            None => Err(self.give_up(shared).into()),
        };
        result.map_err(|mut failures| {
            for failure in &mut failures.0 {
                failure.host.get_or_insert_with(|| self.name.clone());
            }
            failures
        })
    }

    async fn try_ask(
        &mut self,
        shared: &Shared,
        request: &Value,
        events: &Events,
        cancel: &watch::Receiver<bool>,
    ) -> Result<Value, Failures> {
        if *cancel.borrow() {
            return Err(interrupted_failure().into());
        }
        if let State::Lost(failure) = &self.state {
            return Err(Failures(vec![*failure.clone()]));
        }
        if matches!(self.state, State::Idle) {
            let mut interrupted = cancel.clone();
            let opened = tokio::select! {
                opened = self.open(shared, events, cancel) => opened,
                () = cancelled(&mut interrupted) => Err(interrupted_failure()),
            };
            tracing::info!("{} is {}", self.name, if opened.is_ok() { "connected" } else { "unreachable" });
            self.state = match opened {
                Ok(session) => State::Open(Box::new(session.with(&self.progress))),
                Err(failure) => State::Lost(Box::new(failure)),
            };
        }
        let result = match &mut self.state {
            State::Open(session) => {
                let shared = shared.for_session();
                session.request(request, &self.name, events, cancel, shared).await
            }
            State::Lost(failure) => return Err(Failures(vec![*failure.clone()])),
            State::Idle => return Err(Failure::new(Kind::Bug, LOST, "no session").into()),
        };
        let ends = |f: &&Failure| [LOST, GARBAGE, MEMORY].contains(&f.code.as_str()) && f.host.is_none();
        let broken = result.as_ref().err().and_then(|f| f.0.iter().find(ends));
        match broken.cloned() {
            None => result,
            Some(failure) => {
                let interrupted = *cancel.borrow();
                Err(self.lost(failure, interrupted).await.into())
            }
        }
    }

    /// The failure of a session that broke, with the last lines of its program.
    async fn lost(&mut self, failure: Failure, interrupted: bool) -> Failure {
        let session = std::mem::replace(&mut self.state, State::Idle);
        let mut failure = if interrupted { interrupted_failure() } else { failure };
        if let State::Open(session) = session
            && let Ok(ended) = tokio::time::timeout(Duration::from_secs(2), session.ended()).await
        {
            failure = failure.program(verdict::ran("agent", &ended));
            if failure.hint.is_none() {
                failure = failure.hint("check that the host is up; the next run completes the change");
            }
        }
        self.state = State::Lost(Box::new(failure.clone()));
        failure
    }

    /// Called at the deadline. The session is dropped, which closes the host's input, so that the host undoes by itself.
    fn give_up(&mut self, shared: &Shared) -> Failure {
        let limit = shared.options.deadline.as_secs_f32();
        let failure = match self.state {
            State::Open(_) => {
                Failure::new(Kind::Failed, "fleet.deadline", format!("no reply within {limit} s")).hint(
                    "check what runs there, or use a longer --deadline; lsx-net undoes its steps, lsx-ct keeps them",
                )
            }
            _ if self.progress.last().is_some() => {
                Failure::new(Kind::Unreachable, "fleet.deadline", format!("a transfer to it has made no progress for {limit} s"))
                    .hint("check the connection; the next run sends the rest")
            }
            _ => Failure::new(Kind::Unreachable, "fleet.deadline", format!("cannot be reached within {limit} s")),
        };
        self.state = State::Lost(Box::new(failure.clone()));
        failure
    }

    async fn open(
        &mut self,
        shared: &Shared,
        events: &Events,
        cancel: &watch::Receiver<bool>,
    ) -> Result<Session, Failure> {
        match &self.reach {
            Reach::Here => near::here(shared).await,
            Reach::Sudo => near::sudo(shared).await,
            Reach::Ssh(ssh) => {
                let (mut session, shipped) = by_ssh(ssh, shared).await?;
                if shipped {
                    // This only saves disk space on the host, so a failure is ignored.
                    let request = json!({"op": super::wire::PRUNE, "dir": shared.options.bin_root});
                    let shared = shared.for_session();
                    let _ = session.request(&request, &self.name, events, cancel, shared).await;
                }
                Ok(session)
            }
        }
    }

    /// The argument list that runs the tool on that host in a terminal; absent if this process can do it itself.
    pub(super) fn terminal(&self, shared: &Shared, args: &[&str]) -> Result<Option<Vec<String>>, Failure> {
        match &self.reach {
            Reach::Here => Ok(None),
            Reach::Sudo => {
                let own = std::env::current_exe().unwrap_or_default().display().to_string();
                let argv = ["sudo", "-n", &own].into_iter().chain(args.iter().copied());
                Ok(Some(argv.map(str::to_owned).collect()))
            }
            Reach::Ssh(ssh) => {
                let way = ssh.control.way();
                let path = there(shared, &set(shared, &way)?);
                let all = [way.front(), &[&path], args].concat();
                ssh.terminal(shared, &all).map(Some)
            }
        }
    }

    /// Ends the session. Waits for a change that runs in this process.
    pub(super) async fn close(self, shared: &Shared) {
        if let State::Open(session) = self.state {
            let timeout = match self.reach {
                Reach::Ssh(_) => tokio::time::Instant::now() + Duration::from_secs(2),
                _ => self.progress.end(shared),
            };
            let _ = tokio::time::timeout_at(timeout, session.ended()).await;
        }
        if let Reach::Ssh(ssh) = self.reach
            && shared.options.fresh
        {
            ssh.stop().await;
            ssh.control.forget();
        }
    }
}

fn interrupted_failure() -> Failure {
    Failure::new(Kind::Failed, "fleet.interrupted", "interrupted")
}

/// The addresses of this machine.
pub(super) fn addresses() -> BTreeSet<Ipv4Addr> {
    let own = |address: nix::ifaddrs::InterfaceAddress| {
        address.address.and_then(|a| a.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::ip))
    };
    nix::ifaddrs::getifaddrs().map(|all| all.filter_map(own).collect()).unwrap_or_default()
}

/// What is shipped to a host.
fn set(shared: &Shared, way: &Way) -> Result<Set, Failure> {
    match &way.arch {
        None => shared.own(),
        Some(arch) => {
            let (tools, private) = (shared.options.tools.as_deref(), shared.private());
            Set::foreign(&shared.options.set, tools, arch, private.as_deref())
        }
    }
}

/// The path of the tool on the host.
fn there(shared: &Shared, set: &Set) -> String {
    format!("{}/{}/{}", shared.options.bin_root.display(), set.digest, shared.tool())
}

/// Tries to run the tool there first, then fixes only what turned out to be missing. Returns whether the tool was copied.
async fn by_ssh(ssh: &Ssh, shared: &Shared) -> Result<(Session, bool), Failure> {
    let known = ssh.control.way();
    let mut way = known.clone();
    let mut remembered = way != Way::default();
    let mut shipped = false;
    loop {
        let set = set(shared, &way)?;
        let path = there(shared, &set);
        let mut session = remote(ssh, shared, &[way.front(), &[&path, "agent"]].concat()).await?;
        let hello = session.hello(shared.tool()).await.filter(|hello| hello.size == set.size);
        if hello.as_ref().is_some_and(|hello| hello.root || way.sudo) {
            if way != known {
                ssh.control.learn(&way);
            }
            return Ok((session, shipped));
        }
        if hello.is_some() {
            way.sudo = true;
            continue;
        }
        match verdict::judge(&session.ended().await, &way, remembered, shipped, &ssh.address) {
            Verdict::Fail(failure) => return Err(*failure),
            Verdict::Sudo => way.sudo = true,
            Verdict::Forget => way = Way::default(),
            Verdict::Upload => {
                let arch = ship::arch(ssh, shared).await?;
                if arch != way.arch {
                    way.arch = arch;
                } else if ship::upload(ssh, shared, &way, &set).await?.is_some() {
                    shipped = true;
                } else {
                    way.sudo = true;
                }
            }
        }
        remembered = false;
    }
}

async fn remote(ssh: &Ssh, shared: &Shared, args: &[&str]) -> Result<Session, Failure> {
    let mut child = ssh.spawn(shared, args).await?;
    let streams = (child.stdin().take(), child.stdout().take(), child.stderr().take());
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return Err(Failure::new(Kind::Bug, "fleet.ssh", "no pipes"));
    };
    Ok(Session::new(stdout, stdin, Stderr::of(stderr), End::Remote(Box::new(child))))
}
