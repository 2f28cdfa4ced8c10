//! One run of an instance: created, connected, started, watched, ended.

pub(super) mod room;
mod runner;

use super::{Supervisor, ended, state};
use crate::driver::{Exec, Ran};
use crate::image::Store;
use crate::model::{Exit, Instance, State};
use crate::oci::disk::InstanceFolders;
use crate::oci::prepare::Ready;
use crate::oci::runtime::Runtime;
use crate::oci::session::{ExecSession, Owner};
use crate::oci::{groups, limits};
use crate::ready::{self, Backoff};
use crate::render::bundle::Stop;
use crate::{engines, needs, net, recipes};
use common::host::file;
use common::host::service::signals::Asked;
use common::host::service::unit;
use common::{Failure, Kind};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use room::Watch;
use runner::RecipeRunner;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long to wait for killed processes to end.
const KILLED: Duration = Duration::from_secs(5);

/// The signal that cannot be ignored.
const KILL: Stop = Stop(9);

/// How a run ended.
pub(super) enum End {
    /// On request.
    Asked,
    /// By itself.
    Ended(Exit),
}

/// State shared by successive runs.
pub(super) struct Run {
    runtime: Runtime,
    ready: Ready,
    pumps: Vec<JoinHandle<()>>,
    oom: u64,
    began: Instant,
    /// The control groups of this process before it joined those of the instance.
    counted: groups::Before,
}

impl Run {
    /// Mounts the root.
    pub(super) fn new(
        runtime: Runtime,
        place: &InstanceFolders,
        instance: &Instance,
    ) -> Result<Run, Failure> {
        let store = Store::open(Path::new(crate::paths::STORE))?;
        let ready = Ready::new(place, instance, &store, runtime.ids)?;
        let (began, counted) = (Instant::now(), groups::Before::default());
        Ok(Run { runtime, ready, pumps: Vec::new(), oom: 0, began, counted })
    }

    /// From creation to the end.
    pub(super) fn live(&mut self, me: &mut Supervisor, instance: &Instance) -> Result<End, Failure> {
        me.tell(State::Waiting, None);
        self.clear(me)?;
        self.oom = groups::oom_kills(&me.stack, &me.name);
        self.ready.write(&me.stack, &me.place, instance)?;
        limits::hold(&me.stack, &me.name, &instance.limits)?;
        let pid = self.create(me)?;
        me.said.condition.pid = Some(number(pid));
        if let Some(first) = self.ready.system() {
            groups::delegate(&me.stack, &me.name, first);
        }
        net::attach(&me.stack, instance, number(pid), false)?;
        let Some(instance) = needs(me, instance, pid)? else { return Ok(End::Asked) };
        self.runtime.start(&me.id)?;
        self.began = Instant::now();
        me.said.condition.started_at = Some(common::log::now());
        me.tell(State::Starting, None);
        self.counted = groups::join(&me.stack, &me.name);
        let end = self.watch(me, instance, pid);
        groups::leave(&mut self.counted);
        end
    }

    fn create(&mut self, me: &Supervisor) -> Result<Pid, Failure> {
        let (pid_file, errors) = (me.folder().join("pid"), me.folder().join("runtime.log"));
        let _ = file::remove(&errors);
        let create = self.runtime.create(&me.id, me.folder(), &pid_file, &errors);
        let mut child = create.start(Stdio::null(), Stdio::piped(), Stdio::piped())?;
        Owner::of_bundle(&me.place)?.of(&mut child)?;
        self.pumps.extend(child.stdout.take().map(|pipe| me.log.pump("stdout", pipe)));
        self.pumps.extend(child.stderr.take().map(|pipe| me.log.pump("stderr", pipe)));
        let status = child.wait().map_err(|e| Failure::new(Kind::Failed, "ct.oci.create", e.to_string()))?;
        let pid = file::read(&pid_file)?.and_then(|text| text.trim().parse().ok());
        match (status.success(), pid) {
            (true, Some(pid)) => Ok(Pid::from_raw(pid)),
            _ => {
                let said = file::read(&errors)?.unwrap_or_default();
                let failure = Failure::new(
                    Kind::Failed,
                    "ct.oci.create",
                    format!("{} cannot create the container", self.runtime.name),
                );
                Err(said.lines().filter_map(message).fold(failure, Failure::because))
            }
        }
    }

    /// While it runs: checks whether it is ready, until it is; then waits for its end.
    fn watch(&mut self, me: &mut Supervisor, mut instance: Instance, pid: Pid) -> Result<End, Failure> {
        let mut backoff: Option<Backoff> = Some(ready::backoff(&instance, None));
        // A probe is also a child of this process: its end wakes the wait, but does not mean that the next probe is due.
        let mut next = Instant::now();
        let mut room = Watch::new(&me.stack, &me.place, &instance);
        loop {
            if let Some(exit) = self.exit(me, pid) {
                return Ok(End::Ended(exit));
            }
            if me.signals.looks() {
                let next_one = me.look_again()?;
                if next_one.ready != instance.ready {
                    backoff = Some(ready::backoff(&next_one, None));
                    next = Instant::now();
                }
                instance = next_one;
                me.tell_running(room.held(), backoff.is_some());
            }
            if room.look() {
                me.tell_running(room.held(), backoff.is_some());
            }
            let asks = |_: &&mut Backoff| room.held().is_none() && Instant::now() >= next;
            if let Some(waiting) = backoff.as_mut().filter(asks) {
                match self.tried(me, &instance, pid)? {
                    Some(why) => {
                        me.tell(State::Starting, Some(why));
                        next = Instant::now() + waiting.next().unwrap_or(Duration::from_secs(1));
                    }
                    None => {
                        backoff = None;
                        me.tell(State::Running, None);
                        continue;
                    }
                }
            }
            let time = match &backoff {
                Some(_) if room.held().is_none() => next.saturating_duration_since(Instant::now()),
                _ => Duration::from_secs(60),
            };
            if me.signals.wait(time.min(room.time())) == Asked::Stop {
                room.let_go();
                groups::leave(&mut self.counted);
                self.stop(me, pid);
                return Ok(End::Asked);
            }
        }
    }

    /// Recipes first, then the readiness check.
    fn tried(&mut self, me: &mut Supervisor, instance: &Instance, pid: Pid) -> Result<ready::Why, Failure> {
        if let Some(why) =
            recipes::run(instance, &mut RecipeRunner { life: self, me, limit: ready::limit(instance) })?
        {
            return Ok(Some(why));
        }
        if self.ready.application() && groups::contained(&me.stack, &me.name).len() == 1 {
            self.began = Instant::now(); // on a busy host lsx's init needs a while to start the program
        }
        ready::once(instance, number(pid), self.began.elapsed(), &mut |argv| {
            let words: Vec<&str> = argv.iter().map(String::as_str).collect();
            self.inside(me, &words, b"", Some(ready::TRY_INSIDE))
        })
    }

    /// Runs a program in it, and stops it when this process is asked to stop.
    fn inside(
        &self,
        me: &mut Supervisor,
        argv: &[&str],
        input: &[u8],
        limit: Option<Duration>,
    ) -> Result<Ran, Failure> {
        let pid_file = me.folder().join("try.pid");
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let exec = Exec { argv, input: input.to_vec(), deadline: limit, ..Exec::default() };
        let inside = ExecSession::new(&self.runtime, &me.place, &me.id, (&exec, None), &pid_file)?;
        inside.run(&mut |time| me.signals.wait(time) == Asked::Stop)
    }

    /// Whether its first process has ended; reaps all others that have.
    fn exit(&self, me: &Supervisor, pid: Pid) -> Option<Exit> {
        let mut code = None;
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status {
                WaitStatus::Exited(ended, number) if ended == pid => code = Some(number),
                WaitStatus::Signaled(ended, signal, _) if ended == pid => code = Some(128 + signal as i32),
                WaitStatus::StillAlive => break,
                _ => {}
            }
        }
        code.map(|code| ended(code, groups::oom_kills(&me.stack, &me.name) > self.oom))
    }

    /// Sends its stop signal, waits, then kills all its processes.
    fn stop(&self, me: &mut Supervisor, pid: Pid) {
        let stop = self.ready.stop_signal();
        let signal = stop.name();
        me.tell(State::Stopped, Some(format!("stopping with {signal}")));
        let _ = self.runtime.kill(&me.id, stop, false);
        let grace = state::grace(&me.place);
        unit::ends_within(grace + KILLED * 2);
        if !self.ended_within(me, pid, grace) {
            let (name, time) = (&me.name, grace.as_secs_f32());
            me.log.say(&format!("{name} did not end within {time} s after {signal} and is killed"));
            let _ = self.runtime.kill(&me.id, KILL, true);
            self.ended_within(me, pid, KILLED);
        }
    }

    fn ended_within(&self, me: &mut Supervisor, pid: Pid, time: Duration) -> bool {
        let end = Instant::now() + time;
        while self.exit(me, pid).is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            me.signals.wait_for_child(left);
        }
        true
    }

    /// Removes everything of a run: processes and container. Its pipes end with it.
    pub(super) fn clear(&mut self, me: &Supervisor) -> Result<(), Failure> {
        if self.runtime.knows(&me.id) {
            self.runtime.delete(&me.id)?;
        }
        self.pumps.drain(..).for_each(|pump| _ = pump.join());
        Ok(())
    }
}

/// Waits for what it needs, without limit, following changes of the instance; returns the current instance, or `None` when
/// asked to stop.
///
/// # Errors
/// If its first process, which holds its namespaces, has ended meanwhile.
fn needs(me: &mut Supervisor, instance: &Instance, pid: Pid) -> Result<Option<Instance>, Failure> {
    let gone = || !Path::new(&format!("/proc/{pid}/ns/net")).exists();
    let pid = number(pid);
    let mut instance = instance.clone();
    let mut ready = 0;
    let mut backoff = Backoff::new(None, Duration::from_secs(1));
    while let Some(need) = instance.needs.get(ready) {
        let Some(why) = needs::need(&me.stack, need, pid, &engines::condition)? else {
            ready += 1;
            backoff = Backoff::new(None, Duration::from_secs(1));
            continue;
        };
        if gone() {
            let message = format!("the first process of {} ended while it waited: {why}", me.name);
            return Err(Failure::new(Kind::Failed, "ct.supervise", message));
        }
        me.tell(State::Waiting, Some(why));
        match me.pause(backoff.next().unwrap_or(Duration::from_secs(1))) {
            Asked::Stop => return Ok(None),
            Asked::Look => {
                instance = me.look_again()?;
                ready = 0;
                me.tell(State::Waiting, None);
            }
            _ => {}
        }
    }
    Ok(Some(instance))
}

/// The errors in a runtime's log, as JSON or text.
fn message(line: &str) -> Option<String> {
    match serde_json::from_str::<Value>(line) {
        // The names used by runc and crun, and by youki.
        Ok(value) => value["msg"].as_str().or(value["message"].as_str()).map(str::to_owned),
        Err(_) => Some(line.to_owned()).filter(|l| !l.is_empty()),
    }
}

fn number(pid: Pid) -> u32 {
    u32::try_from(pid.as_raw()).unwrap_or_default()
}
