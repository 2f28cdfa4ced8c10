//! The interface of an engine: the operations in which engines differ. Every operation can be repeated; it does nothing if
//! its work is already done.

use crate::model::{Condition, Done, Engine, Instance, Usage};
use common::Failure;
use common::host::Program;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An instance of lsx in an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The stack in its mark.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// The definition it was created from; absent if a run was killed before it was complete.
    pub instance: Option<Instance>,
    /// The file with its definition, if that is damaged: the intent of this host is used instead.
    pub damaged: Option<PathBuf>,
    /// Its state.
    pub condition: Condition,
    /// Its snapshots, if the engine supports them.
    pub snapshots: Vec<String>,
    /// The recipes that have been run in it, in order.
    pub recipes: Vec<Done>,
}

/// A program to run in an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment variables, in addition to those of the instance.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// User and group, by name or number; default: the instance's own, or root if the engine does not store it.
    #[serde(default)]
    pub user: Option<String>,
    /// Working directory; default: the instance's own, or /.
    #[serde(default)]
    pub workdir: Option<String>,
    /// Its standard input, in base64 in JSON (RFC 4648 4).
    #[serde(default, with = "bytes")]
    pub input: Vec<u8>,
    /// Time limit, after which it is killed.
    #[serde(default)]
    pub deadline: Option<Duration>,
}

mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

/// The result of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Exit code; 128 plus the signal that ended it; 124 past the time limit.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Bytes of both that were dropped because of the limit.
    #[serde(default)]
    pub cut: u64,
}

/// How much of each output of a program is kept; the rest is only counted.
pub const KEPT: usize = 1024 * 1024;

/// Receives a piece of `stdout` or `stderr`.
pub type Hears<'a> = &'a (dyn Fn(&'static str, &[u8]) + Sync);

/// The caller of a program: the program ends with it, and it may receive output while the program runs.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Set when the caller has ended or is no longer interested.
    pub cancel: &'a AtomicBool,
    /// Receives every piece of output, with `stdout` or `stderr`; then nothing is kept.
    pub hears: Option<Hears<'a>>,
}

impl Caller<'_> {
    /// Whether the caller has ended.
    pub fn gone(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// Returns the lines since the last call.
pub type More<'a> = Box<dyn FnMut() -> Result<Vec<String>, Failure> + 'a>;

/// Number of lines of an engine's log that are searched for new ones.
const SEEN: usize = 1000;

/// An engine on this host.
pub trait Driver {
    /// Its version and features on this host.
    ///
    /// # Errors
    /// If it exists but cannot be queried.
    fn engine(&self) -> Result<Engine, Failure>;

    /// All instances with lsx's mark, of one stack or of all.
    ///
    /// # Errors
    /// If the engine cannot be queried.
    fn list(&self, stack: Option<&str>) -> Result<Vec<Found>, Failure>;

    /// Names used by others: instances that lsx did not create, or those of another stack with a name that `stack` could
    /// use.
    ///
    /// # Errors
    /// If the engine cannot be queried.
    fn strangers(&self, stack: Option<&str>) -> Result<Vec<String>, Failure>;

    /// Creates an instance, its files and its limits, without starting it. `hosts` is its /etc/hosts.
    ///
    /// # Errors
    /// Errors of the engine.
    fn create(&self, stack: &str, wanted: &Instance, hosts: &str) -> Result<(), Failure>;

    /// Changes what can be changed in place; returns whether a restart is needed for the rest.
    ///
    /// # Errors
    /// Errors of the engine.
    fn update(&self, stack: &str, before: &Instance, after: &Instance, hosts: &str) -> Result<bool, Failure>;

    /// Starts it when what it needs is ready, and waits until it is ready itself, up to its time limit. If `patient`, it
    /// waits for its needs without limit, and the caller does not wait.
    ///
    /// # Errors
    /// What was not ready in time, with the last check and the last lines of its log.
    fn start(&self, stack: &str, instance: &Instance, patient: bool) -> Result<(), Failure>;

    /// For the process that waits beside an instance after a reboot: waits for its needs without limit, reporting the
    /// reason to `waiting`, then starts it. `started` is called when it runs, before it is ready.
    ///
    /// # Errors
    /// As [`Driver::start`].
    fn wait_and_start(
        &self,
        stack: &str,
        instance: &Instance,
        _waiting: &mut dyn FnMut(&str),
        _started: &dyn Fn(),
    ) -> Result<(), Failure> {
        self.start(stack, instance, false)
    }

    /// An instance that runs, and its first process: for engines whose instances have no supervisor.
    ///
    /// # Errors
    /// Errors of the engine.
    fn served(&self, _stack: &str, _name: &str) -> Result<Option<(Instance, u32)>, Failure> {
        Ok(None)
    }

    /// Freezes it, or lets it continue: for engines whose instances have no supervisor that does it.
    ///
    /// # Errors
    /// Errors of the engine.
    fn freeze(&self, _stack: &str, _name: &str, _frozen: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// Stops it: sends its signal, waits for `grace`, then kills all its processes.
    ///
    /// # Errors
    /// If it still runs.
    fn stop(&self, stack: &str, name: &str, grace: Duration) -> Result<(), Failure>;

    /// Removes it, stopped or not, and everything created for it; volumes are kept.
    ///
    /// # Errors
    /// What could not be removed.
    fn remove(&self, stack: &str, name: &str) -> Result<(), Failure>;

    /// Stops it and renames it with all its files, so that another of its name can be created; returns the name under which
    /// it is then listed, as incomplete. `None`: the engine can only remove it.
    ///
    /// # Errors
    /// If it still runs, or could not be renamed.
    fn put_aside(&self, _stack: &str, _name: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Gives an instance that was put aside its name back.
    ///
    /// # Errors
    /// If it could not be renamed.
    fn bring_back(&self, _stack: &str, _aside: &str, _name: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Runs a program in it, as long as its caller exists.
    ///
    /// # Errors
    /// If it could not be started; its exit code is no failure.
    fn exec(&self, stack: &str, name: &str, exec: &Exec, caller: Caller<'_>) -> Result<Ran, Failure>;

    /// The program that opens a terminal in it.
    ///
    /// # Errors
    /// If it does not run.
    fn shell(&self, stack: &str, name: &str, exec: &Exec) -> Result<Program, Failure>;

    /// The last `lines` of its log, with times if the engine records them.
    ///
    /// # Errors
    /// If there is no such instance.
    fn logs(&self, stack: &str, name: &str, lines: usize) -> Result<Vec<String>, Failure>;

    /// The last `lines`, and on each further call those since then. An engine that can only return the whole log is queried
    /// for all of it, and new lines are found by comparison.
    ///
    /// # Errors
    /// As [`Driver::logs`].
    fn follow<'a>(&'a self, stack: &str, name: &str, lines: usize) -> Result<More<'a>, Failure> {
        let (stack, name) = (stack.to_owned(), name.to_owned());
        let (mut before, mut lines): (Vec<String>, usize) = (Vec::new(), lines);
        self.logs(&stack, &name, 1)?;
        Ok(Box::new(move || {
            let now = self.logs(&stack, &name, SEEN.max(lines))?;
            let known =
                (0..=before.len()).find(|n| now.starts_with(&before[*n..])).map_or(0, |n| before.len() - n);
            before.clone_from(&now);
            let new = now.into_iter().skip(known);
            let skip = new.len().saturating_sub(std::mem::replace(&mut lines, usize::MAX));
            Ok(new.skip(skip).collect())
        }))
    }

    /// Its current resource usage.
    ///
    /// # Errors
    /// If the engine cannot be queried.
    fn usage(&self, found: &Found) -> Result<Usage, Failure>;
}
