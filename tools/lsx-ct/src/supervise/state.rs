//! The state recorded by a supervisor, /run/lsx/ct/STACK/INSTANCE/state.json, and the lock that shows that it runs.

use crate::model::{Condition, Exit, Instance, State};
use crate::oci::disk::InstanceFolders;
use crate::paths::RUN;
use clap::ValueEnum;
use common::Failure;
use common::host::file::{self, Mode};
use common::host::service::Service;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SupervisorState {
    /// The supervisor's process.
    pub(crate) supervisor: i32,
    /// The instance.
    #[serde(flatten)]
    pub(crate) condition: Condition,
    /// The last lines of its log, if it failed to become ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) last: Vec<String>,
    /// Digest of the readiness check and needs that it uses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) goes_by: String,
}

impl SupervisorState {
    /// Whether it uses the current definition of the instance; a supervisor of an older version does not record this.
    pub(crate) fn heeds(&self, instance: &Instance) -> bool {
        self.goes_by.is_empty() || self.goes_by == goes_by(instance)
    }
}

/// The digest of an instance's needs and readiness check.
pub(crate) fn goes_by(instance: &Instance) -> String {
    common::document::digest_of(&(&instance.needs, &instance.ready, instance.restart)).unwrap_or_default()
}

/// The supervisor of an instance.
pub(crate) fn service(stack: &str, name: &str) -> Service {
    Service {
        name: name.to_owned(),
        tool: "ct",
        root: Path::new(RUN).join(stack),
        state: InstanceFolders::new(stack, name).run.join("state.json"),
        unit: format!("lsx-{stack}.{name}"),
        about: format!("instance {name} of stack {stack}"),
    }
}

/// Whether a supervisor runs.
pub(crate) fn alive(stack: &str, name: &str) -> bool {
    service(stack, name).alive()
}

/// The time to wait for an instance to stop, as recorded by the process that stops it.
pub(crate) fn grace(place: &InstanceFolders) -> Duration {
    let text = file::read(&place.run.join("grace")).ok().flatten();
    text.and_then(|t| t.trim().parse().ok()).map_or_else(|| place.stop_grace(), Duration::from_millis)
}

/// Records this time.
pub(crate) fn give(place: &InstanceFolders, grace: Duration) -> Result<(), Failure> {
    let text = grace.as_millis().to_string();
    file::write(&place.run.join("grace"), text.as_bytes(), Mode::Private).map(|_| ())
}

/// The last record of the supervisor, whether it runs or not.
pub(crate) fn said(stack: &str, name: &str) -> Option<SupervisorState> {
    let text = file::read(&InstanceFolders::new(stack, name).run.join("state.json")).ok()??;
    serde_json::from_str(&text).ok()
}

/// The state of an instance: without a running supervisor it is stopped, unless it has ended as allowed.
pub(crate) fn read(stack: &str, name: &str) -> Condition {
    let Some(said) = said(stack, name) else { return finished(&InstanceFolders::new(stack, name)) };
    if said.condition.state == State::Exited || alive(stack, name) {
        return said.condition;
    }
    // One that ended just now has written its last record since.
    let said = self::said(stack, name).unwrap_or(said);
    if said.condition.state == State::Exited {
        return said.condition;
    }
    Condition { state: State::Stopped, pid: None, ..said.condition }
}

/// The file that records that an instance has ended successfully and is not restarted; it is kept at reboot.
fn note(place: &InstanceFolders) -> PathBuf {
    place.disk.join("finished.json")
}

/// Records that an instance has ended successfully and is not restarted.
pub(super) fn finish(place: &InstanceFolders, exit: &Exit) -> Result<(), Failure> {
    file::write(&note(place), &common::document::canonical(exit)?, Mode::Private).map(|_| ())
}

/// Removes this record when the instance is started.
pub(super) fn unfinish(place: &InstanceFolders) -> Result<(), Failure> {
    file::remove(&note(place)).map(|_| ())
}

/// After a reboot: finished, if it had ended successfully, else stopped.
fn finished(place: &InstanceFolders) -> Condition {
    let text = file::read(&note(place)).ok().flatten();
    let exit: Option<Exit> = text.and_then(|text| serde_json::from_str(&text).ok());
    let state = if exit.is_some() { State::Exited } else { State::Stopped };
    Condition { state, exit, ..Condition::default() }
}

/// Asks a supervisor to read its instance again, and to end a pause before the next start.
pub(crate) fn nudge(stack: &str, name: &str) {
    service(stack, name).signal(Signal::SIGHUP);
}

/// Writes it; a reader sees the old or the new content.
pub(crate) fn write(place: &InstanceFolders, said: &SupervisorState) -> Result<(), Failure> {
    file::write(&place.run.join("state.json"), &common::document::canonical(said)?, Mode::Public).map(|_| ())
}

/// What the process beside an instance of LXD or Incus does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Beside {
    /// Wait until the instance can start, and start it
    Start,
    /// Only watch the host's disk
    Watch,
}

/// Starts a detached supervisor, which outlives this session; returns after it has recorded a state. Of two started at
/// once, one takes the lock and the other exits. `beside`: an engine runs the instance.
///
/// # Errors
/// If it did not start.
pub(crate) fn begin(stack: &str, name: &str, beside: Option<Beside>) -> Result<(), Failure> {
    let program = common::fleet::install(&crate::SET_NAMES.map(str::to_owned))?;
    let mut argv = vec![program, "supervise".to_owned(), stack.to_owned(), name.to_owned()];
    let value = beside.and_then(|beside| Some(beside.to_possible_value()?.get_name().to_owned()));
    argv.extend(value.into_iter().flat_map(|value| ["--beside".to_owned(), value]));
    let hint = format!("see: lsx-ct logs {name}; to run it by hand: lsx-ct supervise {stack} {name}");
    service(stack, name).begin(&argv, &hint)
}
