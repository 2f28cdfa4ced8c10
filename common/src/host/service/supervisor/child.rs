//! The process of a service, as its supervisor sees it: a program, or a worker with a line to it.

use super::{STEP, failed};
use crate::failure::{Failure, Kind};
use crate::host::service::kept::KeptService;
use crate::host::service::log::Log;
use crate::host::service::sockets::{self, Pair};
use crate::host::service::worker;
use crate::host::{Program, limit, namespace, wait};
use crate::plan::{Definition, Runs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The program of a worker: that of its supervisor, also after an upgrade has removed its file.
const OWN: &str = "/proc/self/exe";
/// A program that ends sooner than this has not been started.
const STARTED: Duration = Duration::from_millis(300);
/// Time limit for a program to end when it is asked to.
const END: Duration = Duration::from_secs(10);
/// Without a line for so long, a worker is ended.
const SILENT: Duration = worker::BEAT.saturating_mul(12);
/// Time limit for a worker without a supervisor to pass its sockets, and to say what it serves. Both together are less than a new
/// supervisor has to begin.
const ADOPT: Duration = Duration::from_secs(20);
/// The longest line of a worker.
const LINE: usize = 64 * 1024;

pub(super) struct Child {
    /// None if another supervisor started it.
    process: Option<process::Child>,
    pid: u32,
    began: Instant,
    /// The line to a worker.
    line: Option<UnixStream>,
    text: Vec<u8>,
    loaded: Option<String>,
    refused: Option<String>,
    counts: Option<Value>,
    gone: bool,
    heard: Instant,
}

/// Takes over a worker that an earlier supervisor left, with its sockets.
pub(super) fn adopt(of: &KeptService) -> Option<(Child, Vec<Pair>)> {
    let line = UnixStream::connect(of.next()).ok()?;
    line.set_read_timeout(Some(ADOPT)).ok()?;
    let all = worker::pairs(sockets::receive(&line).ok()?).ok()?;
    let pair = |(udp, tcp)| Some(Pair { at: sockets::address(&udp)?, udp, tcp });
    let pairs = all.into_iter().map(pair).collect::<Option<Vec<_>>>()?;
    line.set_nonblocking(true).ok()?;
    // The kernel would name the process that made the socket: the earlier supervisor.
    let mut child = Child::new(None, 0, Some(line));
    wait::until(ADOPT, STEP, || child.said());
    // A worker is not trusted to name a process that is to be killed.
    let pid = i32::try_from(child.pid).ok()?;
    of.processes().contains(&pid).then_some((child, pairs))
}

impl Child {
    fn new(process: Option<process::Child>, pid: u32, line: Option<UnixStream>) -> Child {
        let (text, began) = (Vec::new(), Instant::now());
        let (loaded, refused, counts, gone) = (None, None, None, false);
        Child { process, pid, began, line, text, loaded, refused, counts, gone, heard: began }
    }

    /// Starts it in a namespace: a program with its argument list, or a worker, which gets the descriptors.
    pub(super) fn start(
        of: &KeptService,
        definition: &Definition,
        argv: &[String],
        space: BorrowedFd<'_>,
        log: &Arc<Log>,
        all: &[BorrowedFd<'_>],
    ) -> Result<Child, Failure> {
        let damaged = || Failure::new(Kind::Data, "host.service", "the definition has no program");
        let (program, stdin, line) = match &definition.runs {
            Runs::Program(_) => {
                let (first, more) = argv.split_first().ok_or_else(damaged)?;
                (Program::bare(first).args(more), Stdio::null(), None)
            }
            Runs::Server { .. } => {
                let (line, theirs) = UnixStream::pair().map_err(|e| failed("make a socket", &e))?;
                line.set_nonblocking(true).map_err(|e| failed("use a socket", &e))?;
                (Program::bare(OWN).args(of.worker()), Stdio::from(OwnedFd::from(theirs)), Some(line))
            }
        };
        let (name, value) = of.mark();
        let mut program = program.env(name, &value).without("NOTIFY_SOCKET");
        if definition.unprivileged {
            program = program.user(of.user());
        }
        let start = || {
            if definition.unprivileged {
                // Of this thread, and of what it starts: no program gains rights (prctl(2)).
                nix::sys::prctl::set_no_new_privs().map_err(|e| failed("give up rights", &e.into()))?;
            }
            program.start(stdin, Stdio::piped(), Stdio::piped())
        };
        let mut process = namespace::inside(space, start).map_err(|e| failed("enter the router", &e))??;
        process.stdout.take().map(|pipe| log.pump("stdout", pipe));
        process.stderr.take().map(|pipe| log.pump("stderr", pipe));
        let pid = process.id();
        let mut child = Child::new(Some(process), pid, line);
        // The socket holds this before the worker reads it.
        if let Some(Err(e)) = child.line.as_ref().map(|line| sockets::send(line, all)) {
            child.stop();
            return Err(failed("pass the sockets", &e));
        }
        Ok(child)
    }

    /// Whether it is a worker, which another one can take over from.
    pub(super) const fn hands_over(&self) -> bool {
        self.line.is_some()
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its network namespace.
    pub(super) fn space(&self) -> String {
        format!("/proc/{}/ns/net", self.pid)
    }

    /// Reads what it has sent.
    fn hear(&mut self) {
        let mut piece = [0; 512];
        let Some(line) = &mut self.line else { return };
        loop {
            match line.read(&mut piece) {
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

    /// Whether it is known that it runs, or that it does not.
    pub(super) fn said(&mut self) -> bool {
        self.hear();
        self.loaded.is_some() || self.refused.is_some() || self.stays() || self.ended()
    }

    /// It is about to read its files again, which it may not survive.
    pub(super) fn again(&mut self) {
        self.began = Instant::now();
    }

    /// Whether it is a program that did not end at its start.
    pub(super) fn stays(&self) -> bool {
        self.line.is_none() && self.began.elapsed() >= STARTED
    }

    /// Whether it runs with the definition of this digest. Of a program there is no other.
    pub(super) fn runs(&mut self, digest: &str) -> bool {
        !self.ended() && (self.stays() || self.loaded.as_deref() == Some(digest))
    }

    /// Why it does not.
    pub(super) fn refusal(&mut self) -> String {
        match self.refused.clone() {
            Some(why) => format!("the configuration was refused: {why}"),
            None if self.ended() => format!("ended at its start: {}", self.status()),
            None => "did not answer after its start".to_owned(),
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

    /// Whether it was heard of lately. A program says nothing.
    pub(super) fn beats(&mut self) -> bool {
        self.hear();
        self.line.is_none() || self.heard.elapsed() < SILENT
    }

    /// What it has counted, if it has said so since the last call.
    pub(super) fn counts(&mut self) -> Option<Value> {
        self.counts.take()
    }

    /// Asks it to answer what it has read, and to end.
    pub(super) fn drain(&mut self) {
        self.line.as_mut().map(|line| line.write_all(b"drain\n"));
    }

    /// Ends it: a program is asked before.
    pub(super) fn stop(&mut self) {
        if self.line.is_none()
            && !self.ended()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            wait::until(END, STEP, || self.ended());
        }
        self.kill();
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
