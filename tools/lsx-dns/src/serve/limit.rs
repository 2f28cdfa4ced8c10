//! How many datagrams of one source are answered. Pure: it is told the time.

use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Sources outside of the stack are counted by their network (its prefix), since one of them can take any address there.
const NETWORK: u8 = 24;
/// Sources inside are counted one by one.
const ONE: u8 = 32;
/// The number of sources that are counted. Further ones count as one.
const SOURCES: usize = 10_000;
/// After this time nothing is left to remember of a source.
const FORGET: Duration = Duration::from_secs(1);

/// What a datagram gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// A reply.
    Pass,
    /// The reply that it should be asked again, by TCP or with the cookie in the reply.
    Again,
    /// Nothing.
    Silence,
}

pub(super) struct Limit {
    rate: u64,
    sources: HashMap<Ipv4Net, Count>,
    /// When forgotten sources were last looked for: that takes a while.
    swept: Duration,
}

struct Count {
    /// Thousandths of answers that are left, and when that was so.
    left: u64,
    at: Duration,
    /// The number of datagrams above the limit.
    above: u64,
}

impl Limit {
    /// For a number of answers a second from one source.
    pub(super) fn new(rate: u32) -> Limit {
        Limit { rate: rate.into(), sources: HashMap::new(), swept: Duration::ZERO }
    }

    /// Counts a datagram; `now` is the time since any fixed moment.
    pub(super) fn count(&mut self, source: Ipv4Addr, known: bool, now: Duration) -> Verdict {
        let prefix = if known { ONE } else { NETWORK };
        let mut key = Ipv4Net::new(source, prefix).map(|net| net.trunc()).unwrap_or_default();
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&key) {
            if now.saturating_sub(self.swept) >= FORGET {
                self.swept = now;
                self.sources.retain(|_, count| now.saturating_sub(count.at) < FORGET);
            }
            if self.sources.len() >= SOURCES {
                key = Ipv4Net::default();
            }
        }
        let most = self.rate * 1000;
        let count = self.sources.entry(key).or_insert(Count { left: most, at: now, above: 0 });
        let passed = u64::try_from(now.saturating_sub(count.at).as_millis()).unwrap_or(u64::MAX);
        if passed > 0 {
            count.left = count.left.saturating_add(passed.saturating_mul(self.rate)).min(most);
            count.at = now;
        }
        if count.left >= 1000 {
            count.left -= 1000;
            return Verdict::Pass;
        }
        count.above += 1;
        // An instance must not wait for its time-out. Of forged ones half get nothing.
        if known || count.above.is_multiple_of(2) { Verdict::Again } else { Verdict::Silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, n)
    }

    #[test]
    fn a_source_gets_its_rate_and_no_more() {
        let mut limit = Limit::new(10);
        let mut passed = |n: u8, known, millis| {
            let now = Duration::from_millis(millis);
            let all: Vec<Verdict> = (0..30).map(|_| limit.count(source(n), known, now)).collect();
            let of = |verdict| all.iter().filter(|at| **at == verdict).count();
            (of(Verdict::Pass), of(Verdict::Again), of(Verdict::Silence))
        };
        assert_eq!(passed(1, true, 0), (10, 20, 0));
        assert_eq!(passed(2, true, 0), (10, 20, 0));
        assert_eq!(passed(1, true, 500), (5, 25, 0));
        assert_eq!(passed(1, true, 90_000), (10, 20, 0));
        // Strangers of one network share it, whatever address they show.
        assert_eq!(passed(3, false, 90_000), (10, 10, 10));
        assert_eq!(passed(4, false, 90_000), (0, 15, 15));
    }

    #[test]
    fn many_sources_take_little_memory() {
        let mut limit = Limit::new(1);
        for n in 0..30_000 {
            limit.count(Ipv4Addr::from_bits(0x0a00_0000 + n), true, Duration::from_millis(n.into()));
        }
        assert!(limit.sources.len() <= SOURCES + 1);
        for n in 0..30_000 {
            limit.count(Ipv4Addr::from_bits(0x0b00_0000 + n), true, Duration::from_secs(60));
        }
        assert!(limit.sources.len() <= SOURCES + 1);
    }
}
