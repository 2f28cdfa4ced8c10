//! Probes: whether a host answers, a port is open, a service or a web server responds; one JSON result each.
//!
//! Synchronous, and silent on stdout. Everything runs in the network namespace of the calling thread, including its own
//! threads (a thread inherits the namespace of its creator).

mod banner;
mod decode;
mod dial;
mod errqueue;
mod expect;
mod form;
mod http;
mod icmp;
mod names;
mod outcome;
mod pace;
mod problem;
mod run;
mod sweep;
mod target;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

pub use expect::{Expect, StatusRule};
pub use outcome::{Outcome, Ping, State};
pub use problem::Problem;
pub use run::{run, run_all};
pub use sweep::{Connected, Pinged, SweepTarget, connect_sweep, sweep};
pub use target::{Banner, Http, Icmp, MAX_SIZE_BYTES, MAX_TIMEOUT_MS, Probe, Target, Tcp};
pub use tls::DAYS_LEFT;
