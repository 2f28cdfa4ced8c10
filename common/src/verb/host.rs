//! The host's side of every verb: requests in, replies out; the same in-process, by sudo and over ssh.

use super::input::Input;
use super::request::Request;
use super::revert::Uncommitted;
use crate::document;
use crate::failure::{Failure, Failures, Kind};
use crate::fleet;
use crate::host::kept::Keeper;
use crate::host::service::running;
use crate::host::{Lock, file, received, roll};
use crate::plan::{Context, HostReport, Object, execute_in_order};
use crate::tool::{Change, Observed, ObservedOf, PlanOf, Tool};
use crate::transfer::{Bytes, Machine, code};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How to carry out a plan.
struct How<'a> {
    undo: bool,
    several: bool,
    failpoint: Option<&'a str>,
    cancel: &'a AtomicBool,
}

/// One session on a host; its lock is held until the session ends.
struct Session<T: Tool> {
    tool: T,
    /// Before the lock, because what it holds is undone while the lock is held.
    uncommitted: Uncommitted<T::Object>,
    /// By stack and tool.
    locks: Mutex<BTreeMap<(String, String), Lock>>,
    /// Whether a change that is interrupted is undone.
    undoes: Arc<AtomicBool>,
    /// The number of changes made so far.
    changes: AtomicUsize,
}

impl<T: Tool> Session<T> {
    fn of(tool: &T) -> Session<T> {
        let (uncommitted, changes) = (Uncommitted::new(), AtomicUsize::new(0));
        Session { tool: tool.clone(), uncommitted, locks: Mutex::default(), undoes: Arc::default(), changes }
    }
}

/// Serves requests on a stream, for the host that is this machine.
pub(crate) fn local<T: Tool>(tool: &T) -> fleet::Local {
    let tool = tool.clone();
    Arc::new(move |stream: UnixStream| {
        let Ok(input) = stream.try_clone() else { return };
        let session = Session::of(&tool);
        let _ = fleet::agent(T::PROGRAM, input, stream, &|request, event, cancel| {
            session.answer(request, event, cancel)
        });
    })
}

/// Serves requests on standard input and output: the verb `agent`.
pub(crate) fn agent<T: Tool>(tool: &T) -> Result<(), Failure> {
    let session = Session::of(tool);
    let input = Input { undoes: Arc::clone(&session.undoes), over: false };
    fleet::agent(T::PROGRAM, input, io::stdout(), &|request, event, cancel| {
        session.answer(request, event, cancel)
    })
}

/// What a tool observes on this host, as a document.
pub(crate) fn observe<T: Tool>(tool: &T, stack: Option<&str>) -> Result<ObservedOf<T>, Failure> {
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
                    self.take(stack, [T::NAME], Duration::ZERO, cancel)?;
                }
                Ok(json!(observe(&self.tool, stack.as_deref())?))
            }
            Request::Apply { host, plan, undo, several, failpoint } => {
                self.take(&plan.stack, [T::NAME], Duration::ZERO, cancel)?;
                self.undoes.store(undo, Ordering::SeqCst);
                let how = How { undo, several, failpoint: failpoint.as_deref(), cancel };
                Ok(json!(self.apply(&host, plan, &how, event)))
            }
            Request::Revert => {
                let event = Mutex::new(event);
                let tell = |value| (event.lock().unwrap_or_else(PoisonError::into_inner))(value);
                Ok(json!(self.uncommitted.revert("", &tell)))
            }
            Request::Commit => {
                self.uncommitted.commit();
                Ok(Value::Null)
            }
            Request::Call { name, input } => {
                let event = Mutex::new(event);
                let hear = |value| (event.lock().unwrap_or_else(PoisonError::into_inner))(value);
                self.tool.call(&name, input, cancel, &hear)
            }
            Request::Lacking { digests } => Ok(json!(received::lacking(&*self.store()?, &digests))),
            Request::Receive { piece } => Ok(json!(received::receive(T::NAME, &*self.store()?, &piece)?)),
            Request::Secrets { secrets } => {
                received::keep(T::NAME, &secrets)?;
                Ok(Value::Null)
            }
            Request::Lock { stack, tools, wait_ms } => {
                let tools = tools.iter().map(String::as_str);
                self.take(&stack, tools, Duration::from_millis(wait_ms), cancel)?;
                Ok(Value::Null)
            }
            Request::Unlock => {
                self.held().clear();
                Ok(Value::Null)
            }
            Request::Roll { stack, hosts } => {
                roll::write(&stack, hosts)?;
                Ok(Value::Null)
            }
            Request::Leave { stack } => {
                self.leave(&stack);
                fleet::leave();
                Ok(Value::Null)
            }
            Request::Dependents { stack } => Ok(json!(running::above(&stack, T::NAME, T::ORDER))),
        }
    }

    /// Takes the locks of a stack that this session does not have already, all or none. Every run takes them in the order of
    /// the tools' names, so that no two wait for each other.
    fn take<'t>(
        &self,
        stack: &str,
        tools: impl IntoIterator<Item = &'t str>,
        limit: Duration,
        cancel: &AtomicBool,
    ) -> Result<(), Failure> {
        let (mut held, end) = (self.held(), Instant::now() + limit);
        let mut taken = Vec::new();
        for tool in tools {
            let which = (stack.to_owned(), tool.to_owned());
            if !held.contains_key(&which) {
                let left = end.saturating_duration_since(Instant::now());
                taken.push((which, Lock::wait(stack, tool, left, cancel)?));
            }
        }
        held.extend(taken);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(String, String), Lock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(
        &self,
        host: &str,
        plan: PlanOf<T>,
        how: &How<'_>,
        event: &mut (dyn FnMut(Value) + Send),
    ) -> HostReport {
        if let Some(stale) = self.stale(host, &plan) {
            return HostReport::failed(host, stale.into());
        }
        let plan = Arc::new(plan);
        let change = changer(&self.tool, &plan);
        let event = Mutex::new(event);
        let tell = |value| (event.lock().unwrap_or_else(PoisonError::into_inner))(value);
        let changes = &self.changes;
        let context = Context {
            change: &|before, after| {
                failpoint_hit(how.failpoint, changes);
                change(before, after)
            },
            event: &tell,
            cancel: how.cancel,
            parallel: T::PARALLEL,
            undo: how.undo,
            halves: !T::UNDO, // a tool that always undoes leaves no half-done step
        };
        let (mut report, done) = execute_in_order(host, &plan.steps, &context);
        if how.several && how.undo {
            self.uncommitted.add(
                &plan.stack,
                done.into_iter().map(|i| plan.steps[i].clone()).collect(),
                change,
            );
            if !report.ok {
                let undone = self.uncommitted.revert(host, &tell);
                report.steps.extend(undone.steps);
                report.stuck.extend(undone.stuck);
            }
        }
        if !report.ok {
            self.leave(&plan.stack);
        }
        report
    }

    /// The store of bytes of this host.
    fn store(&self) -> Result<Box<dyn Bytes>, Failure> {
        let none = || Failure::new(Kind::Bug, &code(T::NAME, ".lacks"), "no store of bytes");
        self.tool.bytes(Machine::Host)?.ok_or_else(none)
    }

    /// If no object of the stack is here: removes what was stored before the first step, the record of its hosts and secrets, and
    /// empty folders of a run that was killed before it made its first object.
    fn leave(&self, stack: &str) {
        roll::leave(stack);
        for root in ["/var/lib/lsx", "/run/lsx"] {
            Path::new(root).join(T::NAME).join(stack).ancestors().take(2).for_each(file::remove_empty);
        }
        let nothing = || self.tool.observe(Some(stack)).is_ok_and(|(objects, ..)| objects.is_empty());
        if received::has_secrets(stack, T::NAME) && nothing() {
            let _ = received::forget(stack, T::NAME);
        }
    }

    /// Why this plan must not be carried out here any more, if so.
    fn stale(&self, host: &str, plan: &PlanOf<T>) -> Option<Failure> {
        let base = &plan.hosts.iter().find(|h| h.name == host)?.base;
        if base.is_empty() {
            return None;
        }
        match observe(&self.tool, Some(&plan.stack)) {
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

/// The function that changes an object: the tool's own, then the engine's for what that keeps.
fn changer<T: Tool>(tool: &T, plan: &Arc<PlanOf<T>>) -> Change<T::Object> {
    let (own, keeper, plan) =
        (tool.changer(Arc::clone(plan)), Keeper::of::<T>(&plan.stack), Arc::clone(plan));
    let tool = tool.clone();
    Box::new(move |before, after| {
        let make = || match after {
            Some(object) => tool.intent(&plan, object),
            None => Err(Failure::new(Kind::Bug, "plan.kept", "an intent without a step")),
        };
        let kept = (before.and_then(Object::kept), after.and_then(Object::kept));
        keeper.change(kept, &|| own(before, after), &make, &|digest| plan.contents.get(digest).cloned())
    })
}
