//! The tool's own server: its sockets, and its workers, one after another.

use super::child::Child;
use super::{BEGIN, DRAIN, STEP, Supervisor, failed};
use crate::failure::{Failure, Kind};
use crate::host::service::holder;
use crate::host::service::kept::identity;
use crate::host::service::signals::Asked;
use crate::host::service::sockets::Pair;
use crate::host::{file, wait};
use crate::plan::Definition;
use std::fs::File;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

impl Supervisor {
    /// Starts a worker; it takes over from the former one. Returns what it waits for instead.
    pub(super) fn run_worker(
        &mut self,
        definition: &Definition,
        listen: &[SocketAddrV4],
        digest: &str,
        space: &OwnedFd,
    ) -> Result<Option<String>, Failure> {
        if let Some(missing) = definition.seen.iter().find(|path| !Path::new(path).is_dir()) {
            return Ok(Some(self.waits_for(missing)));
        }
        self.seen = definition.seen.clone().map(|path| (path.clone(), identity(Path::new(&path))));
        let path = self.of.definition();
        let file = File::open(&path).map_err(|e| file::failure(&path, "open", &e))?;
        let own = self.of.open_own(definition)?;
        if self.child.as_ref().is_none_or(|child| !child.hands_over()) {
            self.end();
            self.tell(false, None)?;
        }
        let mut opened = Vec::new();
        for at in listen.iter().filter(|at| self.pairs.iter().all(|pair| pair.at != **at)) {
            let pair = Pair::open(space.as_fd(), *at);
            opened.push(pair.map_err(|e| taken(space.as_fd(), *at, &e))?);
        }
        let kept = self.pairs.iter().filter(|pair| listen.contains(&pair.at));
        let mut all = vec![file.as_fd(), self.next.as_fd()];
        all.extend(own.iter().map(AsFd::as_fd));
        all.extend(kept.chain(&opened).flat_map(|pair| [pair.udp.as_fd(), pair.tcp.as_fd()]));
        let mut child = Child::start(&self.of, definition, &[], space.as_fd(), &self.log, &all)?;
        let signals = &mut self.signals;
        wait::until(BEGIN, STEP, || child.said() || signals.wait(Duration::ZERO) == Asked::Stop);
        if !child.runs(digest) {
            let why = child.refusal();
            child.stop();
            return Err(Failure::new(Kind::Failed, "host.service", why));
        }
        self.pairs.retain(|pair| listen.contains(&pair.at));
        self.pairs.extend(opened);
        self.state.counts = None; // Another worker counts from zero.
        if let Some(mut former) = self.child.replace(child) {
            former.drain();
            self.state.handovers += 1;
            self.drained.push((former, Instant::now() + DRAIN));
        }
        Ok(None)
    }
}

/// Why there is no socket; if another program has the port, which one.
fn taken(space: BorrowedFd<'_>, at: SocketAddrV4, error: &std::io::Error) -> Failure {
    let failure = failed(&format!("listen on {at}"), error);
    let taken = error.kind() == std::io::ErrorKind::AddrInUse;
    match taken.then(|| held(space, at)).flatten() {
        Some(message) => Failure { message, ..failure },
        None => failure,
    }
}

/// Who has a port, if anybody; in one line, since a state has one.
pub(super) fn held(space: BorrowedFd<'_>, at: SocketAddrV4) -> Option<String> {
    let holder = holder::of(space, at)?;
    Some(format!("cannot listen on {at}: {}; {}", holder.said(), holder.hint()))
}
