//! The host that is this machine: in this process, or by sudo.

use super::ended::Stderr;
use super::session::{End, Session};
use super::{Shared, verdict};
use crate::{Failure, Kind};
use std::process::Stdio;
use std::sync::Arc;

/// The in-process host: `agent` in a thread, over a pair of sockets.
pub(super) async fn here(shared: &Shared) -> Result<Session, Failure> {
    let failed = |e| Failure::new(Kind::Failed, "fleet.thread", "cannot start the local host").because(e);
    let (near, far) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    near.set_nonblocking(true).map_err(failed)?;
    let (reader, writer) = tokio::net::UnixStream::from_std(near).map_err(failed)?.into_split();
    let local = Arc::clone(&shared.local);
    let body = move || local(far);
    let thread = std::thread::Builder::new().name("fleet-local".into()).spawn(body).map_err(failed)?;
    let mut session = Session::new(reader, writer, Stderr::default(), End::Thread(thread));
    if session.hello(shared.tool()).await.is_some() {
        return Ok(session);
    }
    Err(Failure::new(Kind::Bug, "fleet.serve", "the local host did not send its hello"))
}

/// This machine without root: the tool itself, by sudo.
pub(super) async fn sudo(shared: &Shared) -> Result<Session, Failure> {
    let failed = |e| Failure::new(Kind::Failed, "fleet.sudo", "cannot run sudo").because(e);
    let own = std::env::current_exe().map_err(failed)?;
    // Even a replaced binary can still be run through this path.
    let own = if own.exists() { own } else { format!("/proc/{}/exe", std::process::id()).into() };
    let mut command = tokio::process::Command::new("sudo");
    command.arg("-n").arg(own).arg("agent").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| {
        let hint = "run as root, or install sudo with the rule: USER ALL=(root) NOPASSWD: ALL";
        Failure::new(Kind::Denied, "fleet.sudo", "this host needs root, and sudo cannot be run")
            .because(e)
            .hint(hint)
    })?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return Err(Failure::new(Kind::Bug, "fleet.sudo", "no pipes"));
    };
    let mut session = Session::new(stdout, stdin, Stderr::of(stderr), End::Child(Box::new(child)));
    if session.hello(shared.tool()).await.is_some() {
        return Ok(session);
    }
    Err(verdict::sudo(&session.ended().await, None))
}
