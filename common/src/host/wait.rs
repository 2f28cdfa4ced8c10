//! Waiting, always with a deadline. A waiting step notices that the run is to stop, and reports what it waits for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls `ready` every `step` until it returns true or `limit` has passed; returns whether it did.
pub fn until(limit: Duration, step: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "the one wait, and it has a deadline")]
        std::thread::sleep(step);
    }
}

/// Failed steps of this run on all hosts, with their reasons, as sent by the controller.
static FAILED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

fn failures() -> MutexGuard<'static, BTreeMap<String, String>> {
    FAILED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a matching step has failed on some host in this run, so that nothing waits for its result.
pub fn failed(meant: impl Fn(&str) -> bool) -> Option<String> {
    failures().iter().find(|(step, _)| meant(step)).map(|(_, why)| why.clone())
}

/// The maximum number of failed steps of one run that are recorded.
pub(crate) const FAILED_MOST: usize = 1000;

/// Records a failed step; more than [`FAILED_MOST`] are not recorded.
pub(crate) fn note_failed(step: String, why: String) {
    let mut all = failures();
    if all.len() < FAILED_MOST {
        all.insert(step, why);
    }
}

/// Forgets the failed steps of the previous run.
pub(crate) fn forget_failed() {
    failures().clear();
}

/// How often a step reports what it waits for.
const TELLING: Duration = Duration::from_secs(1);

/// The step that this thread executes.
#[derive(Clone, Debug)]
pub struct Task {
    /// Set when the run is to stop.
    pub cancel: Arc<AtomicBool>,
    /// Called with the step's id and what it waits for.
    pub tell: Sender<(String, String)>,
    /// The step's id.
    pub step: String,
    /// When it last reported.
    pub told: Option<Instant>,
}

thread_local! {
    static TASK: RefCell<Option<Task>> = const { RefCell::new(None) };
}

/// Registers the step that this thread executes.
pub fn within<R>(task: Task, work: impl FnOnce() -> R) -> R {
    TASK.set(Some(task));
    let result = work();
    TASK.set(None);
    result
}

/// Whether the step of this thread should stop waiting.
pub fn cancelled() -> bool {
    TASK.with_borrow(|task| task.as_ref().is_some_and(|task| task.cancel.load(Ordering::Relaxed)))
}

/// Reports what the step of this thread waits for, at most once a second.
pub fn tell(text: impl FnOnce() -> String) {
    TASK.with_borrow_mut(|task| {
        let Some(task) = task.as_mut().filter(|t| t.told.is_none_or(|at| at.elapsed() >= TELLING)) else {
            return;
        };
        task.told = Some(Instant::now());
        let _ = task.tell.send((task.step.clone(), text()));
    });
}
