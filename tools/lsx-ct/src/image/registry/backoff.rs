//! A registry that is busy (429, 503) is tried again at the time it states, within a limit.

use common::Failure;
use common::host::wait;
use common::log;
use std::time::{Duration, SystemTime};
use ureq::Body;
use ureq::http::Response;

/// Time limit of all waits for one request.
pub(super) const LIMIT: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 120 });
/// The pauses in seconds if it states no time; then it is not tried again.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// Repeats the request until the answer is a different one.
pub(super) fn patient(
    mut ask: impl FnMut() -> Result<Response<Body>, Failure>,
) -> Result<Response<Body>, Failure> {
    let mut left = LIMIT;
    for pause in PAUSES {
        let answer = ask()?;
        if !matches!(answer.status().as_u16(), 429 | 503) {
            return Ok(answer);
        }
        let pause = wanted(&answer).unwrap_or(Duration::from_secs(pause));
        let Some(rest) = left.checked_sub(pause) else { return Ok(answer) };
        left = rest;
        tracing::info!("waits {} s: the registry is busy", pause.as_secs());
        wait::until(pause, pause.max(Duration::from_millis(10)), || false);
    }
    ask()
}

/// The time in `Retry-After`, as seconds or as a date (RFC 9110 10.2.3).
pub(super) fn wanted(answer: &Response<Body>) -> Option<Duration> {
    let value = answer.headers().get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = Duration::from_secs(date(value)?);
    let now = log::clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(then.saturating_sub(now))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = words[..] else { return None };
    let number = |word: &str| word.parse::<u64>().ok();
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (number(day)?, number(year).filter(|year| (1970..10_000).contains(year))?);
    // Days since 1970, with years that begin in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 719_469;
    Some(days * 86_400 + number(hour)? * 3600 + number(minute)? * 60 + number(second)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: &str) -> Response<Body> {
        Response::builder().status(429).header("retry-after", value).body(Body::builder().data("")).unwrap()
    }

    #[test]
    fn dates_and_seconds_are_read() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777)); // date -d ... +%s
        assert_eq!(date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(wanted(&answer("7")), Some(Duration::from_secs(7)));
        assert_eq!(wanted(&answer("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO), "long ago");
        for bad in ["", "soon", "-1", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 99999999999 08:49:37 GMT"]
        {
            assert_eq!(wanted(&answer(bad)), None, "{bad}");
        }
    }
}
