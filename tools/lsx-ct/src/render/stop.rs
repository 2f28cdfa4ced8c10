//! The signal that ends an instance, in whatever form it is said.

/// A signal by its number, in whatever form an image says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop(pub i32);

/// SIGUSR2; busybox init: powers off.
pub const HALT: Stop = Stop(12);
/// SIGRTMIN+3; systemd(1): halts.
pub const HALT_SYSTEMD: Stop = Stop(RTMIN + 3);

/// The C library has the first two real-time signals for itself (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Stop {
    /// `QUIT`, `SIGQUIT`, `3`, `SIGRTMIN+3`; nothing for what is no signal.
    pub fn parse(text: &str) -> Option<Stop> {
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

    /// As a person reads it, and liblxc, too.
    pub fn name(self) -> String {
        match usize::try_from(self.0 - 1).ok().and_then(|n| NAMES.get(n)) {
            Some(name) => format!("SIG{name}"),
            None if self.0 >= RTMIN => format!("SIGRTMIN+{}", self.0 - RTMIN),
            None => self.0.to_string(),
        }
    }
}

/// From 1 on (signal(7)), as on every machine that lsx runs on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
