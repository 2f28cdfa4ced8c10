//! Sources that may be forged: a datagram can carry the address of somebody else, who would get the reply. A client that shows a
//! cookie of this server (RFC 7873, RFC 9018), or asks by TCP, has its own address; of others only so many are answered a second.

use super::limit::{Limit, Verdict};
use super::reply::Question;
use domain::base::Serial;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old a cookie may be, how far in the future, and from when on the client gets a new one (RFC 9018 4.3), in seconds.
const OLD: i64 = 3600;
const AHEAD: i64 = 300;
const AGAIN: i64 = 1800;

pub(super) struct Guard {
    /// Of this worker alone: after a hand-over clients get new cookies.
    secret: [u8; 16],
    start: Instant,
    /// The time at the start, in seconds.
    epoch: u32,
    limit: Mutex<Limit>,
}

impl Guard {
    /// For a number of datagrams a second from one source; `epoch` is the time in seconds.
    ///
    /// # Errors
    /// The kernel has no random numbers.
    pub(super) fn new(rate: u32, epoch: u32) -> io::Result<Guard> {
        let mut secret = [0; 16];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
        Ok(Guard { secret, start: Instant::now(), epoch, limit: Mutex::new(Limit::new(rate)) })
    }

    /// Whether a question is answered. Its cookie becomes the one that the client gets. `known` sources are those of the stack,
    /// which networks keep from being forged.
    pub(super) fn admit(&self, question: &mut Question, source: Ipv4Addr, known: bool) -> Verdict {
        self.at(self.start.elapsed(), question, source, known)
    }

    /// The same of a question without a cookie, by a datagram.
    pub(super) fn count(&self, source: Ipv4Addr, known: bool) -> Verdict {
        self.limited(self.start.elapsed(), source, known)
    }

    fn at(&self, elapsed: Duration, question: &mut Question, source: Ipv4Addr, known: bool) -> Verdict {
        let proven = self.renew(question, source, elapsed);
        if proven || question.stream {
            return Verdict::Pass;
        }
        self.limited(elapsed, source, known)
    }

    fn limited(&self, elapsed: Duration, source: Ipv4Addr, known: bool) -> Verdict {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).count(source, known, elapsed)
    }

    /// Whether the cookie is one of this server for the source.
    fn renew(&self, question: &mut Question, source: Ipv4Addr, elapsed: Duration) -> bool {
        let Some(cookie) = &question.cookie else { return false };
        let now = self.epoch.wrapping_add(u32::try_from(elapsed.as_secs()).unwrap_or_default());
        let source = IpAddr::V4(source);
        let mut age = 0;
        let proven = cookie.check_server_hash(source, &self.secret, |made| {
            // Serial numbers turn over (RFC 1982).
            age = i64::from(now.wrapping_sub(made.into_int()).cast_signed());
            (-AHEAD..=OLD).contains(&age)
        });
        if !proven || !(0..=AGAIN).contains(&age) {
            question.cookie = Some(cookie.create_response(Serial(now), source, &self.secret));
        }
        proven
    }
}

#[cfg(test)]
mod tests;
