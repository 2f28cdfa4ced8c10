//! Many series of echo requests in parallel over one socket: one loop sends what is due and receives replies.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::packet;
use super::series::{Job, Progress, Tally};
use super::socket::EchoSocket;
use crate::probe::errqueue::{self, Report};
use crate::probe::pace::{Pace, poll_ms};

/// How long to wait if the kernel has no room for a packet, in a queue or the neighbour table.
const BACK_OFF: Duration = Duration::from_millis(50);
/// The largest reply: 65,535 bytes of IPv4 packet.
const BUFFER_BYTES: usize = 1 << 16;

struct Flight {
    job: usize,
    sent: Instant,
    settled: bool,
}

/// The content of the error queue.
#[derive(Default)]
struct Errors {
    any: bool,
    /// This host's own refusal of the request just sent.
    local: Option<Report>,
}

struct Rounds<'a> {
    socket: &'a EchoSocket,
    jobs: &'a [Job],
    progress: Vec<Progress>,
    /// The next event of each unfinished series: a request, or the end.
    agenda: BinaryHeap<Reverse<(Instant, usize)>>,
    flights: HashMap<(u16, IpAddr), Flight>,
    pace: Pace,
    sequence: u16,
    open: usize,
}

/// Runs all series to their end; results in the order of the jobs.
///
/// # Errors
/// The errno of poll, which means the socket cannot be used at all.
pub(super) fn run(socket: &EchoSocket, jobs: &[Job]) -> Result<Vec<Tally>, Errno> {
    let now = Instant::now();
    let mut rounds = Rounds {
        socket,
        jobs,
        progress: jobs.iter().map(|_| Progress::default()).collect(),
        agenda: (0..jobs.len()).map(|job| Reverse((now, job))).collect(),
        flights: HashMap::new(),
        pace: Pace::new(now),
        sequence: 0,
        open: jobs.len(),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    while rounds.open > 0 {
        let until = rounds.work_off(&mut buffer);
        if rounds.open == 0 {
            break;
        }
        wait(socket, until)?;
        rounds.take_replies(&mut buffer);
    }
    Ok(rounds.progress.into_iter().map(|p| p.tally).collect())
}

fn wait(socket: &EchoSocket, until: Instant) -> Result<(), Errno> {
    let timeout = PollTimeout::from(poll_ms(Instant::now(), until));
    let mut fds = [PollFd::new(socket.socket.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

impl Rounds<'_> {
    /// Does what is due; returns the time of the next event.
    fn work_off(&mut self, buffer: &mut [u8]) -> Instant {
        let mut sends = 0_u32;
        while let Some(Reverse((due, job))) = self.agenda.peek().copied() {
            if self.progress[job].done {
                self.agenda.pop();
                continue;
            }
            let now = Instant::now();
            if due > now {
                return due;
            }
            let over = self.progress[job].tally.sent >= self.jobs[job].count;
            if !over && let Err(later) = self.pace.take(now) {
                return later;
            }
            self.agenda.pop();
            if over {
                self.finish(job, now);
            } else {
                self.request(job);
                sends += 1;
            }
            // Replies are received between sends, or a burst would overflow the receive buffer.
            if sends.is_multiple_of(16) {
                self.take_replies(buffer);
            }
        }
        Instant::now()
    }

    fn request(&mut self, job: usize) {
        let Job { way, size, .. } = self.jobs[job];
        let sequence = self.sequence;
        let payload = packet::payload(self.socket.ours.nonce, size);
        let sent = Instant::now();
        let result = self.send(job, sequence, &payload);
        let busy = |r: &Report| matches!(r.errno, Errno::ENOBUFS | Errno::EAGAIN | Errno::ENOMEM);
        if result.as_ref().is_err_and(busy) && self.back_off(job) {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let progress = &mut self.progress[job];
        progress.tally.sent += 1;
        progress.began.get_or_insert(sent);
        match result {
            Ok(()) => {
                let flight = Flight { job, sent, settled: false };
                self.flights.insert((sequence, way.to.ip), flight);
                self.schedule(job, sent);
            }
            Err(report) => {
                progress.tally.fault = Some(report);
                self.finish(job, Instant::now());
            }
        }
    }

    /// Schedules the next request, or the end of the series.
    fn schedule(&mut self, job: usize, sent: Instant) {
        let wait = match self.progress[job].tally.sent < self.jobs[job].count {
            true => self.jobs[job].interval,
            false => self.jobs[job].timeout,
        };
        self.agenda.push(Reverse((sent + wait, job)));
    }

    /// Retries soon; false after retrying for as long as a reply may take.
    fn back_off(&mut self, job: usize) -> bool {
        let now = Instant::now();
        let first = *self.progress[job].crowded.get_or_insert(now);
        let again = now < first + self.jobs[job].timeout;
        if again {
            self.agenda.push(Reverse((now + BACK_OFF, job)));
        }
        again
    }

    /// Sends, and distinguishes an error of this request from one that another series left on the socket: a pending ICMP
    /// error fails the next call, whatever that is for.
    fn send(&mut self, job: usize, sequence: u16, payload: &[u8]) -> Result<(), Report> {
        let jobs = self.jobs;
        let way = &jobs[job].way;
        let Err(errno) = self.socket.send(way, sequence, payload) else {
            return Ok(());
        };
        let errors = self.take_errors();
        match errors.local {
            Some(report) => Err(report),
            None if !errors.any => Err(Report::local(errno)),
            None => match self.socket.send(way, sequence, payload) {
                Ok(()) => Ok(()),
                Err(errno) => Err(self.take_errors().local.unwrap_or(Report::local(errno))),
            },
        }
    }

    fn take_replies(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.receive(buffer) {
                Ok(Some((from, echo))) => {
                    let now = Instant::now();
                    self.answered((echo.sequence, from), echo.payload.len(), now);
                }
                Ok(None) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) if self.take_errors().any => {}
                Err(_) => break,
            }
        }
        self.take_errors();
    }

    fn answered(&mut self, key: (u16, IpAddr), size: usize, now: Instant) {
        let Some(flight) = self.flights.get_mut(&key) else {
            return;
        };
        let job = flight.job;
        if size != self.jobs[job].size {
            return;
        }
        let tally = &mut self.progress[job].tally;
        if flight.settled {
            tally.duplicates += 1;
            return;
        }
        flight.settled = true;
        tally.round_trips.push(now.saturating_duration_since(flight.sent));
        self.settle(job, now);
    }

    /// Takes all queued errors and assigns them to their requests.
    fn take_errors(&mut self) -> Errors {
        let mut errors = Errors::default();
        while let Some(report) = errqueue::next(&self.socket.socket) {
            errors.any = true;
            if !report.icmp {
                errors.local = Some(report);
                continue;
            }
            let sequence = self.socket.ours.returned(&report.packet);
            let key = sequence.zip(report.to);
            if let Some(flight) = key.and_then(|key| self.flights.get_mut(&key))
                && !flight.settled
            {
                flight.settled = true;
                let job = flight.job;
                let progress = &mut self.progress[job];
                progress.errors += 1;
                progress.tally.fault = Some(report);
                self.settle(job, Instant::now());
            }
        }
        errors
    }

    /// Ends a series that has nothing to wait for.
    fn settle(&mut self, job: usize, now: Instant) {
        let Progress { tally, errors, .. } = &self.progress[job];
        let heard = tally.round_trips.len() + *errors as usize;
        let too_big = |r: &Report| r.errno == Errno::EMSGSIZE;
        if self.jobs[job].until_first
            || heard >= self.jobs[job].count as usize
            || tally.fault.as_ref().is_some_and(too_big)
        {
            self.finish(job, now);
        }
    }

    fn finish(&mut self, job: usize, now: Instant) {
        let progress = &mut self.progress[job];
        if progress.done {
            return;
        }
        progress.done = true;
        let began = progress.began.unwrap_or(now);
        progress.tally.took = now.saturating_duration_since(began);
        self.open -= 1;
    }
}
