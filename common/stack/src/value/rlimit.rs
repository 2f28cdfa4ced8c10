//! Limits of setrlimit(2): a soft limit that the process may raise, and a hard one that it may not.

use super::{Parsed, SIZES, Wrong, units};
use serde::{Serialize, Serializer};
use std::fmt;

/// Names of limits, as in Docker's `ulimits`: those of setrlimit(2) in lower case.
pub(crate) const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A limit; written `1024`, `64M`, `unlimited`, or `SOFT:HARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// The limit until the process raises it; `None` is unlimited.
    pub soft: Option<u64>,
    /// The highest value that it may raise it to; `None` is unlimited.
    pub hard: Option<u64>,
}

/// Parses a limit such as `1024:4096`.
pub(crate) fn rlimit(text: &str) -> Parsed<Rlimit> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is not a limit"),
            "like 1024, 64M, unlimited, or 1024:4096 for soft and hard",
        )
    };
    let one = |text: &str| match text {
        "unlimited" => Some(None),
        text => units(text, &SIZES).map(Some),
    };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let (soft, hard) = (one(soft).ok_or_else(wrong)?, one(hard).ok_or_else(wrong)?);
    let within = hard.is_none_or(|hard| soft.is_some_and(|soft| soft <= hard));
    if !within {
        return Err(Wrong::new(
            format!("`{text}`: the soft limit is above the hard one"),
            "write the soft limit first",
        ));
    }
    Ok(Rlimit { soft, hard })
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
        match self.soft == self.hard {
            true => f.write_str(&one(self.soft)),
            false => write!(f, "{}:{}", one(self.soft), one(self.hard)),
        }
    }
}

impl Serialize for Rlimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
