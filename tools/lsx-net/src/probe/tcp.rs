//! TCP ports: one handshake per target, all targets in parallel.

use std::time::Duration;

use super::dial::{Dial, Dialed, dial_all};
use super::names::ScopedIp;
use super::outcome::{Outcome, State, ms};
use super::target::{Target, Tcp};

/// A TCP target whose address is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) target: &'a Target,
    pub(super) tcp: Tcp,
    pub(super) place: ScopedIp,
}

/// Probes all targets in parallel; outcomes in the order given.
pub(super) fn probe(asks: &[Ask]) -> Vec<Outcome> {
    let dials: Vec<Dial> = asks.iter().map(|ask| dial_of(ask.target, ask.place, ask.tcp.port)).collect();
    asks.iter().zip(dial_all(&dials, false)).map(|(ask, dialed)| outcome(ask.target, &dialed)).collect()
}

/// The handshake that every kind of TCP target begins with.
pub(super) fn dial_of(target: &Target, place: ScopedIp, port: u16) -> Dial<'_> {
    Dial {
        to: place.port(port),
        source: target.source,
        interface: target.interface.as_deref(),
        timeout: Duration::from_millis(target.timeout_ms),
    }
}

/// The outcome of a handshake alone.
pub(super) fn outcome(target: &Target, dialed: &Dialed) -> Outcome {
    let mut outcome = Outcome::new(target, dialed.state);
    outcome.error.clone_from(&dialed.problem);
    if dialed.state != State::Failed {
        outcome.ms = Some(ms(dialed.elapsed));
    }
    outcome
}
