//! The forwarding state of the host before the first stack, as recorded in /run and at the links to the routers.

use super::ways;
use crate::netlink::dump::Link;
use crate::paths::{Paths, note};

/// The forwarding state before the first stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prior {
    /// ip_forward.
    pub(crate) forward: String,
    /// Interfaces on which it was off nevertheless.
    pub(crate) off: Vec<String>,
}

impl Prior {
    /// `0`, or `1 eth1`.
    fn parse(text: &str) -> Option<Prior> {
        let mut words = text.split_whitespace();
        let forward = words.next().filter(|word| matches!(*word, "0" | "1"))?.to_owned();
        Some(Prior { forward, off: words.map(str::to_owned).collect() })
    }

    pub(crate) fn text(&self) -> String {
        std::iter::once(&self.forward).chain(&self.off).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn noted() -> Option<Prior> {
        note(&file_of()).ok().flatten().and_then(|text| Prior::parse(&text))
    }
}

pub(crate) fn file_of() -> std::path::PathBuf {
    Paths::routing().join("prior")
}

/// Precedes the recorded state in the alias of a stack's link to its router.
pub(crate) const WAS: &str = " before: ";

pub(crate) fn aliased(links: &[Link]) -> Option<Prior> {
    ways::worlds(links).find_map(|(_, link)| Prior::parse(link.alias.split_once(WAS)?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reads_back_and_garbage_does_not() {
        let prior = Prior { forward: "1".to_owned(), off: vec!["eth1".to_owned()] };
        assert_eq!(Prior::parse(&prior.text()), Some(prior));
        for garbage in ["", "2", "yes", "\u{fffd}", "-1"] {
            assert_eq!(Prior::parse(garbage), None, "{garbage}");
        }
    }
}
