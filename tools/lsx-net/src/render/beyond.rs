//! Rules in the stack's router for what other hosts publish or balance. Pure.

use super::{braces, near, protocol, sources};
use crate::model::{Desired, Elsewhere, WORLD};
use std::collections::BTreeSet;

/// Ports of other hosts whose instances are not behind this router, and their load balancers: their own host serves them for
/// this one, too, and sees its address.
pub(super) fn beyond(d: &Desired) -> Vec<String> {
    let far = d.elsewhere.iter().filter(|e| !near(d, &e.port) && e.port.from.is_empty());
    let mut keys: BTreeSet<String> = far
        .flat_map(|Elsewhere { port: p, at, .. }| {
            let key = |address| format!("{address} . {} . {}", protocol(p.protocol), p.listen);
            d.asked(p, *at).into_iter().map(key)
        })
        .collect();
    let outward = format!("iifname != \"{WORLD}\" oifname \"{WORLD}\"");
    let mut narrow = Vec::new();
    for far in &d.balanced {
        let asked = d.addresses(&far.host, far.at, far.address);
        if far.from.is_empty() {
            keys.extend(asked.iter().map(|address| format!("{address} . tcp . {}", far.port)));
        } else {
            let (from, asked) = (sources(&far.from), braces(asked));
            narrow.push(format!("{outward} {from}ip daddr {asked} tcp dport {} accept", far.port));
        }
    }
    let open = format!("{outward} ip daddr . meta l4proto . th dport {} accept", braces(&keys));
    (!keys.is_empty()).then_some(open).into_iter().chain(narrow).collect()
}
