//! Runs programs in a running instance by the runtime, with a limit on every wait. A program's children may keep its output
//! open, so output is read until shortly after its own end, and up to a size limit.

mod output;
mod owner;

use super::disk::InstanceFolders;
use super::runtime::Runtime;
use crate::accounts::Account;
use crate::driver::{Caller, Exec, Hears, Ran};
use crate::guard;
use common::host::{Program, file, wait};
use common::{Failure, Kind};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use output::Output;
pub(crate) use owner::Owner;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long output is read after the end of a program.
const REST: Duration = Duration::from_millis(100);
/// The exit code past the time limit, as of timeout(1).
const LATE: i32 = 124;
/// Intervals of checks whether a program has ended, first and longest.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// A program to run in a container, or the runtime's command for it.
pub(crate) struct ExecSession<'a> {
    /// The command on this host.
    pub(crate) program: Program,
    /// Its standard input.
    pub(crate) input: &'a [u8],
    /// Time limit, after which it is killed.
    pub(crate) deadline: Option<Duration>,
    /// The file where the runtime writes the process id inside; absent for other programs.
    pub(crate) pid_file: Option<&'a Path>,
    /// The file with its specification.
    pub(crate) process: Option<PathBuf>,
    /// Receives its output, which is then not kept.
    pub(crate) hears: Option<Hears<'a>>,
    /// Owner of its pipes, so that it can open /dev/stdout; absent: this process's user.
    pub(crate) owner: Option<Owner>,
}

impl<'a> ExecSession<'a> {
    /// A program in the container `id`, started by its supervisor or another process.
    ///
    /// # Errors
    /// Those of [`process`].
    pub(crate) fn new(
        runtime: &Runtime,
        place: &InstanceFolders,
        id: &str,
        (exec, user): (&'a Exec, Option<&Account>),
        pid_file: &'a Path,
    ) -> Result<Self, Failure> {
        let (process, owner) = process(place, exec, user, false)?;
        // The runtime exits after the start: it would otherwise wait for the output to be closed.
        let program = runtime.program().args(["exec", "--detach", "--pid-file"]).args([pid_file]);
        let program = program.args(["--process"]).args([&process]).args([id]);
        Ok(ExecSession {
            program,
            input: &exec.input,
            deadline: exec.deadline,
            pid_file: Some(pid_file),
            process: Some(process),
            hears: None,
            owner: Some(owner),
        })
    }

    /// Runs it for a caller: it ends with the caller, also if that is killed.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn run_for(mut self, caller: Caller<'a>) -> Result<Ran, Failure> {
        self.hears = caller.hears;
        let guard = self.pid_file.map(guard::Watch::over);
        let mut told = false;
        let pid_file = self.pid_file;
        self.run(&mut |time| {
            if let (Some(guard), Some(pid)) = (guard.as_ref().filter(|_| !told), pid_file.and_then(number)) {
                guard.begun(pid);
                told = true;
            }
            caller.gone() || patient(time)
        })
    }

    /// Runs it. `pause` is called repeatedly, waits for at most a time, and returns whether to stop.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn run(self, pause: &mut dyn FnMut(Duration) -> bool) -> Result<Ran, Failure> {
        if self.pid_file.is_some() {
            // The runtime exits after the start; then its new parent gets its exit status.
            let _ = nix::sys::prctl::set_child_subreaper(true);
        }
        let mut child = self.program.start(Stdio::piped(), Stdio::piped(), Stdio::piped())?;
        if let Some(owner) = &self.owner {
            owner.of(&mut child)?;
        }
        let (input, stdin) = (self.input.to_vec(), child.stdin.take());
        std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
        let (stdout, stderr) = (Output::of(child.stdout.take()), Output::of(child.stderr.take()));
        stdout.keep_up(self.hears.is_some());
        stderr.keep_up(self.hears.is_some());
        let tell = || {
            let Some(hears) = self.hears else { return };
            for (stream, output) in [("stdout", &stdout), ("stderr", &stderr)] {
                let piece = output.take();
                if !piece.is_empty() {
                    hears(stream, &piece);
                }
            }
        };
        let end = self.deadline.map(|limit| Instant::now() + limit);
        let mut over = |look| {
            tell();
            end.is_some_and(|end| Instant::now() >= end) || pause(look)
        };
        let begun = until(&mut over, || ended(&mut child));
        let inside = self.pid_file.and_then(number).map(Pid::from_raw);
        let code = match (begun, inside) {
            (Some(0), Some(pid)) => until(&mut over, || reaped(pid)).unwrap_or_else(|| finish(pid)),
            // The runtime's own failure to start it.
            (Some(_), None) if self.pid_file.is_some() => unable(&stderr.seen()),
            (Some(code), _) => code,
            (None, _) => {
                inside.map(finish);
                let _ = child.kill();
                let _ = child.wait();
                LATE
            }
        };
        self.pid_file.into_iter().chain(self.process.as_deref()).for_each(|path| _ = file::remove(path));
        // Another process may keep the pipe open for ever.
        wait::until(REST, LOOK.0, || {
            tell();
            stdout.ended() && stderr.ended()
        });
        tell();
        let ((stdout, cut), (stderr, more)) = (stdout.rest(), stderr.rest());
        Ok(Ran { code, stdout, stderr, cut: cut + more })
    }
}

/// The exit code if a runtime could not start a program, as in a shell: 127 if it is missing, 126 if it cannot be run.
fn unable(said: &str) -> i32 {
    let said = said.to_lowercase();
    let missing = ["no such file", "not found"].iter().any(|words| said.contains(words));
    let barred = ["permission denied", "exec format", "is a directory", "not executable"];
    match (missing, barred.iter().any(|words| said.contains(words))) {
        (_, true) => 126,
        (true, _) => 127,
        _ => 1,
    }
}

/// The process inside, when the runtime has written its number.
fn number(path: &Path) -> Option<i32> {
    file::read(path).ok().flatten()?.trim().parse::<i32>().ok().filter(|pid| *pid > 1)
}

/// Writes the program as a process of the specification. With flags, runc adds variables to the instance's own and crun
/// uses only those, runc uses the instance's user and crun root; and a command line can be read by everybody.
///
/// # Errors
/// If nothing can be written.
pub(super) fn process(
    place: &InstanceFolders,
    exec: &Exec,
    user: Option<&Account>,
    terminal: bool,
) -> Result<(PathBuf, Owner), Failure> {
    let config = config(place)?;
    let mut process = config["process"].clone();
    process["args"] = json!(exec.argv);
    process["terminal"] = json!(terminal);
    if let Some(folder) = &exec.workdir {
        process["cwd"] = json!(folder);
    }
    if let Some(user) = user {
        process["user"] = json!({"uid": user.user, "gid": user.group, "additionalGids": user.further});
    }
    let own = process["env"].as_array().cloned().unwrap_or_default();
    let named = |entry: &Value, name: &str| {
        entry.as_str().and_then(|e| e.split_once('=')).is_some_and(|e| e.0 == name)
    };
    let mut env: Vec<Value> =
        own.into_iter().filter(|entry| !exec.env.iter().any(|(name, _)| named(entry, name))).collect();
    env.extend(exec.env.iter().map(|(name, value)| json!(format!("{name}={value}"))));
    process["env"] = json!(env);
    let owner = Owner::new(&config, &process);
    file::lend(&place.run, process.to_string().as_bytes()).map(|path| (path, owner))
}

fn config(place: &InstanceFolders) -> Result<Value, Failure> {
    let failed = |what: &str| Failure::new(Kind::Failed, "ct.exec", format!("cannot run it: {what}"));
    let config = file::read(&place.run.join("config.json"))?.unwrap_or_default();
    serde_json::from_str(&config).map_err(|e| failed(&format!("config.json: {e}")))
}

/// Waits until there is an answer, or the time is over.
fn until(over: &mut dyn FnMut(Duration) -> bool, mut ask: impl FnMut() -> Option<i32>) -> Option<i32> {
    let mut look = LOOK.0;
    loop {
        if let Some(code) = ask() {
            return Some(code);
        }
        if over(look) {
            return None;
        }
        look = (look * 2).min(LOOK.1);
    }
}

/// Waits without ever stopping.
pub(crate) fn patient(time: Duration) -> bool {
    wait::until(time, time, || false)
}

/// Its exit code; 128 plus the signal that ended it.
fn ended(child: &mut Child) -> Option<i32> {
    match child.try_wait() {
        Ok(None) => None,
        Ok(Some(status)) => Some(status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(-1)),
        Err(_) => Some(-1),
    }
}

/// The same for a process whose parent has exited.
fn reaped(pid: Pid) -> Option<i32> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
        Ok(_) | Err(nix::Error::EINTR) => None,
        Err(_) => Some(-1),
    }
}

/// Kills the process inside with its process group: the runtime makes it a session leader.
fn finish(pid: Pid) -> i32 {
    let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
    wait::until(REST, LOOK.0, || reaped(pid).is_some());
    LATE
}

#[cfg(test)]
mod tests;
