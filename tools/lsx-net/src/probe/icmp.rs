//! ICMP echo (RFC 792, RFC 4443): series of requests to many hosts over one socket per IP version.

mod packet;
mod rounds;
mod series;
mod socket;

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::errqueue::Report;
use super::names::{ScopedIp, check_source, interface_index};
use super::outcome::{Outcome, Ping, State, ms};
use super::problem::Problem;
use super::target::{Icmp, Target};
use series::{Job, Tally};
use socket::{EchoSocket, Way};

/// An ICMP target whose address is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) target: &'a Target,
    pub(super) icmp: Icmp,
    pub(super) place: ScopedIp,
}

/// Targets that can share a socket: the fragmentation policy belongs to the socket, not to the packet.
pub(super) fn share(ask: &Ask) -> (bool, bool) {
    (ask.place.ip.is_ipv6(), ask.icmp.df)
}

/// Probes all targets in parallel; they must `share` a socket. Outcomes in the order given.
pub(super) fn probe(asks: &[Ask]) -> Vec<Outcome> {
    let Some((v6, df)) = asks.first().map(share) else {
        return Vec::new();
    };
    let ways: Vec<_> = asks.iter().map(way).collect();
    let jobs: Vec<Job> =
        asks.iter().zip(&ways).filter_map(|(ask, way)| Some(job(ask, *way.as_ref().ok()?))).collect();
    let tallies = EchoSocket::open(v6, df).and_then(|socket| rounds::run(&socket, &jobs));
    let mut tallies = tallies.map(Vec::into_iter);
    let outcomes = asks.iter().zip(ways).map(|(ask, way)| match (way, &mut tallies) {
        (Err(problem), _) => Outcome::failed(ask.target, State::Failed, problem),
        (Ok(_), Err(errno)) => {
            let (state, problem) = no_socket(*errno, v6);
            Outcome::failed(ask.target, state, problem)
        }
        (Ok(_), Ok(tallies)) => outcome(ask, &tallies.next().unwrap_or_default()),
    });
    outcomes.collect()
}

/// One request to each place and, if it is not answered in `timeout`, another one: the result, and the round trip of the
/// first reply.
pub(super) fn first_replies(
    v6: bool,
    places: &[(IpAddr, Option<IpAddr>)],
    timeout: Duration,
) -> Result<Vec<(State, Option<Duration>)>, Problem> {
    let job = |(ip, source): &(IpAddr, Option<IpAddr>)| Job {
        way: Way { to: (*ip).into(), source: *source, interface: 0 },
        count: 2,
        interval: timeout,
        timeout,
        size: Icmp::new().size_bytes as usize,
        until_first: true,
    };
    let jobs: Vec<Job> = places.iter().map(job).collect();
    let tallies = EchoSocket::open(v6, false)
        .and_then(|socket| rounds::run(&socket, &jobs))
        .map_err(|errno| no_socket(errno, v6).1)?;
    Ok(tallies.iter().map(|tally| (tally_state(tally), tally.round_trips.first().copied())).collect())
}

fn way(ask: &Ask) -> Result<Way, Problem> {
    if let Some(source) = ask.target.source {
        check_source(source)?;
    }
    let interface = match &ask.target.interface {
        Some(name) => interface_index(name)?,
        None => ask.place.scope,
    };
    Ok(Way { to: ask.place, source: ask.target.source, interface })
}

fn job(ask: &Ask, way: Way) -> Job {
    Job {
        way,
        count: ask.icmp.count,
        interval: Duration::from_millis(ask.icmp.interval_ms),
        timeout: Duration::from_millis(ask.target.timeout_ms),
        size: ask.icmp.size_bytes as usize,
        until_first: false,
    }
}

fn outcome(ask: &Ask, tally: &Tally) -> Outcome {
    let mut outcome = Outcome::new(ask.target, State::Answered);
    let ping = Ping::of(tally.sent, &tally.round_trips, tally.duplicates);
    outcome.ms = ping.avg_ms.or(Some(ms(tally.took)));
    outcome.ping = Some(ping);
    outcome.mtu_bytes = tally.fault.as_ref().and_then(|fault| fault.mtu);
    outcome.state = tally_state(tally);
    outcome.ok = outcome.state == State::Answered;
    if !outcome.ok {
        let problem = tally.fault.as_ref().map(|report| fault(ask, report));
        outcome.error = Some(problem.unwrap_or_else(|| silence(ask, tally.sent)));
    }
    outcome
}

fn silence(ask: &Ask, sent: u32) -> Problem {
    Problem::new(format!("no reply from {} to {sent} echo requests", ask.place.ip))
}

/// The result of a series, in one word.
fn tally_state(tally: &Tally) -> State {
    match &tally.fault {
        _ if !tally.round_trips.is_empty() => State::Answered,
        None => State::Timeout,
        Some(report) => match report.errno {
            Errno::EMSGSIZE => State::TooBig,
            _ if report.icmp => State::Unreachable,
            Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EACCES | Errno::EPERM => {
                State::Unreachable
            }
            _ => State::Failed,
        },
    }
}

/// The message for an error of this host or of the path.
fn fault(ask: &Ask, report: &Report) -> Problem {
    let ip = ask.place.ip;
    match report.errno {
        Errno::EMSGSIZE => too_big(ask, report),
        _ if report.icmp => Problem::new(report.message()),
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EACCES => {
            Problem::new(format!("no route to {ip}: {}", report.message()))
                .hint(format!("`ip route get {ip}` shows what this host does with it"))
        }
        Errno::EPERM => Problem::new(format!("a filter of this host drops packets to {ip}"))
            .hint("`nft list ruleset`, the chains with hook output"),
        Errno::ENOBUFS | Errno::EAGAIN => {
            Problem::new(format!("no room for the neighbour {ip}, or for its packets"))
                .hint("unanswered neighbours fill the table: sysctl net.ipv4.neigh.default.gc_thresh3")
        }
        _ => Problem::new(format!("cannot send to {ip}: {}", report.message())),
    }
}

fn too_big(ask: &Ask, report: &Report) -> Problem {
    let header = if ask.place.ip.is_ipv6() { 48 } else { 28 };
    let size = ask.icmp.size_bytes + header;
    let place = match report.from {
        Some(router) => format!("at {router} on the path"),
        None => "on this host's own interface".to_owned(),
    };
    let problem = Problem::new(format!("a packet of {size} bytes does not fit {place}"));
    match report.mtu {
        Some(mtu) => {
            problem.hint(format!("{mtu} bytes fit: size_bytes up to {}", mtu.saturating_sub(header)))
        }
        None => problem,
    }
}

fn no_socket(errno: Errno, v6: bool) -> (State, Problem) {
    match errno {
        Errno::EPERM | Errno::EACCES => (
            State::Denied,
            Problem::new("no permission to open an ICMP socket").hint(
                "run as root, or allow it to the group: \
                 sysctl -w net.ipv4.ping_group_range='0 2147483647'",
            ),
        ),
        Errno::EAFNOSUPPORT if v6 => (State::Failed, Problem::new("this host has no IPv6")),
        _ => (State::Failed, Problem::new(format!("no ICMP socket: {}", errno.desc().to_lowercase()))),
    }
}
