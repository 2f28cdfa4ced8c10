//! Starts and stops instances.

use super::client::{OPERATION, Refused};
use super::{Lxd, ServerInstance, secret};
use crate::model::{IDS, Instance, State, engine_name};
use crate::supervise::state::{self, Beside};
use crate::supervise::waiting;
use crate::{grace, needs, net, paths, ready};
use common::host::program::tail;
use common::host::wait;
use common::{Failure, Kind, log};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use ureq::http::Method;

/// How long an instance may still exist after a forced stop.
const FORCED: Duration = Duration::from_secs(60);
/// How long a listing may have an incomplete instance, and the interval of retries.
const HALF: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// How long the server may take to clean up after one that has ended.
const CLEARED: Duration = Duration::from_secs(10);

impl Lxd {
    /// Starts it now; a process that waits for its needs after a reboot is ended, and started again if the needs are not
    /// ready in time.
    pub(super) fn begin(&self, stack: &str, instance: &Instance, patient: bool) -> Result<(), Failure> {
        if patient {
            return match self.owned(stack, &instance.name)?.runs() || state::alive(stack, &instance.name) {
                true => Ok(()),
                false => state::begin(stack, &instance.name, Some(Beside::Start)),
            };
        }
        // Frozen, because the host's disk is nearly full: nothing can become ready before there is space.
        let full = || waiting::frozen(stack, &instance.name);
        if !wait::until(ready::limit(instance), LOOK, || full().is_none())
            && let Some(why) = full()
        {
            return Err(ready::unready(&instance.name, State::Waiting, Some(why)));
        }
        let waited = waiting::end(stack, &instance.name)?;
        let attend = || {
            // The caller tries again when it is ready, and then reports why not.
            if let Err(failure) = self.supply.attend(self, stack, instance) {
                tracing::info!("{failure}");
            }
        };
        let done = self.begin_now(stack, instance, None, &attend);
        if waited && done.as_ref().is_err_and(|failure| failure.code == needs::NEEDS) {
            state::begin(stack, &instance.name, Some(Beside::Start))?;
        }
        done
    }

    pub(super) fn begin_now(
        &self,
        stack: &str,
        instance: &Instance,
        patient: Option<&mut dyn FnMut(&str)>,
        started: &dyn Fn(),
    ) -> Result<(), Failure> {
        let held = self.owned(stack, &instance.name)?;
        let lost = held.runs() && secret::lost(stack, instance).is_some();
        if lost {
            self.halt(stack, &instance.name, grace::of(instance))?;
        }
        if held.frozen() {
            self.set_frozen(stack, &instance.name, false)?;
        }
        if lost || !held.runs() {
            let ask = |stack: &str, name: &str| self.supply.condition(stack, name);
            needs::needs(stack, instance, patient, &ask)?;
            self.give_secrets(stack, instance, &held)?;
            self.bring_init()?;
            let begin = log::now();
            let started = self.switch_on(stack, instance, &held);
            // The server may report that it could not start one that has ended at once.
            if let Err(failure) = started {
                return self.outcome_since(&begin, stack, instance, failure);
            }
        }
        started();
        self.look_after(stack, instance, &held.name).or_else(|failure| self.outcome(stack, instance, failure))
    }

    /// After its start: sets up its interfaces, and waits until it is ready.
    fn look_after(&self, stack: &str, instance: &Instance, engine: &str) -> Result<(), Failure> {
        if !instance.nics.is_empty() {
            let pid = self.pid(engine)?.ok_or_else(|| self.ended(engine))?;
            net::attach(stack, instance, pid, true)?;
        } else if !self.owned(stack, &instance.name)?.runs() {
            return Err(self.ended(engine));
        }
        self.await_ready(stack, instance, engine)
    }

    fn switch_on(&self, stack: &str, instance: &Instance, held: &ServerInstance) -> Result<(), Failure> {
        let outcome = match self.put_state(&held.name, "start", OPERATION, false) {
            Err(refused) if refused.says("idmapping abilities") => {
                self.unshift(&held.name)?;
                self.hand_over(stack, instance, held)?;
                self.put_state(&held.name, "start", OPERATION, false)
            }
            outcome => outcome,
        };
        outcome.map_err(|refused| match refused {
            Refused::Status(..) => self.words(&held.name, Failure::from(refused)),
            refused => refused.into(),
        })
    }

    /// If the file system cannot map users, a new volume and its content belong to the instance's own users; a volume that
    /// belongs to other ids is not changed.
    fn hand_over(&self, stack: &str, instance: &Instance, held: &ServerInstance) -> Result<(), Failure> {
        for volume in &instance.volumes {
            let path = paths::volume(stack, &volume.name);
            // As the document says: it is set before each start that changes it, by its number in the instance.
            let number = volume.owner.as_deref().and_then(|owner| owner.split(':').next()?.parse().ok());
            let of_host = std::fs::metadata(&path).is_ok_and(|m| m.uid() < IDS || number == Some(m.uid()));
            if let Some(ids) = held.ids().filter(|ids| of_host && ids.first > 0) {
                crate::oci::volume::shift(&path, ids)?;
            }
        }
        Ok(())
    }

    /// Stops it: normally within `grace`, then by force. A stopped one is no error.
    pub(super) fn halt(&self, stack: &str, name: &str, grace: Duration) -> Result<(), Failure> {
        let engine = engine_name(stack, name);
        waiting::end(stack, name)?;
        let Some(held) = self.held(&engine)? else { return Ok(()) };
        if !held.is(stack, name) || !held.runs() {
            return Ok(());
        }
        if held.frozen() {
            self.set_frozen(stack, name, false)?;
        }
        if grace >= Duration::from_secs(1) {
            let gently = self.put_state(&engine, "stop", grace, false);
            if gently.is_ok() && self.held(&engine)?.is_none_or(|held| !held.runs()) {
                return Ok(());
            }
            tracing::debug!("{engine} did not stop by itself: {gently:?}");
        }
        let forced = self.put_state(&engine, "stop", FORCED, true);
        if forced.is_err() {
            // One that has just ended by itself is refused as not running while the server still cleans up after it.
            let over = || self.held(&engine).is_ok_and(|held| held.is_none_or(|held| !held.runs()));
            wait::until(CLEARED, LOOK, over);
        }
        match self.held(&engine)? {
            Some(held) if held.runs() => Err(forced.err().map_or_else(
                || Failure::new(Kind::Failed, "ct.lxd.stop", format!("{engine} still runs")),
                Failure::from,
            )),
            _ => Ok(()),
        }
    }

    /// Freezes it, or lets it continue.
    pub(super) fn set_frozen(&self, stack: &str, name: &str, frozen: bool) -> Result<(), Failure> {
        let (engine, action) = (engine_name(stack, name), if frozen { "freeze" } else { "unfreeze" });
        if self.owned(stack, name)?.frozen() == frozen {
            return Ok(());
        }
        self.put_state(&engine, action, OPERATION, false).map_err(Failure::from)
    }

    /// An instance that is already in the wanted state is no error.
    fn put_state(&self, engine: &str, action: &str, limit: Duration, force: bool) -> Result<(), Refused> {
        let path = format!("/1.0/instances/{engine}/state");
        let order = json!({"action": action, "timeout": limit.as_secs(), "force": force});
        let limit = limit + Duration::from_secs(10);
        match self.client.send(&Method::PUT, &path, &order, None, limit) {
            Err(refused) if !refused.says("already") => Err(refused),
            _ => Ok(()),
        }
    }

    /// The last messages of liblxc and the instance.
    pub(super) fn words(&self, engine: &str, mut failure: Failure) -> Failure {
        let log = self.client.bytes(&format!("/1.0/instances/{engine}/logs/lxc.log")).ok().flatten();
        let error = |line: &String| line.contains(" ERROR ");
        for line in tail(&log.unwrap_or_default()).into_iter().filter(error).take(3) {
            failure = failure.because(line);
        }
        for line in self.console(engine, 5).unwrap_or_default() {
            failure = failure.because(format!("its output: {line}"));
        }
        failure
    }

    /// The last lines of its console.
    pub(super) fn console(&self, engine: &str, lines: usize) -> Result<Vec<String>, Failure> {
        let path = format!("/1.0/instances/{engine}/console");
        let text = match self.client.bytes(&path) {
            // The log file does not exist before the first start.
            Err(refused) if refused.says("no such file") || refused.missing() => None,
            text => text?,
        };
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let all: Vec<&str> = text.lines().map(str::trim_end).collect();
        Ok(all.iter().skip(all.len().saturating_sub(lines)).map(|line| (*line).to_owned()).collect())
    }

    /// One instance by its name in the server, without its state, which takes the server 50 ms.
    pub(super) fn held(&self, engine: &str) -> Result<Option<ServerInstance>, Failure> {
        let got = self.client.get(&format!("/1.0/instances/{engine}"))?;
        got.map(|got| read(got.value)).transpose()
    }

    /// The first process of one that runs.
    pub(super) fn pid(&self, engine: &str) -> Result<Option<u32>, Failure> {
        let got = match self.client.get(&format!("/1.0/instances/{engine}/state")) {
            Err(refused) if refused.says("Invalid PID") => None, // it ended while Incus was reading
            got => got?,
        };
        let pid = got.and_then(|got| got.value["pid"].as_u64()).and_then(|pid| u32::try_from(pid).ok());
        Ok(pid.filter(|pid| *pid > 0))
    }

    /// All of them, in one request. Incus lists one that is being removed only by name: then the request is repeated.
    pub(super) fn everything(&self) -> Result<Vec<ServerInstance>, Failure> {
        let mut all = Vec::new();
        let mut outcome = Ok(());
        wait::until(HALF, LOOK, || {
            match self.client.get("/1.0/instances?recursion=2") {
                Ok(got) => all = got.and_then(|got| got.value.as_array().cloned()).unwrap_or_default(),
                Err(refused) => outcome = Err(refused),
            }
            outcome.is_err() || all.iter().all(|one| one["config"].is_object())
        });
        outcome?;
        all.into_iter().filter(|one| one["config"].is_object()).map(read).collect()
    }
}

fn read(value: Value) -> Result<ServerInstance, Failure> {
    serde_json::from_value(value)
        .map_err(|e| Failure::new(Kind::Failed, "ct.lxd.answer", format!("an instance cannot be read: {e}")))
}
