//! What a supervisor says of its instance: /run/lsx/ct/STACK/INSTANCE/state.json, and the lock that shows it lives.

use crate::model::{Condition, State};
use crate::oci::disk::Place;
use crate::oci::runtime::Runtime;
use crate::paths::RUN;
use common::host::file::{self, Mode};
use common::host::{Lock, wait};
use common::{Failure, Kind};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The supervisor's process.
    pub(crate) supervisor: i32,
    /// The instance.
    #[serde(flatten)]
    pub(crate) condition: Condition,
    /// The last lines of its log, when it failed to become ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) last: Vec<String>,
    /// What made its container: no other runtime understands what that keeps of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<Runtime>,
}

/// How long a supervisor tries to get its lock: who asks whether one lives holds it for an instant.
const TAKE: Duration = Duration::from_secs(1);

/// Takes the lock of a supervisor.
///
/// # Errors
/// Kind `Again` while another one lives.
pub(crate) fn lock(stack: &str, name: &str) -> Result<Lock, Failure> {
    let take = || Lock::take_at(&Path::new(RUN).join(stack), name, "ct");
    let mut lock = take();
    wait::until(TAKE, Duration::from_millis(2), || {
        if lock.as_ref().is_err_and(|e| e.kind == Kind::Again) {
            lock = take();
        }
        !lock.as_ref().is_err_and(|e| e.kind == Kind::Again)
    });
    lock
}

/// Whether a supervisor lives: then nobody else gets its lock, not even together with others.
pub(crate) fn alive(stack: &str, name: &str) -> bool {
    let path = Path::new(RUN).join(stack).join(format!("{name}.ct.lock"));
    let Ok(file) = File::open(path) else { return false };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}

/// What a supervisor that was killed leaves of its lock.
pub(crate) fn unlock(stack: &str, name: &str) {
    let path = Path::new(RUN).join(stack).join(format!("{name}.ct.lock"));
    if path.exists() {
        drop(lock(stack, name)); // a lock's file goes with its holder
    }
}

/// How long an instance has to end by itself, as whoever stops it said.
pub(crate) fn grace(place: &Place) -> Duration {
    let text = file::read(&place.run.join("grace")).ok().flatten();
    text.and_then(|t| t.trim().parse().ok()).map_or(crate::apply::GRACE, Duration::from_millis)
}

/// Says how long.
pub(crate) fn give(place: &Place, grace: Duration) -> Result<(), Failure> {
    let text = grace.as_millis().to_string();
    file::write(&place.run.join("grace"), text.as_bytes(), Mode::Private).map(|_| ())
}

/// What the supervisor wrote last, whether it lives or not.
pub(crate) fn said(stack: &str, name: &str) -> Option<Said> {
    let text = file::read(&Place::new(stack, name).run.join("state.json")).ok()??;
    serde_json::from_str(&text).ok()
}

/// The runtime that made its container, as long as that is installed.
pub(crate) fn runtime(stack: &str, name: &str) -> Option<Runtime> {
    said(stack, name)?.runtime.filter(|runtime| runtime.path.is_file())
}

/// How an instance fares: without a living supervisor it does not run, unless it has ended as it may.
pub(crate) fn read(stack: &str, name: &str) -> Condition {
    let Some(said) = said(stack, name) else { return Condition::default() };
    if said.condition.state == State::Exited || alive(stack, name) {
        return said.condition;
    }
    Condition { state: State::Stopped, pid: None, ..said.condition }
}

/// Writes it; a reader sees the old or the new one.
pub(crate) fn write(place: &Place, said: &Said) -> Result<(), Failure> {
    file::write(&place.run.join("state.json"), &common::document::canonical(said)?, Mode::Public).map(|_| ())
}
