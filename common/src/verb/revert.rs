//! The host's side of waves: the steps that a session has done, so that they can be undone until the run is over on all hosts.

use crate::host::roll;
use crate::plan::{HostReport, Outcome, Step, StepReport, Tell, undo};
use crate::tool::Change;
use std::sync::{Mutex, PoisonError};

/// The steps of one wave.
struct Done<O> {
    stack: String,
    /// In the order in which they ended.
    steps: Vec<Step<O>>,
    /// The function that did them; it may have recorded what it replaced.
    change: Change<O>,
}

/// The waves of a session that are not committed. When the session ends without a commit, because the controller has ended
/// or the connection was lost, they are undone.
pub(super) struct Uncommitted<O>(Mutex<Vec<Done<O>>>);

impl<O> Uncommitted<O> {
    pub(super) fn new() -> Self {
        Uncommitted(Mutex::new(Vec::new()))
    }

    /// Records the steps of a wave.
    pub(super) fn add(&self, stack: &str, steps: Vec<Step<O>>, change: Change<O>) {
        let done = Done { stack: stack.to_owned(), steps, change };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(done);
    }

    /// Ends the run: what was done stays.
    pub(super) fn commit(&self) {
        drop(self.take());
    }

    /// Undoes all steps, the last one first, and reports them.
    pub(super) fn revert(&self, host: &str, tell: Tell<'_>) -> HostReport {
        let mut report = HostReport::idle(host);
        for Done { stack, steps, change } in self.take().into_iter().rev() {
            for step in steps.iter().rev() {
                let (outcome, failure) = undo(step, &*change, tell);
                report.changed += usize::from(outcome == Outcome::Stuck);
                report.steps.push(StepReport { id: step.id.clone(), outcome, ms: 0 });
                report.stuck.extend(failure);
            }
            roll::leave(&stack); // it was written before the steps
        }
        report
    }

    fn take(&self) -> Vec<Done<O>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<O> Drop for Uncommitted<O> {
    fn drop(&mut self) {
        for failure in self.revert("", &|_| ()).stuck {
            tracing::warn!("could not be undone: {failure}");
        }
    }
}
