//! Runs lsx's own programs for instances: lsx-net with JSON, and this one as a holder of namespaces.

use crate::model::Instance;
use common::Failure;
use common::host::Program;
use common::host::service::{OpenProgram, sibling};
use serde_json::json;
use std::process::{Child, Stdio};
use std::sync::OnceLock;

/// The program of networks.
const NET: &str = "lsx-net";

/// lsx-net, if this process holds it.
static HELD: OnceLock<OpenProgram> = OnceLock::new();

/// Holds lsx-net for the life of this process: a supervisor starts its instance again although the files of lsx are gone.
pub(crate) fn hold() {
    if let Ok(held) = OpenProgram::open(NET) {
        let _ = HELD.set(held);
    }
}

/// The program, with -q.
pub(crate) fn program(verb: &str) -> Program {
    let path = HELD.get().map_or_else(|| sibling(NET).to_string_lossy().into_owned(), OpenProgram::path);
    Program::new(&path).args(["--quiet", verb])
}

/// Attaches the interfaces of an instance to the network namespace of a process; `adopt` takes over those created by an
/// engine.
///
/// # Errors
/// Failures of lsx-net.
pub(crate) fn attach(stack: &str, instance: &Instance, pid: u32, adopt: bool) -> Result<(), Failure> {
    run("attach", stack, instance, pid, adopt)
}

/// Removes them.
///
/// # Errors
/// Failures of lsx-net.
pub(crate) fn detach(stack: &str, instance: &Instance, pid: u32) -> Result<(), Failure> {
    run("detach", stack, instance, pid, false)
}

fn run(verb: &str, stack: &str, instance: &Instance, pid: u32, adopt: bool) -> Result<(), Failure> {
    if instance.nics.is_empty() {
        return Ok(());
    }
    let mut lines = String::new();
    for nic in &instance.nics {
        let mut line = json!(nic);
        line["stack"] = json!(stack);
        line["instance"] = json!(instance.name);
        line["pid"] = json!(pid);
        if adopt {
            line["adopt"] = json!(true);
        }
        lines += &format!("{line}\n");
    }
    program(verb).run(lines.as_bytes()).map(|_| ())
}

/// Starts a process that holds a user namespace, or with `--net` a network namespace, until its input ends; it reports when
/// it is ready.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn holder(flags: &[&str]) -> Result<Child, Failure> {
    let holder = Program::new("/proc/self/exe").args(["hold"]).args(flags);
    holder.start(Stdio::piped(), Stdio::piped(), Stdio::null())
}
