//! From when to when a certificate is valid (RFC 5280, 4.1.2.5): the few fields of DER before its dates, nothing else.

use std::fmt;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const DAY: i64 = 86_400;
/// Days of a non-leap year before each month.
const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// The first and the last second of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dates {
    pub(super) not_before: Moment,
    pub(super) not_after: Moment,
}

/// A second of UTC; shown as in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// Of the day.
    second: i64,
}

impl Dates {
    /// The dates of a certificate in DER; `None` if they are not where they must be.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = value(certificate, SEQUENCE)?;
        let (mut rest, _) = value(certificate, SEQUENCE)?;
        if let Some((_, after)) = value(rest, VERSION) {
            rest = after;
        }
        // Serial number, signature algorithm, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            rest = value(rest, tag)?.1;
        }
        let (validity, _) = value(rest, SEQUENCE)?;
        let (not_before, rest) = moment(validity)?;
        let (not_after, rest) = moment(rest)?;
        rest.is_empty().then_some(Self { not_before, not_after })
    }
}

/// The content of the first value, which must have this tag, and what follows it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0_u64, |length, &digit| length << 8 | u64::from(digit));
            (usize::try_from(length).ok()?, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; RFC 5280 allows no other form.
fn moment(bytes: &[u8]) -> Option<(Moment, &[u8])> {
    let (utc, general) = (value(bytes, UTC_TIME), value(bytes, GENERALIZED_TIME));
    let long = general.is_some();
    let (text, rest) = utc.or(general)?;
    let digits = text.strip_suffix(b"Z")?;
    if digits.len() != if long { 14 } else { 12 } || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut pairs =
        digits.chunks_exact(2).map(|pair| i64::from(pair[0] - b'0') * 10 + i64::from(pair[1] - b'0'));
    let mut next = || pairs.next();
    let year = match (long, next()?) {
        (true, century) => century * 100 + next()?,
        (false, year) => year + if year < 50 { 2000 } else { 1900 },
    };
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    let good = (1..=12).contains(&month)
        && (1..=month_days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    good.then_some((Moment { year, month, day, second: hour * 3600 + minute * 60 + second }, rest))
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Moment {
    /// Seconds since 1970; negative before.
    pub(super) fn unix(self) -> i64 {
        let years = self.year - 1;
        let leaps = |years: i64| years / 4 - years / 100 + years / 400;
        let month = usize::try_from(self.month - 1).unwrap_or_default();
        let this_year = BEFORE[month % 12] + i64::from(self.month > 2 && leap(self.year)) + self.day - 1;
        let days = (self.year - 1970) * 365 + leaps(years) - leaps(1969) + this_year;
        days * DAY + self.second
    }

    /// Whole days from `now`, in seconds since 1970, until then; negative afterwards.
    pub(super) fn days_from(self, now: i64) -> i64 {
        (self.unix() - now).div_euclid(DAY)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, second } = *self;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::soak;

    fn wrapped(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut all = vec![tag, 0x82];
        all.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        all.extend(content);
        all
    }

    /// The fields of a certificate up to its dates.
    fn certificate(from: &[u8], until: &[u8]) -> Vec<u8> {
        let time = |text: &[u8]| wrapped(if text.len() == 13 { UTC_TIME } else { GENERALIZED_TIME }, &[text]);
        let dates = wrapped(SEQUENCE, &[&time(from), &time(until)]);
        let version = wrapped(VERSION, &[&[INTEGER, 1, 2]]);
        let front = [version.as_slice(), &[INTEGER, 1, 1], &[SEQUENCE, 0], &[SEQUENCE, 0], &dates];
        wrapped(SEQUENCE, &[&wrapped(SEQUENCE, &front)])
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        let dates = Dates::of(&certificate(b"500101000000Z", b"21000228235959Z")).unwrap();
        assert_eq!(dates.not_before.to_string(), "1950-01-01T00:00:00Z");
        assert_eq!(dates.not_before.unix(), -631_152_000);
        assert_eq!(dates.not_after.to_string(), "2100-02-28T23:59:59Z");
        assert_eq!(dates.not_after.unix(), 4_107_542_399);
        let never = Dates::of(&certificate(b"240229120000Z", b"99991231235959Z")).unwrap();
        assert_eq!((never.not_before.unix(), never.not_after.unix()), (1_709_208_000, 253_402_300_799));
        assert_eq!(never.not_before.days_from(1_709_208_001), -1);
        assert_eq!(never.not_before.days_from(1_709_208_000 - 2 * DAY), 2);
        for wrong in
            [b"230229120000Z", b"241301000000Z", b"240101240000Z", b"24010100000+Z", b"2401010000000"]
        {
            assert_eq!(Dates::of(&certificate(wrong, b"99991231235959Z")), None);
        }
    }

    #[test]
    fn soak_net_certificate() {
        let whole = certificate(b"240229120000Z", b"99991231235959Z");
        let input = |dice: &mut lsx_tests::Dice| {
            let mut bytes = whole.clone();
            for _ in 0..dice.below(3) {
                let at = dice.below(bytes.len());
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
            if dice.below(4) == 0 {
                bytes.truncate(dice.below(bytes.len()));
            }
            bytes
        };
        soak("net-certificate", 20_000, 20, input, |bytes| {
            let Some(dates) = Dates::of(bytes) else { return false };
            let text = dates.not_after.to_string();
            let again = humantime::parse_rfc3339(&text);
            if let Ok(again) = again.map(|time| time.duration_since(std::time::UNIX_EPOCH)) {
                assert_eq!(
                    again.map_or(-1, |d| i64::try_from(d.as_secs()).unwrap()),
                    dates.not_after.unix().max(-1)
                );
            }
            true
        });
    }
}
