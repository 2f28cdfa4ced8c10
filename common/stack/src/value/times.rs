//! Intervals, rates, times of day and shares.

use super::write::as_text;
use super::{Duration, Parsed, Wrong, duration};
use std::fmt;

/// An interval; written `5s`, or `off` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(pub Option<Duration>);

/// A rate; written `50/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The number.
    pub count: u32,
    /// The unit of time: one second, minute, hour or day.
    pub per: Duration,
}

/// A time of day, in the host's time zone; written `02:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

/// A percentage; written `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u8);

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// `5s`, or `off`.
pub(crate) fn pace(text: &str) -> Parsed<Pace> {
    if text == "off" {
        return Ok(Pace(None));
    }
    match duration(text) {
        Ok(time) if time.0 > 0 => Ok(Pace(Some(time))),
        _ => Err(Wrong::new(
            format!("`{text}` is not an interval"),
            "a number with s, m, h or d, like 5s, or off",
        )),
    }
}

/// `50/h`.
pub(crate) fn rate(text: &str) -> Parsed<Rate> {
    let wrong = || Wrong::new(format!("`{text}` is not a rate"), "a number and /s, /m, /h or /d, like 50/h");
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let count = count.parse().ok().filter(|&n: &u32| n > 0 && count.bytes().all(|b| b.is_ascii_digit()));
    let per = UNITS.iter().find(|(word, _)| *word == unit).map(|&(_, seconds)| Duration(seconds));
    Ok(Rate { count: count.ok_or_else(wrong)?, per: per.ok_or_else(wrong)? })
}

/// `02:30`.
pub(crate) fn clock(text: &str) -> Parsed<Clock> {
    let two = |digits: &str| digits.parse().ok().filter(|_| digits.len() == 2 && !digits.starts_with('+'));
    match text.split_once(':').map(|(hour, minute)| (two(hour), two(minute))) {
        Some((Some(hour @ 0..=23), Some(minute @ 0..=59))) => Ok(Clock { hour, minute }),
        _ => Err(Wrong::new(format!("`{text}` is not a time of day"), "from \"00:00\" to \"23:59\"")),
    }
}

/// `5%`.
pub(crate) fn percent(text: &str) -> Parsed<Percent> {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let share = digits.and_then(|digits| digits.parse().ok()).filter(|share| (1..=100).contains(share));
    share.map(Percent).ok_or_else(|| Wrong::new(format!("`{text}` is not a percentage"), "from 1% to 100%"))
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => time.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.per.0).map_or("s", |(word, _)| word);
        write!(f, "{}/{unit}", self.count)
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

as_text!(Pace, Rate, Clock, Percent);
