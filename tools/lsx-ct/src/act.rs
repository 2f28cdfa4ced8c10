//! The verbs beside the plan, on one host: run a program in instances, start, stop, look at their logs.

mod answers;
mod top;

pub use answers::{Acted, Line, Ran, Top};

use crate::apply::GRACE;
use crate::driver::{Exec, Found};
use crate::engines;
use crate::model::{Condition, State};
use crate::oci::ended_well;
use crate::oci::inside::{self, Inside};
use crate::{ready, supply};
use common::host::{Program, wait};
use common::stack::Driver;
use common::{Failure, Failures, Kind, document};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An instance that a verb is about; without a name it is the host itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its stack.
    pub stack: String,
    /// Its name.
    pub name: String,
}

/// What is to be done to some instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// To whom.
    pub targets: Vec<Target>,
    /// `exec`: what is run.
    #[serde(default)]
    pub exec: Exec,
    /// How many at once.
    #[serde(default)]
    pub parallel: usize,
    /// `logs`: how many lines of each.
    #[serde(default)]
    pub lines: usize,
    /// `wait`: how long.
    #[serde(default)]
    pub timeout_ms: u64,
    /// `stop`, `restart`: how long an instance has to end by itself; absent: 10 s.
    #[serde(default)]
    pub grace_ms: Option<u64>,
}

impl Order {
    /// Nothing but to whom.
    pub fn to(targets: Vec<Target>) -> Order {
        Order { targets, exec: Exec::default(), parallel: 8, lines: 0, timeout_ms: 0, grace_ms: None }
    }
}

/// Answers a call from a controller.
///
/// # Errors
/// When the whole call failed; what failed for one target stands with it.
pub fn call(name: &str, input: Value, cancel: &AtomicBool) -> Result<Value, Failures> {
    match name {
        "runtime" => return Ok(supply::runtime(&input)?),
        "lacks" => return Ok(supply::lacks(&input)?),
        "receive" => return Ok(supply::receive(input)?),
        "secrets" => return Ok(supply::keep_secrets(&input)?),
        _ => {}
    }
    let order: Order = serde_json::from_value(input)
        .map_err(|e| Failure::new(Kind::Bug, "ct.call", format!("{name}: {e}")))?;
    Ok(match name {
        "top" => json!(top::top(&order)?),
        "exec" => json!(many(&order, cancel, |target| exec(target, &order.exec))),
        "logs" => json!(many(&order, cancel, |target| logs(target, order.lines)).concat()),
        _ => json!(many(&order, cancel, |target| act(name, target, &order))),
    })
}

/// Every target, some at once, answers in their order.
fn many<A: Send>(order: &Order, cancel: &AtomicBool, one: impl Fn(&Target) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    let work = || {
        while let Some((n, target)) =
            order.targets.iter().enumerate().nth(next.fetch_add(1, Ordering::SeqCst))
        {
            if cancel.load(Ordering::Relaxed) {
                return;
            }
            let answer = one(target);
            if let Ok(mut answers) = answers.lock() {
                answers.push((n, answer));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..order.parallel.clamp(1, order.targets.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_default();
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The instances of this host, of all stacks, by engine.
///
/// # Errors
/// When an engine cannot be asked.
pub fn all(stack: Option<&str>) -> Result<Vec<(Driver, Found)>, Failure> {
    let mut all = Vec::new();
    for (kind, engine) in engines::working() {
        all.extend(engine.list(stack)?.into_iter().map(|found| (kind, found)));
    }
    Ok(all)
}

fn find(target: &Target) -> Result<(Driver, Found), Failure> {
    engines::found(&target.stack, &target.name)?.ok_or_else(|| {
        Failure::new(Kind::Failed, "ct.instance", format!("{} is not there", target.name))
            .hint("`lsx-ct observe --table` shows what is")
    })
}

fn exec(target: &Target, exec: &Exec) -> Ran {
    let begin = Instant::now();
    let ran = match target.name.is_empty() {
        true => on_host(exec),
        false => find(target)
            .and_then(|(driver, _)| engines::of(driver, None)?.exec(&target.stack, &target.name, exec)),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let answer = Ran {
        schema: document::schema("ct", "ran"),
        host: common::host::name(),
        stack: target.stack.clone(),
        instance: target.name.clone(),
        ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..Ran::default()
    };
    match ran {
        Ok(ran) => Ran {
            ok: ran.code == 0,
            code: Some(ran.code),
            stdout: text(&ran.stdout),
            stderr: text(&ran.stderr),
            ..answer
        },
        Err(failure) => Ran { stderr: failure.to_string(), ..answer },
    }
}

fn on_host(exec: &Exec) -> Result<crate::driver::Ran, Failure> {
    let (program, args) = exec.argv.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
    let program = exec.env.iter().fold(Program::new(program).args(args), |p, (k, v)| p.env(k, v));
    let inside =
        Inside { program, input: &exec.input, deadline: exec.deadline, pid_file: None, process: None };
    inside.run(&mut inside::patient)
}

fn logs(target: &Target, lines: usize) -> Vec<Line> {
    let found = find(target)
        .and_then(|(driver, _)| engines::of(driver, None)?.logs(&target.stack, &target.name, lines));
    let line = |text: String| {
        let mut words = text.splitn(4, ' ');
        let (at, stream, _, rest) = (words.next(), words.next(), words.next(), words.next());
        let known = at.is_some_and(|at| at.ends_with('Z')) && rest.is_some();
        Line {
            schema: document::schema("ct", "line"),
            host: common::host::name(),
            stack: target.stack.clone(),
            instance: target.name.clone(),
            at: at.filter(|_| known).map(str::to_owned),
            stream: stream.filter(|_| known).map(str::to_owned),
            line: if known { rest.unwrap_or_default().to_owned() } else { text.clone() },
        }
    };
    match found {
        Ok(lines) => lines.into_iter().map(line).collect(),
        Err(failure) => vec![line(failure.message)],
    }
}

/// Starts, stops, restarts, or waits for one.
fn act(what: &str, target: &Target, order: &Order) -> Acted {
    let grace = order.grace_ms.map_or(GRACE, Duration::from_millis);
    let done = || -> Result<(), Failure> {
        let (driver, found) = find(target)?;
        let engine = engines::of(driver, None)?;
        let whole = || {
            found.instance.clone().ok_or_else(|| {
                Failure::new(Kind::Failed, "ct.instance", format!("{} was never made whole", target.name))
                    .hint("`lsx-ct up` repairs it")
            })
        };
        match what {
            "start" => engine.start(&target.stack, &whole()?, false),
            "stop" => engine.stop(&target.stack, &target.name, grace),
            "restart" => {
                engine.stop(&target.stack, &target.name, grace)?;
                engine.start(&target.stack, &whole()?, false)
            }
            "wait" => await_ready(target, Duration::from_millis(order.timeout_ms)),
            _ => Err(Failure::new(Kind::Bug, "ct.call", format!("{what} is no verb"))),
        }
    }();
    Acted {
        schema: document::schema("ct", "acted"),
        host: common::host::name(),
        stack: target.stack.clone(),
        instance: target.name.clone(),
        done: what.to_owned(),
        ok: done.is_ok(),
        why: done.err().map(|failure| failure.to_string()),
    }
}

fn await_ready(target: &Target, timeout: Duration) -> Result<(), Failure> {
    let mut last = Condition::default();
    let ready = wait::until(timeout, Duration::from_millis(20), || {
        last = find(target).map(|(_, found)| found.condition).unwrap_or_default();
        last.state == State::Running || ended_well(&last)
    });
    if ready {
        return Ok(());
    }
    let message = format!("{} is {} after {} s", target.name, ready::word(last.state), timeout.as_secs());
    let failure = Failure::new(Kind::Failed, "ct.wait", message);
    Err(last.why.into_iter().fold(failure, Failure::because))
}
