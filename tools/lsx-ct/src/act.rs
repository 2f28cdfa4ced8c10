//! The verbs on instances of one host, without a plan: run a program, start, stop, read logs.

mod answers;
mod logs;
mod top;
mod verdict;

pub(crate) use answers::{Acted, Had, Line, Ran, RecipeAt, RecipeState, Top};
pub(crate) use verdict::Verdict;

use crate::driver::{Caller, Exec, Found};
use crate::engines;
use crate::grace::{self, GRACE};
use crate::model::{Condition, Instance, State};
use crate::oci::session::ExecSession;
use crate::supervise::waiting;
use crate::transfer;
use base64::Engine as _;
use common::host::{Program, wait};
use common::stack::Driver;
use common::tool::Hear;
use common::{Failure, Failures, Kind, document, signal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An instance that a verb acts on; without a name it is the host itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// Its stack.
    pub stack: String,
    /// Its name.
    pub name: String,
}

/// What to do with some instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The instances.
    pub targets: Vec<Target>,
    /// `exec`: the program.
    #[serde(default)]
    pub exec: Exec,
    /// Number handled at the same time.
    #[serde(default)]
    pub parallel: usize,
    /// `exec`: send output as it is written, and do not keep it.
    #[serde(default)]
    pub hear: bool,
    /// `logs`: number of lines of each.
    #[serde(default)]
    pub lines: usize,
    /// `logs`: only lines since then (RFC 3339).
    #[serde(default)]
    pub since: Option<String>,
    /// `logs`: send later lines as they are written.
    #[serde(default)]
    pub follow: bool,
    /// `wait`: time limit.
    #[serde(default)]
    pub timeout_ms: u64,
    /// `stop`, `restart`: time to wait before an instance is killed; default: 10 s.
    #[serde(default)]
    pub grace_ms: Option<u64>,
}

impl Order {
    /// An order with targets only.
    pub(crate) fn to(targets: Vec<Target>) -> Order {
        Order {
            targets,
            exec: Exec::default(),
            parallel: 8,
            hear: false,
            lines: 0,
            since: None,
            follow: false,
            timeout_ms: 0,
            grace_ms: None,
        }
    }
}

/// A piece of a program's output, sent while it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// The instance or host.
    pub target: Target,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Its bytes, in base64 (RFC 4648 4).
    pub bytes: String,
}

/// Handles a call from a controller.
///
/// # Errors
/// If the whole call failed; the failure of one target is in its answer.
pub(crate) fn call(
    name: &str,
    input: Value,
    cancel: &AtomicBool,
    event: Hear<'_>,
) -> Result<Value, Failures> {
    match name {
        "runtime" => return Ok(transfer::runtime(&input)?),
        "there" => return Ok(Value::Null),
        _ => {}
    }
    let order: Order = serde_json::from_value(input)
        .map_err(|e| Failure::new(Kind::Bug, "ct.call", format!("{name}: {e}")))?;
    Ok(match name {
        "top" => json!(top::top(&order)?),
        "recipes" => json!(many(&order, cancel, had)),
        "check" => json!(many(&order, cancel, |target| {
            verdict::of(target, Duration::from_millis(order.timeout_ms))
        })),
        "exec" => json!(many(&order, cancel, |target| exec(target, &order, cancel, event))),
        "logs" => json!(many(&order, cancel, |target| logs::logs(target, &order, cancel, event)).concat()),
        _ => json!(many(&order, cancel, |target| carry_out(name, target, &order))),
    })
}

/// Handles every target, some in parallel; answers in their order.
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
/// If an engine cannot be queried.
pub(crate) fn all(stack: Option<&str>) -> Result<Vec<(Driver, Found)>, Failure> {
    let mut all = Vec::new();
    for (kind, engine) in engines::working() {
        all.extend(engine.list(stack)?.into_iter().map(|found| (kind, found)));
    }
    Ok(all)
}

fn find(target: &Target) -> Result<(Driver, Found), Failure> {
    engines::found(&target.stack, &target.name)?.ok_or_else(|| {
        Failure::new(Kind::Failed, "ct.instance", format!("{} does not exist on this host", target.name))
            .hint("`lsx-ct observe --table` lists instances")
    })
}

/// A missing instance has had none.
fn had(target: &Target) -> Had {
    let found = find(target).ok().map(|(_, found)| found);
    let (instance, done) = found.map(|found| (found.instance, found.recipes)).unwrap_or_default();
    Had {
        host: common::host::name(),
        stack: target.stack.clone(),
        instance: target.name.clone(),
        wanted: instance.map(|instance| instance.recipes).unwrap_or_default(),
        done,
    }
}

fn exec(target: &Target, order: &Order, cancel: &AtomicBool, event: Hear<'_>) -> Ran {
    let begin = Instant::now();
    let hears = |stream: &'static str, bytes: &[u8]| {
        let bytes = base64::engine::general_purpose::STANDARD.encode(bytes);
        event(json!(Piece { target: target.clone(), stream: stream.to_owned(), bytes }));
    };
    let caller = Caller { cancel, hears: order.hear.then_some(&hears) };
    let exec = &order.exec;
    let ran = match target.name.is_empty() {
        true => on_host(exec, caller),
        false => find(target).and_then(|(driver, _)| {
            engines::of(driver, None)?.exec(&target.stack, &target.name, exec, caller)
        }),
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
            cut_bytes: ran.cut,
            ..answer
        },
        Err(failure) => Ran { stderr: failure.to_string(), ..answer },
    }
}

/// Replaces this process by another program; returns only if that fails.
pub(crate) fn becomes(argv: &[String]) -> Failure {
    let (program, args) = argv.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
    Program::new(program).args(args).become_it()
}

fn on_host(exec: &Exec, caller: Caller<'_>) -> Result<crate::driver::Ran, Failure> {
    let (program, args) = exec.argv.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
    let program = exec.env.iter().fold(Program::new(program).args(args), |p, (k, v)| p.env(k, v));
    let (input, deadline) = (&exec.input, exec.deadline);
    ExecSession { program, input, deadline, pid_file: None, process: None, hears: None, owner: None }
        .run_for(caller)
}

/// Starts, stops, restarts, or waits for one instance.
fn carry_out(what: &str, target: &Target, order: &Order) -> Acted {
    let done = || -> Result<(), Failure> {
        let (driver, found) = find(target)?;
        let engine = engines::of(driver, None)?;
        let own = found.instance.as_ref().map_or(GRACE, grace::of);
        let grace = order.grace_ms.map_or(own, Duration::from_millis);
        let whole = || {
            found.instance.clone().ok_or_else(|| {
                Failure::new(
                    Kind::Failed,
                    "ct.instance",
                    format!("{} is incomplete, since its creation was interrupted", target.name),
                )
                .hint("`lsx-ct up` repairs it")
            })
        };
        match what {
            "start" => start(&*engine, target, &whole()?),
            "stop" => engine.stop(&target.stack, &target.name, grace),
            "restart" => {
                engine.stop(&target.stack, &target.name, grace)?;
                start(&*engine, target, &whole()?)
            }
            "wait" => await_ready(target, Duration::from_millis(order.timeout_ms)),
            _ => Err(Failure::new(Kind::Bug, "ct.call", format!("{what} is not a verb"))),
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

fn start(engine: &dyn crate::driver::Driver, target: &Target, instance: &Instance) -> Result<(), Failure> {
    engine.start(&target.stack, instance, false)?;
    waiting::attend(engine, &target.stack, instance)
}

fn await_ready(target: &Target, timeout: Duration) -> Result<(), Failure> {
    let mut last = Condition::default();
    let ready = |last: &Condition| last.state == State::Running || last.ended_well();
    wait::until(timeout, Duration::from_millis(20), || {
        last = find(target).map(|(_, found)| found.condition).unwrap_or_default();
        ready(&last) || signal::stopping()
    });
    if ready(&last) {
        return Ok(());
    }
    let message = format!("{} is {} after {} s", target.name, last.state.word(), timeout.as_secs());
    let failure = Failure::new(Kind::Failed, "ct.wait", message);
    Err(last.why.into_iter().fold(failure, Failure::because))
}
