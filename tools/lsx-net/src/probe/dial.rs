//! TCP handshakes, any number in parallel: non-blocking connects and one poll loop.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use super::errqueue;
use super::names::foreign_source;
use super::outcome::State;
use super::pace::{Pace, poll_ms};
use super::problem::Problem;

/// File descriptors reserved for the rest of the process.
const SPARE_DESCRIPTORS: u64 = 64;
/// Maximum number of handshakes in progress; poll scans all of them at every event.
const MAX_FLIGHTS: usize = 2_048;

/// One handshake to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial<'a> {
    pub(super) to: SocketAddr,
    pub(super) source: Option<IpAddr>,
    pub(super) interface: Option<&'a str>,
    pub(super) timeout: Duration,
}

/// How a handshake ended.
#[derive(Debug)]
pub(super) struct Dialed {
    /// `open`, `refused`, `timeout`, `unreachable` or `failed`.
    pub(super) state: State,
    /// From the first SYN to the result.
    pub(super) elapsed: Duration,
    pub(super) problem: Option<Problem>,
    /// The connection, if it is open and was to be kept; blocking.
    pub(super) socket: Option<Socket>,
}

struct Flight {
    index: usize,
    socket: Socket,
    began: Instant,
    deadline: Instant,
}

enum Launch {
    Ended(Dialed),
    Flying(Flight),
    /// No descriptor or port is free until another handshake ends.
    Full(Errno),
}

/// One handshake; the connection is kept.
pub(super) fn dial(dial: &Dial) -> Dialed {
    let mut one = dial_all(std::slice::from_ref(dial), true);
    one.pop().unwrap_or_else(|| ended(State::Failed, Duration::ZERO, Problem::new("not attempted")))
}

/// All handshakes, as many in parallel as descriptors allow; results in the order given.
/// Connections are closed at once unless `keep`.
pub(super) fn dial_all(dials: &[Dial], keep: bool) -> Vec<Dialed> {
    let mut results: Vec<Option<Dialed>> = dials.iter().map(|_| None).collect();
    let mut flights: Vec<Flight> = Vec::new();
    let mut pace = Pace::new(Instant::now());
    let mut window = window();
    let mut next = 0;
    while next < dials.len() || !flights.is_empty() {
        let mut resume = None;
        while next < dials.len() && flights.len() < window {
            if let Err(later) = pace.take(Instant::now()) {
                resume = Some(later);
                break;
            }
            match launch(next, &dials[next]) {
                Launch::Flying(flight) => flights.push(flight),
                Launch::Ended(dialed) => results[next] = Some(dialed),
                Launch::Full(_) if !flights.is_empty() => {
                    window = flights.len();
                    break;
                }
                Launch::Full(errno) => results[next] = Some(failed(&dials[next], errno)),
            }
            next += 1;
        }
        let ready = wait(&flights, resume);
        land(&mut flights, &ready, dials, keep, &mut results);
    }
    let lost = || ended(State::Failed, Duration::ZERO, Problem::new("not attempted"));
    results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

/// Number of descriptors to use. The limit is not raised: children would inherit it.
fn window() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
    let free = soft.saturating_sub(SPARE_DESCRIPTORS) / 2;
    usize::try_from(free).unwrap_or(MAX_FLIGHTS).clamp(1, MAX_FLIGHTS)
}

fn launch(index: usize, dial: &Dial) -> Launch {
    let began = Instant::now();
    let socket = match prepare(dial) {
        Ok(socket) => socket,
        Err(error) => return launch_error(dial, &error),
    };
    match socket.connect(&dial.to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
            return match errno(&error) {
                // Without a fixed source port these mean that the ephemeral ports are used up.
                Errno::EADDRNOTAVAIL if dial.source.is_none() => Launch::Full(Errno::EADDRNOTAVAIL),
                errno => Launch::Ended(verdict(dial, &socket, errno, began.elapsed())),
            };
        }
        // A connection to this host may be open at once; poll reports that, too.
        _ => {}
    }
    Launch::Flying(Flight { index, socket, began, deadline: began + dial.timeout })
}

fn launch_error(dial: &Dial, error: &io::Error) -> Launch {
    match errno(error) {
        errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS) => Launch::Full(errno),
        errno => Launch::Ended(failed(dial, errno)),
    }
}

fn prepare(dial: &Dial) -> io::Result<Socket> {
    let v6 = dial.to.is_ipv6();
    let socket = Socket::new(Domain::for_address(dial.to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    errqueue::enable(&socket, v6)?;
    if let Some(interface) = dial.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(source) = dial.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    Ok(socket)
}

/// Waits until a handshake ends, the first deadline, or the next slot for new ones; returns which handshakes have events.
fn wait(flights: &[Flight], resume: Option<Instant>) -> Vec<bool> {
    let now = Instant::now();
    let first = flights.iter().map(|flight| flight.deadline).chain(resume).min();
    let timeout = PollTimeout::from(first.map_or(0, |until| poll_ms(now, until)));
    let mut fds: Vec<PollFd> =
        flights.iter().map(|flight| PollFd::new(flight.socket.as_fd(), PollFlags::POLLOUT)).collect();
    match poll(&mut fds, timeout) {
        Ok(_) => fds.iter().map(|fd| fd.any().unwrap_or(true)).collect(),
        // EINTR or ENOMEM: without poll's answer, every socket is checked.
        Err(_) => vec![true; flights.len()],
    }
}

/// Collects the handshakes that have ended or timed out.
fn land(
    flights: &mut Vec<Flight>,
    ready: &[bool],
    dials: &[Dial],
    keep: bool,
    results: &mut [Option<Dialed>],
) {
    let now = Instant::now();
    let mut still = Vec::with_capacity(flights.len());
    for (flight, ready) in flights.drain(..).zip(ready) {
        if !ready && now < flight.deadline {
            still.push(flight);
            continue;
        }
        let dial = &dials[flight.index];
        let elapsed = now.saturating_duration_since(flight.began);
        let result = match flight.socket.take_error() {
            Ok(Some(error)) => verdict(dial, &flight.socket, errno(&error), elapsed),
            Ok(None) if flight.socket.peer_addr().is_ok() => opened(dial, flight.socket, elapsed, keep),
            Ok(None) if now < flight.deadline => {
                still.push(flight);
                continue;
            }
            Ok(None) => verdict(dial, &flight.socket, Errno::ETIMEDOUT, elapsed),
            Err(error) => failed(dial, errno(&error)),
        };
        results[flight.index] = Some(result);
    }
    *flights = still;
}

fn opened(dial: &Dial, socket: Socket, elapsed: Duration, keep: bool) -> Dialed {
    if keep && let Err(error) = socket.set_nonblocking(false) {
        return failed(dial, errno(&error));
    }
    Dialed { state: State::Open, elapsed, problem: None, socket: keep.then_some(socket) }
}

/// The meaning of an error of connect (tcp(7), and the kernel's table from ICMP codes to errnos).
fn verdict(dial: &Dial, socket: &Socket, errno: Errno, elapsed: Duration) -> Dialed {
    let to = dial.to;
    // ICMP "port unreachable" and a RST both become ECONNREFUSED, but the first is sent by filters and the second by the
    // host itself: only the error queue distinguishes them.
    let icmp = std::iter::from_fn(|| errqueue::next(socket)).find(|report| report.icmp);
    if let Some(report) = icmp {
        return ended(State::Unreachable, elapsed, Problem::new(report.message()));
    }
    let (state, problem) = match errno {
        Errno::ECONNREFUSED | Errno::ECONNRESET => {
            (State::Refused, Problem::new(format!("{to} refused: nothing listens there")))
        }
        Errno::ETIMEDOUT => {
            (State::Timeout, Problem::new(format!("no answer from {to} in {} ms", dial.timeout.as_millis())))
        }
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EHOSTDOWN | Errno::EACCES => (
            State::Unreachable,
            Problem::new(format!("no route to {to}: {}", words(errno)))
                .hint(format!("`ip route get {}` shows what this host does with it", to.ip())),
        ),
        Errno::EPERM => (
            State::Unreachable,
            Problem::new(format!("a filter of this host drops packets to {to}"))
                .hint("`nft list ruleset`, the chains with hook output"),
        ),
        _ => return failed(dial, errno),
    };
    ended(state, elapsed, problem)
}

fn failed(dial: &Dial, errno: Errno) -> Dialed {
    let problem = match (errno, dial.source) {
        (Errno::EADDRNOTAVAIL, Some(source)) => foreign_source(source),
        (Errno::ENODEV, _) => Problem::new("interface: no interface of this name")
            .hint("`ip link` lists those of this network namespace"),
        _ => Problem::new(format!("cannot connect to {}: {}", dial.to, words(errno))),
    };
    ended(State::Failed, Duration::ZERO, problem)
}

fn ended(state: State, elapsed: Duration, problem: Problem) -> Dialed {
    Dialed { state, elapsed, problem: Some(problem), socket: None }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn words(errno: Errno) -> String {
    errno.desc().to_lowercase()
}
