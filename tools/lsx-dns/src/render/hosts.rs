//! Hosts files (hosts(5)) of a view. Pure.

use super::{seen, within};
use crate::model::{Config, Data, View};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// All addresses that a view sees, each with its names: the name of its own first, and without `domain` last, as a search domain
/// would find it. Wildcards, and names that lead to other names, have no place in such a file.
pub fn hosts(config: &Config, view: &View, domain: &str) -> String {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names: BTreeMap<Ipv4Addr, BTreeSet<&str>> = BTreeMap::new();
    for entry in seen(config, view).filter(|entry| !entry.name.starts_with('*')) {
        if let Data::A(address) = entry.data
            && names.entry(address).or_default().insert(&entry.name)
        {
            *count.entry(&entry.name).or_default() += 1;
        }
    }
    let mut text = String::new();
    for (address, names) in names {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_by_key(|name| (count.get(name).copied(), std::cmp::Reverse(name.len()), *name));
        let short = names.iter().filter(|name| within(name, domain));
        let short = short.filter_map(|name| name.strip_suffix(domain)?.strip_suffix('.'));
        let all: Vec<&str> = names.iter().copied().chain(short).collect();
        let _ = writeln!(text, "{address}\t{}", all.join(" "));
    }
    text
}
