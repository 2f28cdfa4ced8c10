//! The first process of an application's instance: starts the application, hands signals on, and reaps what others leave. An
//! application as first process would ignore signals that it has no handler for (pid_namespaces(7)), and reap nobody.

use common::host::Program;
use common::{Failure, Kind};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{FORBIDDEN, SIGCHLD};
use signal_hook::iterator::Signals;
use std::process::Stdio;

/// Runs until the application has ended; returns its exit code, 128 and the signal where one ended it.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(argv: &[String]) -> Result<u8, Failure> {
    let all = (1..32).filter(|signal| !FORBIDDEN.contains(signal));
    let mut signals = Signals::new(all)
        .map_err(|e| Failure::new(Kind::Failed, "ct.init", format!("cannot handle signals: {e}")))?;
    let (program, args) = argv.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
    let child =
        Program::bare(program).args(args).start(Stdio::inherit(), Stdio::inherit(), Stdio::inherit())?;
    let child = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    for signal in signals.forever() {
        match Signal::try_from(signal) {
            Ok(_) if signal == SIGCHLD => {
                if let Some(code) = reap(child) {
                    return Ok(code);
                }
            }
            Ok(signal) => _ = kill(child, signal),
            Err(_) => {}
        }
    }
    Ok(0)
}

/// Everybody who has ended; the code when the application is among them.
fn reap(child: Pid) -> Option<u8> {
    let mut ended = None;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        match status {
            WaitStatus::Exited(pid, code) if pid == child => ended = u8::try_from(code & 0xff).ok(),
            WaitStatus::Signaled(pid, signal, _) if pid == child => {
                ended = u8::try_from(128 + signal as i32).ok()
            }
            WaitStatus::StillAlive => break,
            _ => {}
        }
    }
    ended
}
