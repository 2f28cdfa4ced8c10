//! An instance that has ended: its exit code, and whether it is finished.

use super::client::{Refused, header};
use super::forkfile::{at, steady};
use super::{Lxd, ServerInstance};
use crate::exit;
use crate::model::{Condition, Exit, Instance, State, engine_name};
use common::host::wait;
use common::stack::Restart;
use common::{Failure, Kind};
use std::io::Read;
use std::time::Duration;
use ureq::http::Method;

/// The code of an instance that ended before it was ready.
pub(crate) const ENDED: &str = "ct.lxd.ended";
/// Time limit for reading the record of an instance; the server may have to wait 15 s for its file helper, and for that of a
/// request before.
const READ: Duration = Duration::from_secs(60);
/// How long the server may take to notice that the first process has ended, if it may have, and to clean up if it has.
const HEARS: Duration = Duration::from_secs(1);
const CLEARS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// How long the record of one that has just ended is looked for, and the interval.
const RECORDED: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);

/// The server's message when it does not remove an instance yet.
const RUNS: &str = "Instance is running";

impl Lxd {
    /// How it ended by itself; nothing if unknown.
    fn exit(&self, engine: &str) -> Option<Exit> {
        let path = at(engine, exit::NOTE);
        let note = steady(|| self.link(&path, exit::MOST as u64 + 1));
        let told =
            |refused| tracing::warn!("how {engine} ended is not known: {}", Failure::from(refused).message);
        exit::read(&note.map_err(told).ok().flatten()?)
    }

    /// The target of a symbolic link in an instance, up to a size; `None` if it is missing, or something else, which is
    /// never opened.
    fn link(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, Refused> {
        let client = &self.client;
        let kind = client.head(path)?.and_then(|response| header(&response, &client.header("type")));
        if kind.is_none_or(|kind| kind != "symlink") {
            return Ok(None);
        }
        let response = client.call(Method::GET, path, &[], (), READ)?;
        if response.status() != 200 {
            return client.reply("GET", path, response).map(|_| None);
        }
        let mut bytes = Vec::new();
        let read = response.into_body().into_reader().take(most).read_to_end(&mut bytes);
        Ok(read.is_ok().then_some(bytes))
    }

    /// A stopped instance has exited if it is not restarted.
    pub(super) fn exited(
        &self,
        held: &ServerInstance,
        instance: Option<&Instance>,
        condition: Condition,
    ) -> Condition {
        let Some(restart) = instance.map(|i| i.restart).filter(|restart| *restart != Restart::Always) else {
            return condition;
        };
        if !held.stopped() || !held.notes() {
            return condition;
        }
        let Some(exit) = self.exit(&held.name) else { return condition };
        let state = if exit::again(restart, exit.code) { State::Stopped } else { State::Exited };
        Condition { state, exit: Some(exit), ..condition }
    }

    /// The same if it has ended by itself since a time: otherwise what it recorded is of an earlier start.
    pub(super) fn outcome_since(
        &self,
        begin: &str,
        stack: &str,
        instance: &Instance,
        failure: Failure,
    ) -> Result<(), Failure> {
        match self.exit(&engine_name(stack, &instance.name)) {
            Some(exit) if exit.at.as_str() >= begin => self.outcome(stack, instance, failure),
            _ => Err(failure),
        }
    }

    /// Interprets a failed start: a job that has ended successfully is finished.
    pub(super) fn outcome(&self, stack: &str, instance: &Instance, failure: Failure) -> Result<(), Failure> {
        let engine = engine_name(stack, &instance.name);
        let gone = || self.held(&engine).ok().flatten().is_none_or(|held| !held.runs());
        let cleared = || self.held(&engine).ok().flatten().is_some_and(|held| held.stopped());
        let hears = if failure.code == ENDED { CLEARS } else { HEARS };
        if !wait::until(hears, LOOK, gone) || !wait::until(CLEARS, LOOK, cleared) {
            return Err(failure);
        }
        let failure = if failure.code == ENDED { failure } else { self.ended(&engine) };
        match self.recorded(&engine) {
            Some(exit) if exit.code == 0 && !exit::again(instance.restart, exit.code) => Ok(()),
            Some(exit) => {
                let name = &instance.name;
                let failure = failure.because(format!("it ended with {} at {}", exit.code, exit.at));
                let failure = Failure { message: format!("{name} is not ready"), ..failure };
                Err(failure.hint(format!("see: lsx-ct logs {name}")))
            }
            None => Err(failure),
        }
    }

    /// How one ended that has just done so: its files are not there for a moment while the server cleans up.
    fn recorded(&self, engine: &str) -> Option<Exit> {
        let mut exit = None;
        if self.held(engine).ok().flatten().is_some_and(|held| held.notes()) {
            wait::until(RECORDED, AGAIN, || {
                exit = self.exit(engine);
                exit.is_some()
            });
        }
        exit
    }

    /// Removes one that was stopped, or ended by itself. Until the server has cleaned up after it, it refuses that; it may say
    /// before that it is stopped.
    pub(super) fn delete(&self, engine: &str) -> Result<(), Failure> {
        let mut outcome = Ok(());
        wait::until(CLEARS, AGAIN, || {
            outcome = self.gone(&format!("/1.0/instances/{engine}"));
            !outcome.as_ref().is_err_and(|refused| refused.says(RUNS))
        });
        Ok(outcome?)
    }

    pub(super) fn ended(&self, engine: &str) -> Failure {
        let message = format!("{engine} has ended");
        self.words(engine, Failure::new(Kind::Failed, ENDED, message)).hint(format!(
            "see: {} config show {engine}; the image needs an init, or the instance a command",
            self.client.program()
        ))
    }
}
