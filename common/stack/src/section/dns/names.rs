//! Names that a stack serves, and whether the target of a record is one of them.

use super::Record;
use crate::decode::near::{hint, nearest};
use crate::model::Stack;
use crate::value::is_below;
use std::collections::{BTreeMap, BTreeSet};

/// All names of a stack, fully qualified.
pub(super) struct Names<'s> {
    stack: &'s Stack,
    /// Names of instances and hosts, with their owners.
    pub(super) owned: BTreeMap<String, String>,
    /// Names of records.
    records: BTreeSet<String>,
}

impl<'s> Names<'s> {
    pub(super) fn of(stack: &'s Stack, records: &BTreeMap<String, Record>) -> Self {
        let mut owned = BTreeMap::new();
        for (key, instance) in &stack.instances {
            let base = instance.hostname.as_deref().unwrap_or(key);
            let numbered = (1..=instance.count.unwrap_or_default()).map(|i| format!("{base}-{i}"));
            let labels: Vec<String> = numbered.chain([base.to_owned()]).collect();
            for nic in &instance.networks {
                let domain = stack.network_domain(&nic.name);
                let names = labels.iter().map(|label| format!("{label}.{domain}"));
                owned.extend(names.map(|name| (name, format!("instances.{key}"))));
            }
        }
        let hosts = stack.hosts.keys();
        owned.extend(hosts.map(|host| (format!("{host}.host.{}", stack.domain), format!("hosts.{host}"))));
        let balancers = stack.balance.keys();
        owned.extend(
            balancers.map(|name| (format!("{name}.balance.{}", stack.domain), format!("balance.{name}"))),
        );
        Names { stack, owned, records: records.keys().map(|key| whole(stack, key)).collect() }
    }

    fn has(&self, name: &str) -> bool {
        let mut above = name;
        while let Some((_, rest)) = above.split_once('.') {
            if self.records.contains(&format!("*.{rest}")) {
                return true;
            }
            above = rest;
        }
        self.owned.contains_key(name) || self.records.contains(name)
    }

    /// Whether this stack serves a name.
    fn ours(&self, name: &str) -> bool {
        is_below(name, &self.stack.domain)
            || self.stack.networks.keys().any(|network| is_below(name, &self.stack.network_domain(network)))
    }

    /// The fully qualified name of a target, if this stack serves it.
    pub(super) fn meant(&self, target: &str) -> Option<String> {
        match target.strip_suffix('.') {
            Some(name) => Some(name.to_owned()).filter(|name| self.ours(name)),
            None => {
                let below = whole(self.stack, target);
                if self.has(&below) {
                    Some(below)
                } else {
                    Some(target.to_owned()).filter(|name| self.ours(name))
                }
            }
        }
    }

    /// A hint for an unknown target.
    pub(super) fn astray(&self, target: &str) -> Option<String> {
        match self.meant(target) {
            Some(name) if self.has(&name) => return None,
            Some(_) => {}
            None if target.ends_with('.') => return None,
            None => {}
        }
        let near: Vec<String> = self.owned.keys().chain(&self.records).map(|name| self.short(name)).collect();
        let outside = target.contains('.') && self.meant(target).is_none();
        let names = near.iter().map(String::as_str);
        if outside && nearest(target, names.clone()).is_none() {
            return None;
        }
        Some(hint(target.trim_end_matches('.'), names))
    }

    fn short(&self, name: &str) -> String {
        let tail = format!(".{}", self.stack.domain);
        name.strip_suffix(&tail).unwrap_or(name).to_owned()
    }
}

/// The fully qualified name of a key of `dns.records`, without the last dot.
pub fn dns_name(stack: &Stack, key: &str) -> String {
    whole(stack, key)
}

/// The fully qualified name, without the last dot, that a target of `dns.records` means: a name below the domain if there is
/// one, else the name as it is written.
pub fn dns_target(stack: &Stack, target: &str) -> String {
    let none = BTreeMap::new();
    let records = stack.dns.as_ref().map_or(&none, |dns| &dns.records);
    let meant = Names::of(stack, records).meant(target);
    meant.unwrap_or_else(|| target.trim_end_matches('.').to_owned())
}

/// The fully qualified name of a key of `records`.
pub(super) fn whole(stack: &Stack, key: &str) -> String {
    if key == "@" { stack.domain.clone() } else { format!("{key}.{}", stack.domain) }
}
