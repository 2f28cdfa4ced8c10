//! The host's side of a check: every job in its namespace, all targets of a job in parallel.

use crate::netlink::{Device, Socket, dump, link, namespace, neigh};
use crate::observe::{io_failure, spaces};
use crate::probe::{self, Icmp, SweepTarget, Target};
use common::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Number of namespaces tested at the same time.
pub(super) const WORKERS: usize = 16;
/// Time limit for an answer on a local network.
const TIMEOUT: Duration = Duration::from_millis(700);
/// Number of tests at once, and the interval, if they could fill the neighbour table: an entry can be removed when it is
/// five seconds old, and by default 512 of them are kept.
const FEW: usize = 64;
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of the IPv4 and ICMP headers of an echo (RFC 791, RFC 792).
const HEADERS: u32 = 28;

/// The tests of one namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Hardware addresses that identify the namespace; none for the host's own.
    pub(super) macs: Vec<String>,
    pub(super) probes: Vec<(Ipv4Addr, Probe)>,
    /// Run alone, and a few tests at a time: there are more addresses than the kernel's neighbour table may hold.
    #[serde(default)]
    pub(super) careful: bool,
}

/// One test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Probe {
    /// ICMP echo.
    Echo,
    /// A TCP connection.
    Connect { port: u16 },
    /// An ICMP echo of that many bytes of IP, not to be fragmented; with `search`, find the size that passes.
    Full { bytes: u32, search: bool },
}

/// The states of a job's tests, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) found: bool,
    pub(super) states: Vec<String>,
    /// For packets that are too large: the most bytes that pass.
    #[serde(default)]
    pub(super) most: BTreeMap<usize, u32>,
    /// The kernel had no room for another neighbour.
    #[serde(default)]
    pub(super) crowded: bool,
}

/// Runs jobs; a missing namespace is reported in the result, not as a failure.
pub(super) fn run(jobs: &[Job], cancel: &AtomicBool) -> Result<Vec<Answer>, Failure> {
    let spaces = spaces::by_mac()?;
    let own = namespace::own().map_err(|e| io_failure("open this network namespace", &e))?;
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(vec![Answer::default(); jobs.len()]);
    let (turn, room) = (Mutex::new(()), Mutex::new(Room::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(i).filter(|_| !cancel.load(Ordering::Relaxed)) else { return };
                    let space = if job.macs.is_empty() {
                        Some(&own)
                    } else {
                        job.macs.first().and_then(|mac| spaces.get(mac)).map(AsRef::as_ref)
                    };
                    let Some(space) = space else { continue };
                    let turn = job.careful.then(|| turn.lock().unwrap_or_else(PoisonError::into_inner));
                    let tried = namespace::inside(space.as_fd(), || states(&job.probes, job.careful));
                    drop(turn);
                    if let Ok((states, most)) = tried {
                        let crowded = room.lock().unwrap_or_else(PoisonError::into_inner).full();
                        answers.lock().unwrap_or_else(PoisonError::into_inner)[i] =
                            Answer { found: true, states, most, crowded };
                    }
                }
            });
        }
    });
    Ok(answers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Tests whether the kernel has room for another neighbour, by adding one in a temporary namespace. If that cannot be
/// created, room is assumed.
struct Room(Option<(OwnedFd, Socket, u32)>);

impl Room {
    fn new() -> Room {
        let made = || {
            let space = namespace::nameless().ok()?;
            let mut socket = Socket::open_in(space.as_fd()).ok()?;
            let name = "room";
            let (mac, group) = ([2, 0, 0, 0, 0, 1], 0);
            let bridge = link::Bridge { name, index: 0, mac, mtu: 1500, ageing: 300, group };
            socket.request(&bridge.create()).ok()?;
            let index = dump::link(&mut socket, Device::Name(name)).ok()??.index;
            Some((space, socket, index))
        };
        Room(made())
    }

    fn full(&mut self) -> bool {
        let Some((_, socket, index)) = &mut self.0 else { return false };
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let full = socket.request(&neigh::learned(*index, address)).is_err_and(|e| e.crowded());
        let _ = socket.request(&neigh::delete(*index, address));
        full
    }
}

/// All echoes from one socket and all connections in parallel, then the full-size packets.
pub(super) fn states(probes: &[(Ipv4Addr, Probe)], careful: bool) -> (Vec<String>, BTreeMap<usize, u32>) {
    let mut states = vec![String::new(); probes.len()];
    let of = |want: fn(&Probe) -> bool| {
        probes.iter().enumerate().filter(move |(_, (_, p))| want(p)).map(|(i, _)| i).collect::<Vec<_>>()
    };
    let small = of(|p| !matches!(p, Probe::Full { .. }));
    let (few, pause) = if careful { (FEW, PAUSE) } else { (small.len().max(1), Duration::ZERO) };
    for (i, some) in small.chunks(few).enumerate() {
        if i > 0 {
            let _ = common::host::wait::until(pause, pause, || false);
        }
        sweep(probes, some, &mut states);
    }
    let full = of(|p| matches!(p, Probe::Full { .. }));
    let targets: Vec<Target> = full.iter().filter_map(|i| full_size(&probes[*i])).collect();
    let found = probe::run_all(&targets, WORKERS);
    full.iter().zip(found).for_each(|(i, one)| states[*i] = word(&one.state));
    let most =
        full.into_iter().filter(|i| states[*i] != "answered").filter_map(|i| Some((i, most(&probes[i])?)));
    let most = most.collect();
    (states, most)
}

/// Runs the echoes and connections among `some`.
fn sweep(probes: &[(Ipv4Addr, Probe)], some: &[usize], states: &mut [String]) {
    let (echoes, connects): (Vec<usize>, Vec<usize>) =
        some.iter().partition(|i| probes[**i].1 == Probe::Echo);
    let targets: Vec<SweepTarget> =
        echoes.iter().map(|i| SweepTarget::from(IpAddr::V4(probes[*i].0))).collect();
    match probe::sweep(&targets, TIMEOUT) {
        Ok(found) => echoes.iter().zip(found).for_each(|(i, one)| states[*i] = word(&one.state)),
        Err(_) => echoes.iter().for_each(|i| states[*i] = "failed".to_owned()),
    }
    let targets: Vec<SocketAddr> = connects.iter().filter_map(|i| address(&probes[*i])).collect();
    let found = probe::connect_sweep(&targets, TIMEOUT);
    connects.iter().zip(found).for_each(|(i, one)| states[*i] = word(&one.state));
}

/// The most bytes that reach an address unfragmented; `None` if nothing does, which says nothing about sizes.
fn most((address, probe): &(Ipv4Addr, Probe)) -> Option<u32> {
    let Probe::Full { bytes, search: true } = probe else { return None };
    let passes = |bytes: u32| {
        let target = full_size(&(*address, Probe::Full { bytes, search: false }));
        target.is_some_and(|t| probe::run(&t).ok)
    };
    let (mut good, mut bad) = (HEADERS + 56, *bytes);
    if !passes(good) {
        return None;
    }
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if passes(middle) { good = middle } else { bad = middle }
    }
    Some(good)
}

fn address((address, probe): &(Ipv4Addr, Probe)) -> Option<SocketAddr> {
    match probe {
        Probe::Connect { port } => Some(SocketAddr::from((*address, *port))),
        _ => None,
    }
}

fn full_size((address, probe): &(Ipv4Addr, Probe)) -> Option<Target> {
    let Probe::Full { bytes, .. } = probe else { return None };
    let size_bytes = bytes.saturating_sub(HEADERS);
    let icmp = Icmp { count: 1, df: true, size_bytes, ..Icmp::default() };
    let timeout_ms = u64::try_from(TIMEOUT.as_millis()).unwrap_or(1000);
    Some(Target { timeout_ms, ..Target::new(probe::Probe::Icmp(icmp), address.to_string()) })
}

fn word(state: &probe::State) -> String {
    serde_json::to_value(state)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_else(|| Value::Null.to_string())
}
