//! The fast paths of the reachability matrix: thousands of addresses in one wait.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::dial::{Dial, dial_all};
use super::icmp;
use super::names::check_source;
use super::outcome::State;
use super::problem::Problem;

/// One address to probe by ICMP echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepTarget {
    /// The address.
    pub address: IpAddr,
    /// The source address, of the same IP version.
    pub source: Option<IpAddr>,
}

impl From<IpAddr> for SweepTarget {
    fn from(address: IpAddr) -> Self {
        Self { address, source: None }
    }
}

/// The result of one handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// `open`, `refused`, `timeout`, `unreachable` or `failed`.
    pub state: State,
    /// From the first SYN to the result.
    pub elapsed: Duration,
}

/// The result of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinged {
    /// `answered`, `timeout`, `unreachable` (an error of the path, a filter that rejects), or `failed`: nothing could be
    /// sent, which says nothing about the path.
    pub state: State,
    /// The round trip of the first reply.
    pub round_trip: Option<Duration>,
}

/// Sends one echo request to each address from one socket per IP version, 1,000 per 100 ms, and another one to those that
/// did not answer within `timeout`; in the order given.
///
/// If all are blocked, it takes twice the timeout; if all answer or reject, as long as the slowest. Absent neighbours
/// beyond net.ipv4.neigh.default.gc_thresh3 (1,024, shared by all namespaces of the machine) are `failed`, and then others
/// may be, too; permanent entries do not count.
///
/// # Errors
/// No ICMP socket can be opened (not root, and outside net.ipv4.ping_group_range; no IPv6).
pub fn sweep(pings: &[SweepTarget], timeout: Duration) -> Result<Vec<Pinged>, Problem> {
    let nothing = Pinged { state: State::Failed, round_trip: None };
    let mut replies = vec![nothing; pings.len()];
    for v6 in [false, true] {
        let (indexes, places): (Vec<usize>, Vec<_>) = pings
            .iter()
            .enumerate()
            .filter(|(_, ping)| ping.address.is_ipv6() == v6 && ping.can_be_sent())
            .map(|(index, ping)| (index, (ping.address, ping.source)))
            .unzip();
        if places.is_empty() {
            continue;
        }
        let found = icmp::first_replies(v6, &places, timeout)?;
        for (index, (state, round_trip)) in indexes.into_iter().zip(found) {
            replies[index] = Pinged { state, round_trip };
        }
    }
    Ok(replies)
}

impl SweepTarget {
    fn can_be_sent(&self) -> bool {
        self.source
            .is_none_or(|source| source.is_ipv6() == self.address.is_ipv6() && check_source(source).is_ok())
    }
}

/// Tries a TCP handshake with each address, as many in parallel as descriptors allow (half of the soft limit, 2,048 at
/// most), 1,000 new ones per 100 ms; in the order given. The kernel repeats a lost SYN only after a second: with a shorter
/// timeout the caller must repeat the handshake.
pub fn connect_sweep(to: &[SocketAddr], timeout: Duration) -> Vec<Connected> {
    let dials: Vec<Dial> =
        to.iter().map(|to| Dial { to: *to, source: None, interface: None, timeout }).collect();
    dial_all(&dials, false)
        .iter()
        .map(|dialed| Connected { state: dialed.state, elapsed: dialed.elapsed })
        .collect()
}
