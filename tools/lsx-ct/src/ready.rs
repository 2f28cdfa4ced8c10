//! Readiness: probed from the network of the dependents by `lsx-net probe`, so that no process of lsx enters the instance.

mod network;

pub(crate) use network::{probed, tried};

use crate::driver::Ran;
use crate::model::{Condition, Instance, Need, Probe, State, cloud};
use crate::supervise::state;
use common::host::wait;
use common::{Failure, Kind};
use std::time::{Duration, Instant};

/// Time limit of a readiness program in the instance.
pub(crate) const TRY_INSIDE: Duration = Duration::from_secs(10);
/// How long an instance without a probe must have run to count as running.
const SETTLE: Duration = Duration::from_millis(50);
/// The default time that `up` waits for an instance.
pub(crate) const STARTED: Duration = Duration::from_secs(60);
/// The first pause between two probes; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a needed instance must have been ended for good before nothing waits for it.
pub(crate) const LOST: Duration = Duration::from_secs(2);

/// The last probe and its result; `None` means ready.
pub(crate) type Why = Option<String>;

/// A wait with growing pauses and an optional limit.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    pause: Duration,
    most: Duration,
    end: Option<Instant>,
}

impl Backoff {
    /// Until `limit` has passed, or without limit.
    pub(crate) fn new(limit: Option<Duration>, most: Duration) -> Self {
        Backoff { pause: PAUSE, most: most.min(PAUSE_MAX), end: limit.map(|l| Instant::now() + l) }
    }

    /// How long to wait before the next probe; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        if wait::cancelled() || self.end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.most).max(PAUSE);
        Some(pause)
    }
}

/// A needed instance of this host that has ended and will not be restarted; `None` if there is none.
pub(crate) fn lost(stack: &str, instance: &Instance) -> Why {
    let here = instance.needs.iter().filter(|need| need.here);
    here.map(|need| (need, state::read(stack, &need.instance))).find_map(|(need, condition)| {
        let exit = condition.exit.as_ref().filter(|_| condition.state == State::Exited)?;
        (exit.code != 0)
            .then(|| format!("{} has ended with {} and is not started again", need.instance, exit.code))
    })
}

/// Why an instance that is needed has failed in this run, on any host, so that nothing waits for it.
pub(crate) fn given_up<'a>(mut needs: impl Iterator<Item = &'a Need>) -> Why {
    needs.find_map(|need| {
        let meant = |step: &str| {
            step.split_once(':')
                .is_some_and(|(what, name)| what.starts_with("instance.") && name == need.instance)
        };
        wait::failed(meant).map(|why| format!("{} has failed {why}", need.instance))
    })
}

/// Runs a program in an instance, with a time limit.
pub(crate) type Run<'a> = &'a mut dyn FnMut(&[String]) -> Result<Ran, Failure>;

/// Checks once whether an instance that has run for `age` is ready; `pid` is its first process. Without a probe it has to
/// run for a moment, since a broken one usually ends at once.
///
/// # Errors
/// If no check was possible.
pub(crate) fn once(instance: &Instance, pid: u32, age: Duration, run: Run<'_>) -> Result<Why, Failure> {
    match (instance.ready.as_ref().map(|r| &r.probe), instance.nics.first()) {
        (None, _) => Ok((age < SETTLE).then(|| "it has just started".to_owned())),
        (Some(Probe::Command(argv)), _) => {
            let ran = run(argv)?;
            let said = || String::from_utf8_lossy(&ran.stderr);
            let judged = || instance.ready.as_ref().and_then(|r| cloud::judged(r, ran.code, &said()));
            Ok((ran.code != 0).then(|| judged().unwrap_or_else(|| ended(&shown(argv), &ran))))
        }
        (Some(probe), Some(nic)) => tried(probe, nic.address.addr(), pid),
        (Some(_), None) => Ok(None),
    }
}

/// How long `up` waits for an instance.
pub(crate) fn limit(instance: &Instance) -> Duration {
    instance.ready.as_ref().map_or(STARTED, |r| Duration::from_millis(r.timeout_ms))
}

/// The pauses between probes of an instance, until `limit` has passed or without limit.
pub(crate) fn backoff(instance: &Instance, limit: Option<Duration>) -> Backoff {
    Backoff::new(limit, Duration::from_millis(instance.ready.as_ref().map_or(1000, |r| r.interval_ms)))
}

/// The failure of an instance that did not become ready.
pub(crate) fn unready(name: &str, state: State, why: Why) -> Failure {
    let message = format!("{name} is not ready: it is {}", state.word());
    why.into_iter().fold(Failure::new(Kind::Failed, "ct.ready", message), Failure::because)
}

/// A command in short form: of a script only the first words.
fn shown(argv: &[String]) -> String {
    const MOST: usize = 60;
    let line = argv.join(" ").replace('\n', " ");
    if line.chars().count() <= MOST {
        line
    } else {
        line.chars().take(MOST - 3).chain("...".chars()).collect()
    }
}

/// How a program in an instance ended, with the last line of its standard error.
pub(crate) fn ended(what: &str, ran: &Ran) -> String {
    let said = common::host::program::tail(&ran.stderr).pop().map(|line| format!(": {line}"));
    format!("{what} ended with {}{}", ran.code, said.unwrap_or_default())
}

/// The failure of an interrupted wait.
pub(crate) fn interrupted(name: &str, why: Why) -> Failure {
    let message = format!("interrupted while {name} was not ready; it is kept and continues to start");
    why.into_iter().fold(Failure::new(Kind::Failed, "ct.interrupted", message), Failure::because)
}

/// `starting, 12 s of 60, tcp:10.30.0.5:5432: refused`: the end may be cut off.
pub(crate) fn waits(condition: &Condition, spent: Duration, most: Duration) -> String {
    let why = condition.why.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
    format!("{}, {} s of {}{why}", condition.state.word(), spent.as_secs(), most.as_secs())
}
