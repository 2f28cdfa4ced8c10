//! Executes the steps of a plan: in order, with limited parallelism, undo in reverse, stop on a signal.

use super::{HostReport, Step, StepReport};
use crate::failure::{Failure, Failures, Kind};
use crate::host::wait::{self, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Done,
    /// It failed.
    Failed,
    /// Done, and undone because another step failed.
    Undone,
    /// Undoing it failed.
    Stuck,
    /// Not started.
    NotRun,
}

/// Changes one object from its existing to its wanted state.
pub type ChangeFn<'a, O> = dyn Fn(Option<&O>, Option<&O>) -> Result<(), Failure> + Sync + 'a;

/// Receives the events of every step: `{step, phase, ok, why, ms, failure}`.
pub type Tell<'a> = &'a (dyn Fn(serde_json::Value) + Sync);

/// What an execution needs in addition to its steps.
pub struct Context<'a, O> {
    /// Changes one object from its existing to its wanted state.
    pub change: &'a ChangeFn<'a, O>,
    /// Receives the events of every step.
    pub event: Tell<'a>,
    /// Set when the run is to stop: the running step ends, then everything is undone.
    pub cancel: &'a AtomicBool,
    /// The number of steps that may run at the same time.
    pub parallel: usize,
    /// Whether a failure undoes the steps done. Otherwise they are kept, and only the steps that need the failed one are
    /// not started.
    pub undo: bool,
    /// With `undo`: whether a failed step is undone, too, since it may be half done.
    pub halves: bool,
}

struct State {
    waiting: Vec<usize>,
    ready: BTreeSet<usize>,
    running: usize,
    finished: Vec<usize>,
    reports: Vec<StepReport>,
    failures: Vec<Failure>,
    /// Steps that are not started, because one that they need has failed.
    lost: BTreeSet<usize>,
}

/// Executes the steps of one host. Returns a report even when it fails, and the indexes of the steps that are done and not
/// undone, in the order in which they ended.
pub(crate) fn execute_in_order<O: Sync>(
    host: &str,
    steps: &[Step<O>],
    context: &Context<'_, O>,
) -> (HostReport, Vec<usize>) {
    let (waiting, followers) = order(steps);
    let ready = waiting.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
    let reports =
        steps.iter().map(|s| StepReport { id: s.id.clone(), outcome: Outcome::NotRun, ms: 0 }).collect();
    let (finished, failures, lost) = (Vec::new(), Vec::new(), BTreeSet::new());
    let state = Mutex::new(State { waiting, ready, running: 0, finished, reports, failures, lost });
    let wake = Condvar::new();
    let (tell, told) = mpsc::channel();
    let cancel = Arc::new(AtomicBool::new(false));
    let task = move || Task { cancel: cancel.clone(), tell: tell.clone(), step: String::new(), told: None };
    std::thread::scope(|scope| {
        let first = task();
        let watched = first.cancel.clone();
        scope.spawn(move || watch(&told, &watched, context));
        let (followers, state, wake) = (&followers, &state, &wake);
        for _ in 1..context.parallel.clamp(1, steps.len().max(1)) {
            let task = task();
            scope.spawn(move || work(steps, followers, context, (state, wake), &task));
        }
        drop(task);
        work(steps, followers, context, (state, wake), &first);
        drop(first); // the watch ends with the last of them
    });
    finish(host, steps, context, state.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The interval at which a waiting step checks whether to stop.
const WATCH: Duration = Duration::from_millis(50);

/// Passes on what steps wait for, and tells them to stop, until all have ended.
fn watch<O>(told: &Receiver<(String, String)>, cancel: &AtomicBool, context: &Context<'_, O>) {
    loop {
        match told.recv_timeout(WATCH) {
            Ok((step, text)) => (context.event)(json!({"step": step, "phase": "wait", "message": text})),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        cancel.store(context.cancel.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// For every step the number of steps it waits for, and the steps that wait for it.
fn order<O>(steps: &[Step<O>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let index: BTreeMap<&str, usize> = steps.iter().enumerate().map(|(i, s)| (s.id.as_str(), i)).collect();
    let mut waiting = vec![0; steps.len()];
    let mut followers = vec![Vec::new(); steps.len()];
    for (i, step) in steps.iter().enumerate() {
        for need in step.needs.iter().filter_map(|n| index.get(n.as_str())) {
            waiting[i] += 1;
            followers[*need].push(i);
        }
    }
    (waiting, followers)
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work<O>(
    steps: &[Step<O>],
    followers: &[Vec<usize>],
    context: &Context<'_, O>,
    (state, wake): (&Mutex<State>, &Condvar),
    task: &Task,
) {
    let mut guard = held(state);
    loop {
        if guard.failures.is_empty() && context.cancel.load(Ordering::Relaxed) {
            guard.failures.push(interrupted(context.undo));
        }
        let over = match context.undo {
            true => !guard.failures.is_empty(),
            false => context.cancel.load(Ordering::Relaxed),
        };
        let next = if over { None } else { guard.ready.pop_first() };
        let Some(i) = next else {
            if guard.running == 0 || over {
                wake.notify_all();
                return;
            }
            guard = wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        guard.running += 1;
        drop(guard);
        let task = Task { step: steps[i].id.clone(), ..task.clone() };
        let (result, ms) = timed(&steps[i], "do", context.event, || {
            wait::within(task, || (context.change)(steps[i].before.as_ref(), steps[i].after.as_ref()))
        });
        guard = held(state);
        guard.running -= 1;
        let failed = result.is_err();
        settle(&mut guard, i, result, ms, &followers[i]);
        if failed && !context.undo {
            let lost = lose(steps, followers, &mut guard, i);
            lost.iter().for_each(|(i, failure)| (context.event)(ended(&steps[*i], "do", 0, Err(failure))));
        }
        wake.notify_all();
    }
}

fn settle(state: &mut State, i: usize, result: Result<(), Failure>, ms: u64, followers: &[usize]) {
    state.reports[i].ms = ms;
    match result {
        Ok(()) => {
            state.reports[i].outcome = Outcome::Done;
            state.finished.push(i);
            for follower in followers {
                state.waiting[*follower] -= 1;
                if state.waiting[*follower] == 0 {
                    state.ready.insert(*follower);
                }
            }
        }
        Err(failure) => {
            state.reports[i].outcome = Outcome::Failed;
            state.failures.push(failure);
        }
    }
}

/// The failures of all steps that need a failed one, directly or through others: each has its own.
fn lose<O>(
    steps: &[Step<O>],
    followers: &[Vec<usize>],
    state: &mut State,
    failed: usize,
) -> Vec<(usize, Failure)> {
    let (mut lost, mut next) = (Vec::new(), vec![failed]);
    while let Some(i) = next.pop() {
        for follower in followers[i].iter().filter(|follower| state.lost.insert(**follower)) {
            let failure = super::show::not_begun(&steps[*follower].id, &steps[i].id);
            state.failures.push(failure.clone());
            lost.push((*follower, failure));
            next.push(*follower);
        }
    }
    lost
}

fn finish<O>(
    host: &str,
    steps: &[Step<O>],
    context: &Context<'_, O>,
    mut state: State,
) -> (HostReport, Vec<usize>) {
    if state.failures.is_empty() {
        state.failures.extend(cycle(&state.reports));
    }
    let mut stuck = Vec::new();
    if !state.failures.is_empty() && context.undo {
        let failed = |i: &usize| context.halves && state.reports[*i].outcome == Outcome::Failed;
        for step in (0..steps.len()).filter(failed).map(|i| &steps[i]) {
            let _ = undo(step, context.change, context.event);
        }
        for i in std::mem::take(&mut state.finished).into_iter().rev() {
            let (outcome, failure) = undo(&steps[i], context.change, context.event);
            state.reports[i].outcome = outcome;
            stuck.extend(failure);
        }
    }
    let standing = state.reports.iter().filter(|r| matches!(r.outcome, Outcome::Done | Outcome::Stuck));
    let changed = standing.count();
    let mut report = HostReport { changed, steps: state.reports, stuck, ..HostReport::idle(host) };
    report.fail(Failures(state.failures));
    (report, state.finished)
}

/// Undoes one step that was done: its object gets back its former state.
pub fn undo<O>(step: &Step<O>, change: &ChangeFn<'_, O>, event: Tell<'_>) -> (Outcome, Option<Failure>) {
    let (result, _) = timed(step, "undo", event, || change(step.after.as_ref(), step.before.as_ref()));
    (if result.is_ok() { Outcome::Undone } else { Outcome::Stuck }, result.err())
}

fn cycle(reports: &[StepReport]) -> Option<Failure> {
    let left = reports.iter().find(|r| r.outcome == Outcome::NotRun)?;
    Some(Failure::new(
        Kind::Bug,
        "plan.cycle",
        format!("step {} waits for a step that waits for it: a cycle", left.id),
    ))
}

fn interrupted(undo: bool) -> Failure {
    let done = if undo { "was undone" } else { "was kept" };
    Failure::new(Kind::Failed, "plan.interrupted", format!("interrupted; what was done {done}"))
}

fn timed<O>(
    step: &Step<O>,
    phase: &str,
    tell: Tell<'_>,
    act: impl FnOnce() -> Result<(), Failure>,
) -> (Result<(), Failure>, u64) {
    let begin = Instant::now();
    let result =
        act().map_err(|f| Failure { causes: [vec![format!("step {}", step.id)], f.causes].concat(), ..f });
    let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tell(ended(step, phase, ms, result.as_ref()));
    (result, ms)
}

/// The event of a step that has ended.
fn ended<O>(step: &Step<O>, phase: &str, ms: u64, result: Result<&(), &Failure>) -> serde_json::Value {
    let mut event = json!({"step": step.id, "phase": phase, "ok": result.is_ok(), "why": step.why, "ms": ms});
    if let (Err(failure), Some(event)) = (&result, event.as_object_mut()) {
        event.insert("failure".to_owned(), json!(failure));
    }
    event
}
