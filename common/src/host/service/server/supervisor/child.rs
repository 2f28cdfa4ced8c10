//! A worker, as its supervisor sees it.

use super::failed;
use crate::failure::Failure;
use crate::host::service::log::Log;
use crate::host::service::server::{STEP, Server};
use crate::host::service::sockets::{self, Pair};
use crate::host::service::{OpenProgram, worker};
use crate::host::{Program, limit, namespace, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Without a line for so long, a worker is ended.
const SILENT: Duration = worker::BEAT.saturating_mul(12);
/// Time limit for a worker without a supervisor to pass its sockets.
const ADOPT: Duration = Duration::from_secs(5);
/// The longest line of a worker.
const LINE: usize = 64 * 1024;

pub(super) struct Child {
    /// None if another supervisor started it.
    process: Option<process::Child>,
    pid: u32,
    line: UnixStream,
    text: Vec<u8>,
    loaded: Option<String>,
    refused: Option<String>,
    counts: Option<Value>,
    gone: bool,
    heard: Instant,
}

/// Takes over a worker that an earlier supervisor left, with its sockets.
pub(super) fn adopt(server: &Server) -> Option<(Child, Vec<Pair>)> {
    let line = UnixStream::connect(server.next()).ok()?;
    line.set_read_timeout(Some(ADOPT)).ok()?;
    let all = worker::pairs(sockets::receive(&line).ok()?).ok()?;
    let pair = |(udp, tcp)| Some(Pair { at: sockets::address(&udp)?, udp, tcp });
    let pairs = all.into_iter().map(pair).collect::<Option<Vec<_>>>()?;
    // The kernel would name the process that made the socket: the earlier supervisor.
    let mut child = Child::new(None, 0, line).ok()?;
    wait::until(ADOPT, STEP, || child.said());
    // A worker is not trusted to name a process that is to be killed.
    let pid = i32::try_from(child.pid).ok()?;
    server.processes().contains(&pid).then_some((child, pairs))
}

impl Child {
    fn new(process: Option<process::Child>, pid: u32, line: UnixStream) -> Result<Child, Failure> {
        line.set_nonblocking(true).map_err(|e| failed("use a socket", &e))?;
        let (text, heard) = (Vec::new(), Instant::now());
        Ok(Child { process, pid, line, text, loaded: None, refused: None, counts: None, gone: false, heard })
    }

    /// Starts a worker in a namespace, and passes it the descriptors.
    pub(super) fn start(
        server: &Server,
        program: &OpenProgram,
        space: BorrowedFd<'_>,
        log: &Arc<Log>,
        all: &[BorrowedFd<'_>],
    ) -> Result<Child, Failure> {
        let (line, theirs) = UnixStream::pair().map_err(|e| failed("make a socket", &e))?;
        let program = Program::new(&program.path()).args(server.arguments()).without("NOTIFY_SOCKET");
        let start = || program.start(Stdio::from(OwnedFd::from(theirs)), Stdio::piped(), Stdio::piped());
        let mut process = namespace::inside(space, start).map_err(|e| failed("enter the router", &e))??;
        process.stdout.take().map(|pipe| log.pump("stdout", pipe));
        process.stderr.take().map(|pipe| log.pump("stderr", pipe));
        let pid = process.id();
        let mut child = Child::new(Some(process), pid, line)?;
        // The socket holds this before the worker reads it.
        if let Err(e) = sockets::send(&child.line, all) {
            child.kill();
            return Err(failed("pass the sockets", &e));
        }
        Ok(child)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }

    /// Its network namespace.
    pub(super) fn space(&self) -> String {
        format!("/proc/{}/ns/net", self.pid)
    }

    /// Reads what it has sent.
    fn hear(&mut self) {
        let mut piece = [0; 512];
        loop {
            match self.line.read(&mut piece) {
                Ok(0) => break self.gone = true,
                Ok(n) => self.text.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break self.gone = true,
            }
            self.heard = Instant::now();
            if self.text.len() > LINE {
                if !self.text.contains(&b'\n') {
                    self.text.clear();
                }
                break; // the rest at the next look
            }
        }
        while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            match line.split_once(' ') {
                Some(("ready", what)) => self.ready(what),
                Some(("beat", counts)) => self.counts = serde_json::from_str(counts).ok(),
                Some(("no", why)) => self.refused = Some(limit::text(why)),
                _ => {}
            }
        }
    }

    /// It serves: the digest of its configuration, and its process.
    fn ready(&mut self, what: &str) {
        let Some((digest, process)) = what.split_once(' ') else { return };
        self.loaded = Some(digest.to_owned());
        if self.process.is_none() {
            self.pid = process.parse().ok().filter(|process| i32::try_from(*process).is_ok()).unwrap_or(0);
        }
    }

    /// Whether it has said that it serves or why it does not, or has ended.
    pub(super) fn said(&mut self) -> bool {
        self.hear();
        self.loaded.is_some() || self.refused.is_some() || self.ended()
    }

    /// What it has counted, if it has said so since the last call.
    pub(super) fn counts(&mut self) -> Option<Value> {
        self.counts.take()
    }

    /// The digest of the configuration that it serves.
    pub(super) fn loaded(&self) -> Option<&str> {
        self.loaded.as_deref()
    }

    pub(super) fn refusal(&mut self) -> String {
        match self.refused.clone() {
            Some(why) => format!("the worker refused the configuration: {why}"),
            None if self.ended() => format!("the worker ended at its start: {}", self.status()),
            None => "the worker did not answer after its start".to_owned(),
        }
    }

    pub(super) fn ended(&mut self) -> bool {
        match &mut self.process {
            Some(process) => !matches!(process.try_wait(), Ok(None)),
            None => {
                self.hear();
                self.gone
            }
        }
    }

    pub(super) fn status(&mut self) -> String {
        let status = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
        status.map_or_else(|| "no status".to_owned(), |status| status.to_string())
    }

    /// Whether it was heard of lately.
    pub(super) fn beats(&mut self) -> bool {
        self.hear();
        self.heard.elapsed() < SILENT
    }

    /// Asks it to answer what it has read, and to end.
    pub(super) fn drain(&mut self) {
        let _ = self.line.write_all(b"drain\n");
    }

    /// Ends it at once; false, for use in a filter.
    pub(super) fn kill(&mut self) -> bool {
        match &mut self.process {
            Some(process) => {
                let _ = process.kill();
                let _ = process.wait();
            }
            None if !self.gone && self.pid > 0 => {
                // Its socket is still open, so the number is still its own.
                let pid = i32::try_from(self.pid).unwrap_or(i32::MAX);
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            None => {}
        }
        self.gone = true;
        false
    }
}
