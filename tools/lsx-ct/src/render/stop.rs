//! The stop signal of an instance, in all its forms.

/// A signal by number, from any form in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop(pub i32);

/// SIGUSR2; busybox init: powers off.
pub(crate) const HALT: Stop = Stop(12);
/// SIGRTMIN+3; systemd(1): halts.
pub(crate) const HALT_SYSTEMD: Stop = Stop(RTMIN + 3);

/// The C library reserves the first two real-time signals (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Stop {
    /// `QUIT`, `SIGQUIT`, `3`, `SIGRTMIN+3`; `None` if it is not a signal.
    pub(crate) fn parse(text: &str) -> Option<Stop> {
        let text = text.trim().to_ascii_uppercase();
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        let above = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX"), name.parse::<i32>()) {
            (Some(rest), ..) => RTMIN.checked_add(above(rest)?)?,
            (_, Some(rest), _) => RTMAX.checked_add(above(rest)?)?,
            (.., Ok(number)) => number,
            _ => i32::try_from(NAMES.iter().position(|known| *known == name)?).ok()? + 1,
        };
        (1..=RTMAX).contains(&number).then_some(Stop(number))
    }

    /// Its name for people and liblxc.
    pub(crate) fn name(self) -> String {
        match usize::try_from(self.0 - 1).ok().and_then(|n| NAMES.get(n)) {
            Some(name) => format!("SIG{name}"),
            None if self.0 >= RTMIN => format!("SIGRTMIN+{}", self.0 - RTMIN),
            None => self.0.to_string(),
        }
    }
}

/// Signal names from 1 on (signal(7)), the same on all supported architectures.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
