//! Signals in all forms in which images and documents name them.

use super::write::as_text;
use super::{Parsed, Wrong};
use std::fmt;

/// A signal by number; written `SIGQUIT` or `SIGRTMIN+3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

/// The C library reserves the first two real-time signals (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// SIGRTMIN+N.
    pub const fn real_time(above: i32) -> Signal {
        Signal(RTMIN + above)
    }

    /// `QUIT`, `SIGQUIT`, `3`, `SIGRTMIN+3`; `None` if it is not a signal.
    pub fn parse(text: &str) -> Option<Signal> {
        let text = text.trim().to_ascii_uppercase();
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        let above = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX"), name.parse::<i32>()) {
            (Some(rest), ..) => RTMIN.checked_add(above(rest)?)?,
            (_, Some(rest), _) => RTMAX.checked_add(above(rest)?)?,
            (.., Ok(number)) => number,
            _ => i32::try_from(NAMES.iter().position(|known| *known == name)?).ok()? + 1,
        };
        (1..=RTMAX).contains(&number).then_some(Signal(number))
    }

    /// Its name for people and liblxc.
    pub fn name(self) -> String {
        match usize::try_from(self.0 - 1).ok().and_then(|n| NAMES.get(n)) {
            Some(name) => format!("SIG{name}"),
            None if self.0 >= RTMIN => format!("SIGRTMIN+{}", self.0 - RTMIN),
            None => self.0.to_string(),
        }
    }
}

/// A signal of a document.
pub(crate) fn signal(text: &str) -> Parsed<Signal> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is not a signal"),
            "a name or a number, like QUIT, SIGQUIT, 3 or SIGRTMIN+3",
        )
    };
    Signal::parse(text).ok_or_else(wrong)
}

/// All forms of signals as a regular expression, for the schema.
pub(crate) fn signals() -> String {
    let names = NAMES.join("|");
    let one = |sig: &str, names: &str, rt: [&str; 2]| {
        format!("({sig})?({names}|{}([+][0-9]{{1,2}})?|{}(-[0-9]{{1,2}})?)", rt[0], rt[1])
    };
    let upper = one("SIG", &names, ["RTMIN", "RTMAX"]);
    let lower = one("sig", &names.to_ascii_lowercase(), ["rtmin", "rtmax"]);
    format!("({upper}|{lower}|[1-9]|[1-5][0-9]|6[0-4])")
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

as_text!(Signal);

/// Signal names from 1 on (signal(7)), the same on all supported architectures.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
