//! Waiting, always with a deadline, and for whom: a step that waits hears that the run shall stop, and says what it waits for.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Asks `ready` every `step` until it says yes or `limit` has passed; returns whether it said yes.
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

/// How often a step says what it waits for.
const TELLING: Duration = Duration::from_secs(1);

/// The step that this thread works on.
#[derive(Clone, Debug)]
pub struct Task {
    /// Set when the run shall stop.
    pub cancel: Arc<AtomicBool>,
    /// Hears of a step, by its id, what it waits for.
    pub tell: Sender<(String, String)>,
    /// The step's id.
    pub step: String,
    /// When it said something last.
    pub told: Option<Instant>,
}

thread_local! {
    static TASK: RefCell<Option<Task>> = const { RefCell::new(None) };
}

/// Works on a step.
pub fn within<R>(task: Task, work: impl FnOnce() -> R) -> R {
    TASK.set(Some(task));
    let result = work();
    TASK.set(None);
    result
}

/// Whether the step of this thread shall give up waiting.
pub fn cancelled() -> bool {
    TASK.with_borrow(|task| task.as_ref().is_some_and(|task| task.cancel.load(Ordering::Relaxed)))
}

/// Says what the step of this thread waits for, once a second at most.
pub fn tell(text: impl FnOnce() -> String) {
    TASK.with_borrow_mut(|task| {
        let Some(task) = task.as_mut().filter(|t| t.told.is_none_or(|at| at.elapsed() >= TELLING)) else {
            return;
        };
        task.told = Some(Instant::now());
        let _ = task.tell.send((task.step.clone(), text()));
    });
}
