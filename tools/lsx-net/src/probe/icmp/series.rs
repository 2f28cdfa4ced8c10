//! A series of echo requests to one host: settings, progress, result.

use std::time::{Duration, Instant};

use super::socket::Way;
use crate::probe::errqueue::Report;

/// One series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) way: Way,
    pub(super) count: u32,
    pub(super) interval: Duration,
    /// Wait after the last request.
    pub(super) timeout: Duration,
    pub(super) size: usize,
    /// Ends with the first reply or error, so further requests are retries.
    pub(super) until_first: bool,
}

/// The result of a series.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) sent: u32,
    pub(super) round_trips: Vec<Duration>,
    pub(super) duplicates: u32,
    pub(super) took: Duration,
    /// The last error that this host or the path reported.
    pub(super) fault: Option<Report>,
}

/// The progress of a series.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) tally: Tally,
    /// When the first request was sent.
    pub(super) began: Option<Instant>,
    /// Requests answered by an error of the path.
    pub(super) errors: u32,
    /// Since when the kernel has no room for a request.
    pub(super) crowded: Option<Instant>,
    pub(super) done: bool,
}
