//! `--only networks.test,instances.web`: limits a verb to parts of a document.

use super::decode::hint;
use super::model::Stack;
use super::section::Store;
use crate::{Failure, Failures, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// Sections whose entries can be named.
const SECTIONS: [&str; 9] =
    ["hosts", "networks", "instances", "balance", "dns", "meta", "pki", "store", "snap"];

/// The hosts and parts of a document for a verb. Without any name everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Names by section; no name means the whole section.
    sections: BTreeMap<String, BTreeSet<String>>,
}

impl Only {
    /// Parses `networks.test,instances.web`; a section alone, such as `networks`, means all of it.
    ///
    /// # Errors
    /// An unknown section or an empty name, of kind `Usage`.
    pub fn parse(text: &str) -> Result<Only, Failures> {
        let mut only = Only::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (section, name) =
                part.split_once('.').map_or((part, None), |(section, name)| (section, Some(name)));
            if !SECTIONS.contains(&section) || name == Some("") {
                let message = format!("--only {part}: expected a section and a name");
                let hint = format!("like networks.test; {}", hint(section, SECTIONS));
                return Err(Failure::new(Kind::Usage, "stack.only", message).hint(hint).into());
            }
            // A section alone takes precedence over names in it, in any order.
            match (only.sections.get_mut(section), name) {
                (Some(names), Some(name)) if !names.is_empty() => drop(names.insert(name.to_owned())),
                (Some(names), None) => names.clear(),
                (None, name) => drop(
                    only.sections.insert(section.to_owned(), name.map(str::to_owned).into_iter().collect()),
                ),
                (Some(_), Some(_)) => {}
            }
        }
        Ok(only)
    }

    /// Checks that every name is in the stack.
    ///
    /// # Errors
    /// Every unknown name with the nearest known one, of kind `Usage`.
    pub fn check(&self, stack: &Stack) -> Result<(), Failures> {
        let mut failures = Vec::new();
        for (section, names) in &self.sections {
            let known = known(stack, section);
            for name in names.iter().filter(|name| !known.contains(name.as_str())) {
                let message = format!("--only {section}.{name}: stack {} has no such name", stack.name);
                let hint = hint(name, known.iter().map(String::as_str));
                failures.push(Failure::new(Kind::Usage, "stack.only", message).hint(hint));
            }
        }
        Failures(failures).verdict()
    }

    /// Whether everything on the selected hosts is selected.
    pub fn all(&self) -> bool {
        self.sections.keys().all(|section| section == "hosts")
    }

    /// Whether a network is selected.
    pub fn network(&self, name: &str) -> bool {
        self.has("networks", &[name])
    }

    /// Whether a host is included. Without named hosts, all are.
    pub fn host(&self, name: &str) -> bool {
        self.sections.get("hosts").is_none_or(|wanted| wanted.is_empty() || wanted.contains(name))
    }

    /// Whether a balancer is selected.
    pub fn balance(&self, name: &str) -> bool {
        self.has("balance", &[name])
    }

    /// Whether a section without parts of its own is selected: `dns` or `meta`.
    pub fn section(&self, section: &str) -> bool {
        self.all() || self.sections.contains_key(section)
    }

    /// Whether a certificate is selected.
    pub fn certificate(&self, name: &str) -> bool {
        self.has("pki", &[name])
    }

    /// Whether a volume, disk or bucket is selected.
    pub fn stored(&self, name: &str) -> bool {
        self.has("store", &[name])
    }

    /// Whether a snapshot job is selected.
    pub fn kept(&self, name: &str) -> bool {
        self.has("snap", &[name])
    }

    /// Whether an instance is selected: by its key `of`, or a replica by its own name.
    pub fn instance(&self, of: &str, name: &str) -> bool {
        self.has("instances", &[of, name])
    }

    fn has(&self, section: &str, names: &[&str]) -> bool {
        let Some(wanted) = self.sections.get(section) else { return self.all() };
        wanted.is_empty() || names.iter().any(|name| wanted.contains(*name))
    }
}

/// The names of a section; those of instances are their keys and their replicas.
pub fn known(stack: &Stack, section: &str) -> BTreeSet<String> {
    match section {
        "hosts" => stack.hosts.keys().cloned().collect(),
        "networks" => stack.networks.keys().cloned().collect(),
        "balance" => stack.balance.keys().cloned().collect(),
        "dns" | "meta" => BTreeSet::new(),
        "pki" => stack.pki.iter().flat_map(|pki| pki.certificates.keys()).cloned().collect(),
        "store" => {
            let all = |store: &Store| -> Vec<String> {
                store.volumes.keys().chain(store.disks.keys()).chain(store.buckets.keys()).cloned().collect()
            };
            stack.store.iter().flat_map(all).collect()
        }
        "snap" => stack.snap.iter().flat_map(|snap| snap.what.keys()).cloned().collect(),
        _ => {
            let replicas = stack.instances.iter().flat_map(|(key, instance)| instance.replicas(key));
            replicas.chain(stack.instances.keys().cloned()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Only;

    #[test]
    fn hosts_narrow_where_and_the_others_what() {
        let only = Only::parse("hosts.h2").unwrap();
        assert!(only.all() && only.host("h2") && !only.host("h1"));
        assert!(only.network("lan") && only.instance("web", "web-1") && only.balance("b"));
        let only = Only::parse("hosts.h2,instances.web").unwrap();
        assert!(!only.all() && only.host("h2") && !only.host("h1"));
        assert!(only.instance("web", "web-1") && !only.instance("db", "db") && !only.network("lan"));
        let only = Only::parse("networks.lan").unwrap();
        assert!(only.host("h1") && only.network("lan") && !only.network("dmz") && !only.instance("db", "db"));
        assert!(Only::parse("hosts").unwrap().host("h1") && Only::default().host("h1"));
    }
}
