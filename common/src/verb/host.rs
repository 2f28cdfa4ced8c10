//! The host's side of every verb: requests in, replies out; the same in-process, by sudo and over ssh.

use crate::document;
use crate::failure::{Failure, Failures, Kind};
use crate::fleet;
use crate::host::{Lock, roll, wait};
use crate::plan::{Context, HostReport, execute};
use crate::signal;
use crate::tool::{Observed, ObservedOf, PlanOf, Tool};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request of the controller to a host.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request<P> {
    Observe {
        stack: Option<String>,
        #[serde(default)]
        lock: bool,
    },
    Apply {
        host: String,
        plan: P,
        undo: bool,
        #[serde(default)]
        failpoint: Option<String>,
    },
    Call {
        name: String,
        input: Value,
    },
    /// Takes the lock of a stack, and waits for it.
    Lock {
        stack: String,
        wait_ms: u64,
    },
    /// Releases it before the session ends.
    Unlock,
    /// Records the hosts that a stack has had.
    Roll {
        stack: String,
        hosts: BTreeSet<Ipv4Addr>,
    },
    Leave {
        stack: String,
    },
}

/// How to carry out a plan.
struct How<'a> {
    undo: bool,
    failpoint: Option<&'a str>,
    cancel: &'a AtomicBool,
}

/// One session on a host; its lock is held until the session ends.
struct Session<T> {
    tool: T,
    lock: Mutex<Option<Lock>>,
    /// Whether a change that is interrupted is undone.
    undoes: Arc<AtomicBool>,
}

impl<T> Session<T> {
    fn of(tool: T) -> Session<T> {
        Session { tool, lock: Mutex::new(None), undoes: Arc::default() }
    }
}

/// How long a change that is not undone may continue after its controller has ended: to finish its step and release the
/// lock.
const LAST: Duration = Duration::from_secs(10);

/// Watches standard input, whose end means that the controller has ended or wants this host to stop: all waits are ended.
/// After [`AFTER`] the process exits, since the next run repairs what is left, unless it is undoing its steps.
struct Input {
    undoes: Arc<AtomicBool>,
    over: bool,
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = io::stdin().read(to);
        if !matches!(read, Ok(1..)) && !std::mem::replace(&mut self.over, true) {
            signal::stop();
            let undoes = Arc::clone(&self.undoes);
            let _ = std::thread::Builder::new().name("last".to_owned()).spawn(move || last(&undoes));
        }
        read
    }
}

fn last(undoes: &AtomicBool) {
    wait::until(LAST, LAST, || false);
    if !undoes.load(Ordering::SeqCst) {
        #[expect(clippy::exit, reason = "the controller has ended, and the kernel releases the lock")]
        std::process::exit(i32::from(Kind::Failed.exit()));
    }
}

/// Serves requests on a stream, for the host that is this machine.
pub(crate) fn local<T: Tool>(tool: T) -> fleet::Local {
    Arc::new(move |stream: UnixStream| {
        let Ok(input) = stream.try_clone() else { return };
        let session = Session::of(tool);
        let _ = fleet::agent(T::PROGRAM, input, stream, &|request, event, cancel| {
            session.answer(request, event, cancel)
        });
    })
}

/// Serves requests on standard input and output: the verb `agent`.
pub(crate) fn agent<T: Tool>(tool: T) -> Result<(), Failure> {
    let session = Session::of(tool);
    let input = Input { undoes: Arc::clone(&session.undoes), over: false };
    fleet::agent(T::PROGRAM, input, io::stdout(), &|request, event, cancel| {
        session.answer(request, event, cancel)
    })
}

/// What a tool observes on this host, as a document.
pub(crate) fn observe<T: Tool>(tool: T, stack: Option<&str>) -> Result<ObservedOf<T>, Failure> {
    let (objects, seen, warnings) = tool.observe(stack)?;
    Ok(Observed {
        schema: document::schema(T::NAME, "observed"),
        stack: stack.map(str::to_owned),
        only: None,
        host: crate::host::name(),
        base: tool.base(&objects, &seen),
        stack_hosts: stack.map(roll::read).unwrap_or_default().into_iter().collect(),
        warnings,
        objects,
        seen,
    })
}

impl<T: Tool> Session<T> {
    fn answer(
        &self,
        request: Value,
        event: &mut (dyn FnMut(Value) + Send),
        cancel: &AtomicBool,
    ) -> Result<Value, Failures> {
        let request: Request<PlanOf<T>> = serde_json::from_value(request).map_err(|e| {
            Failure::new(Kind::Bug, "serve.request", format!("a request this tool does not know: {e}"))
        })?;
        match request {
            Request::Observe { stack, lock } => {
                if let (true, Some(stack)) = (lock, &stack) {
                    self.take(stack, Duration::ZERO, cancel)?;
                }
                Ok(json!(observe(self.tool, stack.as_deref())?))
            }
            Request::Apply { host, plan, undo, failpoint } => {
                self.take(&plan.stack, Duration::ZERO, cancel)?;
                self.undoes.store(undo, Ordering::SeqCst);
                let how = How { undo, failpoint: failpoint.as_deref(), cancel };
                Ok(json!(self.apply(&host, &plan, &how, event)))
            }
            Request::Call { name, input } => {
                let event = Mutex::new(event);
                let hear = |value| (event.lock().unwrap_or_else(PoisonError::into_inner))(value);
                self.tool.call(&name, input, cancel, &hear)
            }
            Request::Lock { stack, wait_ms } => {
                self.take(&stack, Duration::from_millis(wait_ms), cancel)?;
                Ok(Value::Null)
            }
            Request::Unlock => {
                self.held().take();
                Ok(Value::Null)
            }
            Request::Roll { stack, hosts } => {
                roll::write(&stack, hosts)?;
                Ok(Value::Null)
            }
            Request::Leave { stack } => {
                roll::leave(&stack);
                fleet::leave();
                Ok(Value::Null)
            }
        }
    }

    /// Takes the stack's lock unless this session has it already.
    fn take(&self, stack: &str, limit: Duration, cancel: &AtomicBool) -> Result<(), Failure> {
        let mut held = self.held();
        if held.is_none() {
            *held = Some(Lock::wait(stack, T::NAME, limit, cancel)?);
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<Lock>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(
        &self,
        host: &str,
        plan: &PlanOf<T>,
        how: &How<'_>,
        event: &mut (dyn FnMut(Value) + Send),
    ) -> HostReport {
        if let Some(stale) = self.stale(host, plan) {
            return HostReport::failed(host, stale.into());
        }
        let change = self.tool.changer(plan);
        let event = Mutex::new(event);
        let count = AtomicUsize::new(0);
        let context = Context {
            change: &|before, after| {
                failpoint_hit(how.failpoint, &count);
                change(before, after)
            },
            event: &|value| (event.lock().unwrap_or_else(PoisonError::into_inner))(value),
            cancel: how.cancel,
            parallel: T::PARALLEL,
            undo: how.undo,
            halves: !T::UNDO, // a tool that always undoes leaves no half-done step
        };
        let report = execute(host, &plan.steps, &context);
        if !report.ok {
            roll::leave(&plan.stack); // the note was written before the steps: undone, they leave none
        }
        report
    }

    /// Why this plan must not be carried out here any more, if so.
    fn stale(&self, host: &str, plan: &PlanOf<T>) -> Option<Failure> {
        let base = &plan.hosts.iter().find(|h| h.name == host)?.base;
        if base.is_empty() {
            return None;
        }
        match observe(self.tool, Some(&plan.stack)) {
            Ok(now) if now.base == *base => None,
            Ok(_) => Some(stale()),
            Err(failure) => Some(failure),
        }
    }
}

/// The failure of a stale plan.
pub(super) fn stale() -> Failure {
    let message = "the host has changed since the plan was made; nothing was done";
    Failure::new(Kind::Again, "plan.stale", message).hint("make a new plan and review it")
}

/// For tests: ends a debug build before its nth change, as a power failure would.
fn failpoint_hit(failpoint: Option<&str>, count: &AtomicUsize) {
    let n = count.fetch_add(1, Ordering::SeqCst);
    if cfg!(debug_assertions) && failpoint.and_then(|f| f.parse().ok()) == Some(n) {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}
