//! Signed updates that were seen: each counts once. A repeated one gets the reply of the first, so that a client may send it again
//! when no reply came, and somebody who has recorded it changes nothing. Pure.

use domain::base::iana::Rcode;
use std::collections::{BTreeSet, HashMap};

/// How far the clock of a client may be from that of the server, in seconds, whatever its message allows (RFC 8945 10).
pub(crate) const FUDGE: u64 = 300;
/// The number of updates that are remembered.
const MOST: usize = 20_000;

/// The signature of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Seconds since 1970.
    pub(crate) at: u64,
    /// The code of the signature.
    pub(crate) mac: String,
}

#[derive(Debug, Default)]
pub(crate) struct Replay {
    codes: HashMap<String, (u64, Rcode)>,
    order: BTreeSet<(u64, String)>,
    /// Updates that were signed before are not remembered, and refused (RFC 8945 5.2.3). One in the future is that of a clock that was wrong.
    floor: u64,
}

/// What an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Again(Rcode),
    TooOld,
}

impl Replay {
    pub(crate) fn look(&self, signed: &Signed, now: u64) -> Seen {
        match self.codes.get(&signed.mac) {
            Some((_, code)) => Seen::Again(*code),
            None if signed.at.abs_diff(now) > FUDGE => Seen::TooOld,
            None if signed.at <= self.floor && self.floor <= now.saturating_add(FUDGE) => Seen::TooOld,
            None => Seen::New,
        }
    }

    pub(crate) fn note(&mut self, signed: &Signed, code: Rcode, now: u64) {
        self.codes.insert(signed.mac.clone(), (signed.at, code));
        self.order.insert((signed.at, signed.mac.clone()));
        while let Some((at, mac)) = self.order.first().cloned() {
            let full = self.order.len() > MOST;
            if !full && at.saturating_add(FUDGE) >= now {
                return;
            }
            self.floor = if self.floor > now.saturating_add(FUDGE) { at } else { self.floor.max(at) };
            self.codes.remove(&mac);
            self.order.pop_first();
        }
    }

    /// Forgets an update that had no effect after all.
    pub(crate) fn forget(&mut self, signed: &Signed) {
        self.codes.remove(&signed.mac);
        self.order.remove(&(signed.at, signed.mac.clone()));
    }

    /// Those that were carried out, and are still remembered.
    pub(crate) fn carried_out(&self) -> impl Iterator<Item = Signed> {
        let done = self.codes.iter().filter(|(_, (_, code))| *code == Rcode::NOERROR);
        done.map(|(mac, (at, _))| Signed { at: *at, mac: mac.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(at: u64, mac: &str) -> Signed {
        Signed { at, mac: mac.to_owned() }
    }

    #[test]
    fn each_update_counts_once_within_its_time() {
        let mut replay = Replay::default();
        let first = signed(1000, "a");
        assert_eq!(replay.look(&first, 1000), Seen::New);
        replay.note(&first, Rcode::NOERROR, 1000);
        assert_eq!(replay.look(&first, 1005), Seen::Again(Rcode::NOERROR));
        // Another client's clock is a little behind.
        assert_eq!(replay.look(&signed(999, "b"), 1005), Seen::New);
        for (at, now) in [(1000, 1301), (1301, 1000)] {
            assert_eq!(replay.look(&signed(at, "c"), now), Seen::TooOld);
        }
        replay.note(&signed(1400, "d"), Rcode::NOERROR, 1400);
        assert_eq!(replay.look(&first, 1400), Seen::TooOld, "it is forgotten, and too old");
        replay.forget(&signed(1400, "d"));
        assert_eq!(replay.look(&signed(1400, "d"), 1400), Seen::New);
    }

    #[test]
    fn a_clock_that_jumps_lets_nothing_in_again_and_keeps_nobody_out() {
        const YEAR: u64 = 86_400 * 365;
        let mut replay = Replay::default();
        let first = signed(1000, "a");
        replay.note(&first, Rcode::NOERROR, 1000);
        for jump in 1..=2 {
            let at = signed(1000 + jump * YEAR, &jump.to_string());
            assert_eq!(replay.look(&at, at.at), Seen::New);
            replay.note(&at, Rcode::NOERROR, at.at);
        }
        // It goes back: what was recorded before is as old as it was, and clients are heard at once.
        let now = 1010;
        assert_eq!(replay.look(&first, now), Seen::New, "twice wrong: only then it would count again");
        assert_eq!(replay.look(&signed(1009, "b"), now), Seen::New);
        replay.note(&signed(1009, "b"), Rcode::NOERROR, now);
        assert_eq!(replay.look(&signed(1009, "b"), 1011), Seen::Again(Rcode::NOERROR));

        let mut replay = Replay::default();
        replay.note(&first, Rcode::NOERROR, 1000);
        replay.note(&signed(YEAR, "b"), Rcode::NOERROR, YEAR);
        assert_eq!(replay.look(&first, now), Seen::TooOld, "once wrong");
        assert_eq!(replay.look(&signed(1009, "c"), now), Seen::New);
        // Far back, before everything that is known.
        assert_eq!(replay.look(&signed(10, "d"), 10), Seen::New);
    }

    #[test]
    fn what_is_not_remembered_any_more_is_refused() {
        let mut replay = Replay::default();
        for number in 0..=MOST as u64 {
            replay.note(&signed(1000 + number / 1000, &number.to_string()), Rcode::NOERROR, 1020);
        }
        assert_eq!(replay.codes.len(), MOST);
        assert_eq!(replay.look(&signed(1000, "0"), 1020), Seen::TooOld);
        assert_eq!(replay.look(&signed(1001, "new"), 1020), Seen::New);
    }
}
