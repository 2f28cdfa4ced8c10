//! Kills programs in instances when the process that runs them is killed: a separate process, which gets them through a
//! pipe and notices when its other end closes.

use crate::lxd::kill_beside;
use common::host::{Program, file, wait};
use common::{Failure, Kind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The guard of this process, started with the first program.
static GUARD: Mutex<Option<ChildStdin>> = Mutex::new(None);
/// How long to wait for a runtime that was starting a program.
const BEGIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);
/// How long to wait for a server that was starting a program, and the interval of looks, which read all of /proc.
const SERVED: Duration = Duration::from_secs(20);
const LOOK_FOR: Duration = Duration::from_millis(100);

/// A program that is guarded until this is dropped.
pub(crate) struct Watch(PathBuf);

impl Watch {
    /// Announces a program whose number a runtime will write to a file.
    pub(crate) fn over(pid_file: &Path) -> Watch {
        tell(&format!("begin {}\n", pid_file.display()));
        Watch(pid_file.to_owned())
    }

    /// The program has started.
    pub(crate) fn begun(&self, pid: i32) {
        tell(&format!("pid {pid} {}\n", self.0.display()));
    }
}

/// Programs with this mark in an instance of LXD or Incus, guarded until this is dropped.
pub(crate) struct Marked(String);

impl Marked {
    /// Announces programs beside the first process of an instance.
    pub(crate) fn over(init: u32, mark: &str) -> Marked {
        tell(&format!("marked {init} {mark}\n"));
        Marked(mark.to_owned())
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        tell(&format!("unmarked {}\n", self.0));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        tell(&format!("end {}\n", self.0.display()));
    }
}

/// Without a guard the program only ends with a caller that ends normally.
fn tell(line: &str) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        let begun = Program::new("/proc/self/exe").args(["guard"]).start(
            Stdio::piped(),
            Stdio::null(),
            Stdio::null(),
        );
        *guard = begun.inspect_err(|e| tracing::warn!("{e}")).ok().and_then(|mut child| child.stdin.take());
    }
    let _ = guard.as_mut().map(|pipe| pipe.write_all(line.as_bytes()));
}

/// The verb `guard`: runs until standard input ends; then kills programs that are still running.
///
/// # Errors
/// If it cannot detach.
pub(crate) fn run() -> Result<(), Failure> {
    nix::unistd::setsid().map_err(|e| Failure::new(Kind::Failed, "ct.guard", e.to_string()))?;
    let mut programs: BTreeMap<String, Option<(i32, u64)>> = BTreeMap::new();
    let mut marks: BTreeMap<String, u32> = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("begin"), Some(path), None) => _ = programs.insert(path.to_owned(), None),
            (Some("end"), Some(path), None) => _ = programs.remove(path),
            (Some("unmarked"), Some(mark), None) => _ = marks.remove(mark),
            (Some("marked"), Some(init), Some(mark)) => {
                marks.extend(init.parse().ok().map(|init| (mark.to_owned(), init)));
            }
            (Some("pid"), Some(pid), Some(path)) => {
                let pid = pid.parse().ok().filter(|pid| *pid > 1);
                programs.insert(path.to_owned(), pid.and_then(|pid| Some((pid, began(pid)?))));
            }
            _ => {}
        }
    }
    programs.into_iter().for_each(|(path, program)| end(Path::new(&path), program));
    marks.into_iter().for_each(|(mark, init)| end_marked(init, &mark));
    Ok(())
}

/// The server may start a program that it was asked for after its caller was killed.
fn end_marked(init: u32, mark: &str) {
    let mut found = false;
    wait::until(SERVED, LOOK_FOR, || {
        let ended = kill_beside(init, &|other| other == mark);
        found |= ended > 0;
        found && ended == 0
    });
}

fn end(path: &Path, mut program: Option<(i32, u64)>) {
    let number = || file::read(path).ok().flatten()?.trim().parse::<i32>().ok().filter(|pid| *pid > 1);
    if program.is_none() {
        wait::until(BEGIN, LOOK, || {
            program = number().and_then(|pid| Some((pid, began(pid)?)));
            program.is_some()
        });
    }
    let Some((pid, since)) = program else { return };
    // The number may belong to another process by now.
    if began(pid) == Some(since) {
        let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = file::remove(path);
}

/// When a process started, in ticks since boot (proc_pid_stat(5)).
fn began(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
