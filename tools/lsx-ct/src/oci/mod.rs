//! The driver oci: an OCI runtime, an overlay on the image store, and a supervisor for each instance.

mod beside;
pub(crate) mod closed;
mod command;
pub(crate) mod disk;
pub(crate) mod groups;
mod idmap;
mod layer;
pub(crate) mod limits;
pub(crate) mod mounts;
mod place;
pub(crate) mod prepare;
mod ranges;
pub(crate) mod room;
pub(crate) mod runtime;
pub(crate) mod session;
pub(crate) mod strays;
pub(crate) mod trial;
pub(crate) mod users;
pub(crate) mod volume;

use crate::accounts::{Account, Alone};
use crate::driver::{Caller, Driver, Exec, Found, More, Ran};
use crate::model::{Condition, Engine, IDS, Ids, Instance, State, Usage, cloud, runtime_id};
use crate::ready;
use crate::supervise::state;
use common::host::file;
use common::host::service::{log, unit};
use common::host::{Program, wait};
use common::{Failure, Kind};
use disk::InstanceFolders;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use place::Root;
use runtime::Runtime;
use session::ExecSession;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Interval of checks of a state while waiting.
const LOOK: Duration = Duration::from_millis(5);
/// How long a supervisor may take to end after its instance.
const BEGIN: Duration = Duration::from_secs(10);
/// How long a needed instance must have ended for good before waiting for it is given up.
/// An instance that ended so often before it was ready counts as failed.
const ENDED: u32 = 3;

/// The driver `oci`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oci {
    /// The runtime given by `--runtime`, for new instances.
    pub(crate) runtime: Option<String>,
}

impl Driver for Oci {
    fn engine(&self) -> Result<Engine, Failure> {
        let mut engine = Runtime::seen(self.runtime.as_deref())?;
        engine.name = format!("{}, cgroups {}", engine.name, groups::kind());
        Ok(engine)
    }

    fn list(&self, stack: Option<&str>) -> Result<Vec<Found>, Failure> {
        let mut all: BTreeSet<(String, String)> = disk::instances().into_iter().collect();
        let look = strays::Supervisors::now();
        all.extend(look.named()); // running instances are listed even without files on disk
        let all = all.into_iter().filter(|(of, _)| stack.is_none_or(|s| s == of));
        Ok(all.map(|(stack, name)| strays::found(&look, stack, name)).collect())
    }

    fn strangers(&self, _: Option<&str>) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    fn create(&self, stack: &str, wanted: &Instance, hosts: &str) -> Result<(), Failure> {
        let place = InstanceFolders::new(stack, &wanted.name);
        place.make()?;
        if let Some(runtime) = &self.runtime {
            Runtime::find(Some(runtime))?;
            place.choose(runtime)?;
        }
        place.keep(wanted, hosts)
    }

    fn update(&self, stack: &str, before: &Instance, after: &Instance, hosts: &str) -> Result<bool, Failure> {
        let place = InstanceFolders::new(stack, &after.name);
        place.make()?;
        let alive = state::alive(stack, &after.name);
        // Before the definition is written: a limit that could not be changed must still differ the next time. An instance
        // that is just being started has no group yet, and gets the new limits.
        if alive && before.limits != after.limits && state::read(stack, &after.name).pid.is_some() {
            limits::limit(stack, &after.name, &after.limits)?;
        }
        place.keep(after, hosts)?;
        if !alive {
            return Ok(false);
        }
        if let Some(said) = state::said(stack, &after.name) {
            prepare::rename(said.supervisor, &place, after)?;
        }
        if before.needs_restart(after) {
            return Ok(true);
        }
        state::nudge(stack, &after.name);
        Ok(false)
    }

    fn start(&self, stack: &str, instance: &Instance, patient: bool) -> Result<(), Failure> {
        let name = &instance.name;
        let mut ended = 0;
        if state::alive(stack, name) && state::read(stack, name).state == State::Stopped {
            // A run was killed while it stopped it: that goes on, and is waited for.
            self.stop(stack, name, InstanceFolders::new(stack, name).stop_grace())?;
        }
        if state::alive(stack, name) {
            // Earlier restarts do not count: their cause may have been repaired. It retries at once.
            ended = state::read(stack, name).restarts;
            state::nudge(stack, name);
        } else {
            Runtime::of(&InstanceFolders::new(stack, name))?.keep()?;
            strays::end(stack, name)?;
            state::begin(stack, name, None)?;
        }
        // After a reboot it waits by itself without limit, and does not block others.
        if patient { Ok(()) } else { await_ready(stack, instance, ended) }
    }

    fn stop(&self, stack: &str, name: &str, grace: Duration) -> Result<(), Failure> {
        if let Some(said) = state::said(stack, name).filter(|_| state::alive(stack, name)) {
            state::give(&InstanceFolders::new(stack, name), grace)?;
            let _ = kill(Pid::from_raw(said.supervisor), Signal::SIGTERM);
            let ended = wait::until(grace + BEGIN, LOOK, || !state::alive(stack, name));
            if !ended {
                let _ = kill(Pid::from_raw(said.supervisor), Signal::SIGKILL);
                unit::end(&state::service(stack, name).unit); // otherwise systemd would restart it
                wait::until(BEGIN, LOOK, || !state::alive(stack, name));
            }
        }
        // A killed supervisor leaves its container.
        let (id, place) = (runtime_id(stack, name), InstanceFolders::new(stack, name));
        if Path::new(command::ROOT).join(&id).exists() {
            Runtime::of(&place)?.delete(&id)?;
        }
        strays::end(stack, name)?;
        // One that was put aside has another name than its record: the interfaces are those of the instance in its place.
        let instance = place.instance().ok().flatten().filter(|instance| instance.name == name);
        strays::unplug(stack, name, instance.as_ref());
        Ok(())
    }

    fn remove(&self, stack: &str, name: &str) -> Result<(), Failure> {
        let place = self.end(stack, name)?;
        // The definition is removed first: a run killed here leaves a remnant, not an instance.
        file::remove(&place.disk.join("instance.json"))?;
        file::remove_tree(&place.disk)?;
        for folder in [&place.run, &place.disk] {
            folder.ancestors().skip(1).take(2).for_each(file::remove_empty);
        }
        if disk::instances().is_empty() { runtime::forget() } else { Ok(()) }
    }

    /// Its folder gets a name that no instance has; everything else can be created again.
    fn put_aside(&self, stack: &str, name: &str) -> Result<Option<String>, Failure> {
        let aside = format!("{}{name}", disk::ASIDE);
        let place = self.end(stack, name)?;
        file::rename_tree(&place.disk, &InstanceFolders::new(stack, &aside).disk)?;
        Ok(Some(aside))
    }

    fn bring_back(&self, stack: &str, aside: &str, name: &str) -> Result<(), Failure> {
        file::rename_tree(&InstanceFolders::new(stack, aside).disk, &InstanceFolders::new(stack, name).disk)
    }

    fn exec(&self, stack: &str, name: &str, exec: &Exec, caller: Caller<'_>) -> Result<Ran, Failure> {
        let (runtime, place, user) = self.to_run(stack, name, exec)?;
        let file = format!("exec-{}-{:?}", std::process::id(), std::thread::current().id());
        let pid_file = place.run.join(file);
        ExecSession::new(&runtime, &place, &runtime_id(stack, name), (exec, user.as_ref()), &pid_file)?
            .run_for(caller)
    }

    fn shell(&self, stack: &str, name: &str, exec: &Exec) -> Result<Program, Failure> {
        let (runtime, place, user) = self.to_run(stack, name, exec)?;
        let (process, _) = session::process(&place, exec, user.as_ref(), true)?;
        let program = runtime.program().args(["exec", "--tty", "--process"]).args([process]);
        Ok(program.args([&runtime_id(stack, name)]))
    }

    fn logs(&self, stack: &str, name: &str, lines: usize) -> Result<Vec<String>, Failure> {
        Ok(log::tail(&InstanceFolders::new(stack, name).disk, lines))
    }

    fn follow<'a>(&'a self, stack: &str, name: &str, lines: usize) -> Result<More<'a>, Failure> {
        let mut follow = log::Follow::new(&InstanceFolders::new(stack, name).disk, lines);
        Ok(Box::new(move || Ok(follow.more())))
    }

    fn usage(&self, found: &Found) -> Result<Usage, Failure> {
        let (cpu_ms, memory_bytes, processes) = groups::usage(&found.stack, &found.name);
        let (received_bytes, sent_bytes) = found.condition.pid.map(groups::traffic).unwrap_or_default();
        Ok(Usage { cpu_ms, memory_bytes, processes, received_bytes, sent_bytes })
    }
}

impl Oci {
    /// Stops an instance and removes everything except its files on disk.
    fn end(&self, stack: &str, name: &str) -> Result<InstanceFolders, Failure> {
        let place = InstanceFolders::new(stack, name);
        self.stop(stack, name, place.stop_grace())?;
        file::remove_tree(&place.run)?;
        groups::remove(stack, name);
        state::service(stack, name).unlock()?;
        Ok(place)
    }

    /// The runtime of an instance, for running a program in it.
    fn to_run(
        &self,
        stack: &str,
        name: &str,
        exec: &Exec,
    ) -> Result<(Runtime, InstanceFolders, Option<Account>), Failure> {
        let condition = state::read(stack, name);
        let Some(pid) = condition.pid else {
            let state = condition.state.word();
            return Err(Failure::new(Kind::Failed, "ct.exec", format!("{name} is {state}")));
        };
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let place = InstanceFolders::new(stack, name);
        let size = place.instance().ok().flatten().map_or(IDS, |instance| instance.ids());
        let account = |user: &String| Root::open(&root, Ids { first: 0, size })?.account(user, Alone::Root);
        let user = exec.user.as_ref().map(account).transpose()?;
        Ok((Runtime::of(&place)?, place, user))
    }
}

/// Waits until an instance is ready, within its time limit and those of its needs. `before`: how often it had been
/// restarted before.
fn await_ready(stack: &str, instance: &Instance, before: u32) -> Result<(), Failure> {
    let name = &instance.name;
    let needs = instance.needs.iter().map(|n| Duration::from_millis(n.timeout_ms)).max();
    let mut most = needs.unwrap_or(ready::STARTED);
    let (mut begun, mut started) = (Instant::now(), false);
    let mut lost: Option<Instant> = None;
    loop {
        let condition = state::read(stack, name);
        if condition.pid.is_some() && !started && condition.state != State::Waiting {
            (begun, started, most) = (Instant::now(), true, ready::limit(instance));
        }
        let heeds = state::said(stack, name).is_some_and(|said| said.heeds(instance));
        if (condition.state == State::Running && heeds) || condition.ended_well() {
            return Ok(());
        }
        let ended = condition.restarts.saturating_sub(before) >= ENDED;
        let judged = |why: &String| heeds && cloud::failed(instance.ready.as_ref(), why);
        let failed = condition.state == State::Starting && condition.why.as_ref().is_some_and(judged);
        let hopeless = matches!(condition.state, State::Stopped | State::Exited) || ended || failed;
        if hopeless || begun.elapsed() >= most {
            return Err(unready(stack, name, &condition));
        }
        if wait::cancelled() {
            return Err(ready::interrupted(name, condition.why));
        }
        let waits = condition.state == State::Waiting;
        if let Some(why) = ready::given_up(instance.needs.iter()).filter(|_| waits) {
            return Err(unready(stack, name, &condition).because(why));
        }
        wait::tell(|| ready::waits(&condition, begun.elapsed(), most));
        match ready::lost(stack, instance).filter(|_| waits) {
            // It may be about to be started.
            Some(why) if lost.get_or_insert_with(Instant::now).elapsed() > ready::LOST => {
                return Err(unready(stack, name, &condition).because(why));
            }
            Some(_) => {}
            None => lost = None,
        }
        wait::until(LOOK, LOOK, || false);
    }
}

/// Why an instance is not ready: the last check, how it ended, the last lines of its log.
fn unready(stack: &str, name: &str, condition: &Condition) -> Failure {
    let mut failure = ready::unready(name, condition.state, condition.why.clone());
    if let Some(exit) = &condition.exit {
        let oom = if exit.oom { ", out of memory" } else { "" };
        failure = failure.because(format!("it ended with {}{oom} at {}", exit.code, exit.at));
    }
    let mut last = state::said(stack, name).map(|s| s.last).unwrap_or_default();
    if last.is_empty() {
        last = log::tail(&InstanceFolders::new(stack, name).disk, 20);
    }
    failure = last.into_iter().fold(failure, |failure, line| failure.because(format!("log: {line}")));
    failure.hint(format!("lsx-ct logs {name}"))
}
