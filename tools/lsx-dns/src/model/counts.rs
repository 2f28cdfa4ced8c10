//! What a server has answered.

use common::document;
use common::tool::Tool as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// What a worker has answered; another worker begins with zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// When the worker began.
    pub since_at: String,
    /// Queries.
    pub queries: u64,
    /// Those of them by TCP.
    pub tcp: u64,
    /// Queries that were answered from the cache.
    pub kept: u64,
    /// Queries for which other servers were asked.
    pub forwarded: u64,
    /// Queries that got an answer whose time was over, since no server answered.
    pub old: u64,
    /// Queries for which no server answered.
    pub failed: u64,
    /// Queries above the limit of their source.
    pub limited: u64,
    /// Answers in the cache.
    pub cached: u64,
    /// The size of the cache in memory, about.
    pub cached_bytes: u64,
    /// Replies by their code, such as `NOERROR`.
    pub codes: BTreeMap<String, u64>,
    /// Replicas that are not ready, and are left out while others are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unready: BTreeSet<Ipv4Addr>,
    /// Queries by the address of the server.
    pub addresses: BTreeMap<Ipv4Addr, u64>,
}

/// What the server of a stack on this host has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counted {
    /// `lsx.dns.counts/1`.
    schema: String,
    /// The stack.
    stack: String,
    #[serde(flatten)]
    counts: Counts,
}

impl Counted {
    /// Of a stack.
    pub fn new(stack: &str, counts: Counts) -> Counted {
        Counted { schema: document::schema(crate::Dns::NAME, "counts"), stack: stack.to_owned(), counts }
    }

    /// As text for Prometheus (its text format 0.0.4).
    pub fn prometheus(&self) -> String {
        let (counts, stack) = (&self.counts, &self.stack);
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, rows: Vec<(String, u64)>| {
            let _ = writeln!(text, "# HELP lsx_dns_{name} {help}\n# TYPE lsx_dns_{name} {kind}");
            for (label, value) in rows {
                let _ = writeln!(text, "lsx_dns_{name}{{stack=\"{stack}\"{label}}} {value}");
            }
        };
        let one = |value| vec![(String::new(), value)];
        for (name, help, value) in [
            ("tcp_queries_total", "Queries by TCP", counts.tcp),
            ("cache_hits_total", "Queries that were answered from the cache", counts.kept),
            ("forwarded_total", "Queries for which other servers were asked", counts.forwarded),
            ("stale_total", "Queries that got an answer whose time was over", counts.old),
            ("failed_total", "Queries for which no server answered", counts.failed),
            ("limited_total", "Queries above the limit of their source", counts.limited),
        ] {
            add(name, "counter", help, one(value));
        }
        let plain = |word: &&String| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let codes =
            counts.codes.keys().filter(plain).map(|code| (format!(",code=\"{code}\""), counts.codes[code]));
        add("replies_total", "counter", "Replies by their code", codes.collect());
        let addresses = counts.addresses.iter().map(|(at, n)| (format!(",address=\"{at}\""), *n));
        add("queries_total", "counter", "Queries by the address of the server", addresses.collect());
        let unready = u64::try_from(counts.unready.len()).unwrap_or(u64::MAX);
        add("unready_replicas", "gauge", "Replicas that are not ready", one(unready));
        add("cache_answers", "gauge", "Answers in the cache", one(counts.cached));
        add("cache_bytes", "gauge", "Size of the cache in memory, about", one(counts.cached_bytes));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_prometheus() {
        let mut counts = Counts { tcp: 3, limited: 7, cached: 2, ..Counts::default() };
        counts.codes = [("NOERROR".to_owned(), 9), ("x\"} 1\nfaked".to_owned(), 1)].into();
        counts.addresses = [(Ipv4Addr::new(10, 0, 0, 1), 9)].into();
        let text = Counted::new("town", counts).prometheus();
        for line in [
            "# TYPE lsx_dns_replies_total counter",
            "lsx_dns_replies_total{stack=\"town\",code=\"NOERROR\"} 9",
            "lsx_dns_queries_total{stack=\"town\",address=\"10.0.0.1\"} 9",
            "lsx_dns_tcp_queries_total{stack=\"town\"} 3",
            "lsx_dns_limited_total{stack=\"town\"} 7",
            "lsx_dns_cache_answers{stack=\"town\"} 2",
        ] {
            assert!(text.lines().any(|at| at == line), "{line}\n{text}");
        }
        assert!(!text.contains("faked"), "{text}");
        let names = text.lines().filter(|line| line.starts_with("# TYPE"));
        assert_eq!(names.count(), 11);
    }
}
