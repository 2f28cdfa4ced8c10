//! The result of a probe, as printed in JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::target::Target;

/// The result of one probe; unknown values are absent, never null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The target, with all defaults filled in.
    pub target: Target,
    /// Whether the target answered and met all expectations.
    pub ok: bool,
    /// The result in one word.
    pub state: State,
    /// The probed address, if the target was given by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// Milliseconds: of the handshake (tcp), until the banner or the response's first bytes (banner, http), of the average
    /// round trip, or of the wait without a reply (icmp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// Loss and round trips of an ICMP probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<Ping>,
    /// The largest packet size in bytes that fits, if `too_big` reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu_bytes: Option<u32>,
    /// The HTTP status code (RFC 9110).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The HTTP headers expected by name, and `content-type`, `location`, `server`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The first line that a service sent; bytes that are not UTF-8 are replaced by U+FFFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// Bytes read of the banner, or of the start of the HTTP body (its first read, not its length).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
    /// When the certificate of a server with TLS expires (RFC 3339); also of one that is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// Whole days until then; negative afterwards. Fewer than 14 give a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// Why `ok` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The TCP handshake was completed.
    Open,
    /// An echo reply, a banner or an HTTP response was received.
    Answered,
    /// The target itself refused the connection (TCP RST).
    Refused,
    /// No answer in time: lost, or dropped by a filter.
    Timeout,
    /// A routing or ICMP error: no such host or network, or a filter that rejects.
    Unreachable,
    /// The packet does not fit the path and may not be fragmented.
    TooBig,
    /// This process has no permission to send such a probe.
    Denied,
    /// Connected, but the service sent nothing.
    Silent,
    /// Answered, but not what was expected.
    Unexpected,
    /// Answered, but not by TLS.
    NotTls,
    /// The TLS handshake failed: no common version, an alert, or the connection was closed.
    HandshakeFailed,
    /// The certificate of the server is not issued by a trusted authority.
    UnknownCa,
    /// The certificate of the server, or of an authority in between, has expired.
    Expired,
    /// The certificate of the server, or of an authority in between, is not valid yet.
    NotYetValid,
    /// The certificate of the server is for other names.
    WrongName,
    /// The certificate of the server is invalid for another reason.
    BadCertificate,
    /// The name is neither an address nor in /etc/hosts.
    Unresolved,
    /// Anything else; the error says what.
    Failed,
}

/// Loss and round-trip times of a series of echo requests, as summarised by `ping -q`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ping {
    /// Echo requests sent.
    pub sent: u32,
    /// Echo requests that were answered; duplicate answers do not count.
    pub received: u32,
    /// Share of requests without an answer, 0 to 100.
    pub loss_percent: f64,
    /// Duplicate answers (a loop, or an address used twice).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u32>,
    /// Shortest round trip in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ms: Option<f64>,
    /// Mean round trip in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_ms: Option<f64>,
    /// Longest round trip in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
    /// Standard deviation of the round trips in milliseconds, sqrt(E\[x²\] - E\[x\]²) as in iputils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mdev_ms: Option<f64>,
}

impl Outcome {
    /// An outcome with its state only; the probe adds measured values.
    pub(super) fn new(target: &Target, state: State) -> Self {
        Self {
            target: target.clone(),
            ok: matches!(state, State::Open | State::Answered),
            state,
            resolved: None,
            ms: None,
            ping: None,
            mtu_bytes: None,
            status: None,
            headers: BTreeMap::new(),
            banner: None,
            bytes_read: None,
            not_after: None,
            days_left: None,
            error: None,
        }
    }

    /// An outcome without an answer.
    pub(super) fn failed(target: &Target, state: State, problem: Problem) -> Self {
        let mut outcome = Self::new(target, state);
        outcome.ok = false;
        outcome.error = Some(problem);
        outcome
    }
}

impl Ping {
    /// Summarises a series: `sent` requests, the round trips of answered ones, duplicate answers.
    ///
    /// Computed in whole microseconds with truncation, as iputils does, so that both agree.
    pub fn of(sent: u32, round_trips: &[Duration], duplicates: u32) -> Self {
        let micros: Vec<u128> = round_trips.iter().map(Duration::as_micros).collect();
        let received = u32::try_from(micros.len()).unwrap_or(u32::MAX);
        let lost = sent.saturating_sub(received);
        let loss = if sent == 0 { 0.0 } else { f64::from(lost) * 100.0 / f64::from(sent) };
        let spread = spread(&micros);
        Self {
            sent,
            received,
            loss_percent: rounded(loss),
            duplicates: (duplicates > 0).then_some(duplicates),
            min_ms: spread.map(|s| as_ms(s.min)),
            avg_ms: spread.map(|s| as_ms(s.avg)),
            max_ms: spread.map(|s| as_ms(s.max)),
            mdev_ms: spread.map(|s| as_ms(s.mdev)),
        }
    }
}

#[derive(Clone, Copy)]
struct Spread {
    min: u128,
    avg: u128,
    max: u128,
    mdev: u128,
}

fn spread(micros: &[u128]) -> Option<Spread> {
    let count = micros.len() as u128;
    let sum: u128 = micros.iter().sum();
    let squares: u128 = micros.iter().map(|x| x * x).sum();
    let avg = sum.checked_div(count)?;
    // ((Σx²) - (Σx)²/n) / n rather than Σx²/n - avg²: the truncated mean would inflate it.
    let variance = squares.saturating_sub(sum * sum / count) / count;
    Some(Spread {
        min: micros.iter().copied().min()?,
        avg,
        max: micros.iter().copied().max()?,
        mdev: variance.isqrt(),
    })
}

fn as_ms(micros: u128) -> f64 {
    rounded(micros as f64 / 1000.0)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A duration in milliseconds, rounded to three decimals.
pub(super) fn ms(duration: Duration) -> f64 {
    as_ms(duration.as_micros())
}
