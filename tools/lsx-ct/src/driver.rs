//! What an engine must do: the few acts in which one differs from another. Every act may be repeated; one that finds its work
//! done does nothing.

use crate::model::{Condition, Done, Engine, Instance, Usage};
use common::Failure;
use common::host::Program;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An instance that lsx made and an engine holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The stack it is marked with.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// What it was made as; absent when a run died before it was whole.
    pub instance: Option<Instance>,
    /// What it does.
    pub condition: Condition,
    /// Its snapshots, where the engine makes them.
    pub snapshots: Vec<String>,
    /// The recipes that have been run in it, in order.
    pub recipes: Vec<Done>,
}

/// A program to run in an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment, over that of the instance.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// User and group, by name or number; absent: the instance's own, or root where the engine does not keep it.
    #[serde(default)]
    pub user: Option<String>,
    /// Folder; absent: the instance's own, or /.
    #[serde(default)]
    pub workdir: Option<String>,
    /// Its standard input; on its way in base64 (RFC 4648 4).
    #[serde(default, with = "bytes")]
    pub input: Vec<u8>,
    /// After this it is killed.
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

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Exit code; 128 and the signal where one ended it; 124 past the deadline.
    pub code: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
    /// Bytes of both that were left out, for there is a limit to what is kept.
    #[serde(default)]
    pub cut: u64,
}

/// How much of each output of a program is kept; the rest is counted.
pub const KEPT: usize = 1024 * 1024;

/// Hears a piece of `stdout` or `stderr`.
pub type Hears<'a> = &'a (dyn Fn(&'static str, &[u8]) + Sync);

/// Who runs a program: it ends with them, and they may hear what it writes while it does.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Set when the caller is gone, or has no interest any more.
    pub cancel: &'a AtomicBool,
    /// Hears every piece of output, with `stdout` or `stderr`; then nothing of it is kept.
    pub hears: Option<Hears<'a>>,
}

impl Caller<'_> {
    /// Whether the caller has gone.
    pub fn gone(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// Tells what has come since it was asked last.
pub type More<'a> = Box<dyn FnMut() -> Result<Vec<String>, Failure> + 'a>;

/// How many lines of an engine's log are looked at to find what is new.
const SEEN: usize = 1000;

/// An engine on this host.
pub trait Driver {
    /// What it is and what it can do here.
    ///
    /// # Errors
    /// When it is there and cannot be asked.
    fn engine(&self) -> Result<Engine, Failure>;

    /// Everything it holds that is marked as ours, of one stack or of all.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    fn list(&self, stack: Option<&str>) -> Result<Vec<Found>, Failure>;

    /// Names it holds for somebody else: who is not us, or another stack whose instance is called as one of `stack` could be.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    fn strangers(&self, stack: Option<&str>) -> Result<Vec<String>, Failure>;

    /// Makes an instance, its files and its limits; does not start it. `hosts` is its /etc/hosts.
    ///
    /// # Errors
    /// What the engine refused.
    fn create(&self, stack: &str, wanted: &Instance, hosts: &str) -> Result<(), Failure>;

    /// Changes what can be changed in place; says whether it has to be started anew for the rest to be true.
    ///
    /// # Errors
    /// What the engine refused.
    fn update(&self, stack: &str, before: &Instance, after: &Instance, hosts: &str) -> Result<bool, Failure>;

    /// Starts it, once what it needs is ready, and waits until it is ready itself, at most as long as it says. When `patient` it
    /// is left to itself: it waits for its needs without an end, and whoever starts it does not.
    ///
    /// # Errors
    /// What it waited for in vain, with the last try and the last lines of its log.
    fn start(&self, stack: &str, instance: &Instance, patient: bool) -> Result<(), Failure>;

    /// For what waits beside an instance after a reboot: waits for its needs without an end and tells `waiting` why, then starts it.
    ///
    /// # Errors
    /// As [`Driver::start`].
    fn wait_and_start(
        &self,
        stack: &str,
        instance: &Instance,
        _waiting: &mut dyn FnMut(&str),
    ) -> Result<(), Failure> {
        self.start(stack, instance, false)
    }

    /// Stops it: a signal, `grace`, then the end of all its processes.
    ///
    /// # Errors
    /// When it still runs.
    fn stop(&self, stack: &str, name: &str, grace: Duration) -> Result<(), Failure>;

    /// Removes it, stopped or not, and all that was made for it; volumes stay.
    ///
    /// # Errors
    /// What is left.
    fn remove(&self, stack: &str, name: &str) -> Result<(), Failure>;

    /// Stops it and puts it out of the way with all that was written into it, so that another of its name can be
    /// made; returns the name under which it is then listed, as half made. Absent: the engine can only remove it.
    ///
    /// # Errors
    /// When it still runs, or could not be put aside.
    fn put_aside(&self, _stack: &str, _name: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Gives what was put aside its name again.
    ///
    /// # Errors
    /// When it stays aside.
    fn bring_back(&self, _stack: &str, _aside: &str, _name: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Runs a program in it, as long as its caller is there.
    ///
    /// # Errors
    /// When it could not be started; how it ended is no failure.
    fn exec(&self, stack: &str, name: &str, exec: &Exec, caller: Caller<'_>) -> Result<Ran, Failure>;

    /// The program that gives a person a terminal in it.
    ///
    /// # Errors
    /// When it does not run.
    fn shell(&self, stack: &str, name: &str, exec: &Exec) -> Result<Program, Failure>;

    /// The last `lines` of what it wrote; each with its time where the engine knows it.
    ///
    /// # Errors
    /// When there is no such instance.
    fn logs(&self, stack: &str, name: &str, lines: usize) -> Result<Vec<String>, Failure>;

    /// The last `lines`, and then, each time it is asked, those that have come since. An engine that tells no more than all of it is
    /// asked for all, and what is new is what does not stand there already.
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

    /// What it uses now.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    fn usage(&self, found: &Found) -> Result<Usage, Failure>;
}
