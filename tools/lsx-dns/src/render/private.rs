//! Zones for private use, which other servers must be told not to ask for. Pure.

use crate::model::{Config, PRIVATE, RANGES};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;

/// Those that are neither zones of the stack nor asked from other servers.
pub(super) fn private(config: &Config) -> BTreeSet<String> {
    let reverse = RANGES.iter().flat_map(|(network, prefix)| {
        let octets = prefix.div_ceil(8);
        let range = Ipv4Net::new(*network, *prefix).ok();
        let parts = range.and_then(|range| range.subnets(octets * 8).ok()).into_iter().flatten();
        parts.map(move |part| {
            let labels = part.network().octets();
            let labels: Vec<String> = labels[..usize::from(octets)].iter().rev().map(u8::to_string).collect();
            format!("{}.in-addr.arpa", labels.join("."))
        })
    });
    let all = PRIVATE.iter().map(|domain| (*domain).to_owned()).chain(reverse);
    let taken = |apex: &String| {
        let below = |zone: &String| super::within(zone, apex);
        config.zones.contains(apex) || config.beyond.keys().any(below)
    };
    all.filter(|apex| !taken(apex)).collect()
}
