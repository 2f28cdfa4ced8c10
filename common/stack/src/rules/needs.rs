//! Dependencies: no cycles, and across hosts a probe that can be made from the dependent's host.

use super::check::Check;
use crate::model::Instance;
use crate::resolve::hosts;
use crate::value::Select;
use std::collections::{BTreeMap, BTreeSet};

impl<'s> Check<'s> {
    pub(super) fn needs(&mut self) {
        for (name, instance) in &self.stack.instances {
            for (i, need) in instance.needs.iter().enumerate() {
                let path = || format!("instances.{name}.needs.{i}");
                if let Some(other) = self.instance(need, path) {
                    self.probed(instance, name, need, other, &path());
                }
            }
        }
        self.circle();
    }

    /// Across hosts the dependent's host makes the probe, from the dependent's network.
    fn probed(&mut self, instance: &'s Instance, name: &str, need: &str, other: &'s Instance, path: &str) {
        let (here, there) = (self.places(instance), self.places(other));
        if name == need || there.iter().all(|host| here.len() == 1 && here.contains(host)) {
            return;
        }
        if self.unread(&format!("instances.{need}.ready")) {
            return;
        }
        let remote = other.ready.as_ref().is_some_and(|ready| ready.command.is_empty());
        if !remote {
            let message =
                format!("instances.{need} runs on another host and has no ready: tcp, http, https or banner");
            self.tell(
                "stack.needs.ready",
                path.to_owned(),
                message,
                format!("write ready: {{ tcp: PORT }} at instances.{need}"),
            );
        } else if !self.reaches(instance, name, other, need) {
            let message = format!("no network or permission leads from instances.{name} to instances.{need}");
            self.tell(
                "stack.needs.path",
                path.to_owned(),
                message,
                "put both on one network, or add a permission to `allow`",
            );
        }
    }

    fn places(&self, instance: &'s Instance) -> BTreeSet<&'s str> {
        hosts(self.stack, instance).into_iter().collect()
    }

    fn reaches(&self, from: &Instance, from_name: &str, to: &Instance, to_name: &str) -> bool {
        let on = |instance: &Instance, network: &str| instance.networks.iter().any(|nic| nic.name == network);
        let selects = |selects: &[Select], instance: &Instance, name: &str| {
            selects.iter().any(|select| match select {
                Select::Every => !instance.networks.is_empty(),
                Select::Network(network) => on(instance, network),
                Select::Instance(other) => other == name,
                Select::World | Select::Host(_) | Select::Cidr(_) => false,
            })
        };
        from.networks.iter().any(|nic| on(to, &nic.name))
            || self
                .stack
                .allow
                .iter()
                .any(|allow| selects(&allow.from, from, from_name) && selects(&allow.to, to, to_name))
    }

    /// Removes what waits for nothing, repeatedly; what is left is in a cycle or waits for one.
    fn circle(&mut self) {
        let instances = &self.stack.instances;
        let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, instance) in instances {
            let known: BTreeSet<&str> = instance
                .needs
                .iter()
                .filter(|need| instances.contains_key(*need))
                .map(String::as_str)
                .collect();
            waits.insert(name, known.len());
            for need in known {
                wanted.entry(need).or_default().push(name);
            }
        }
        let mut free: Vec<&str> =
            waits.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        while let Some(name) = free.pop() {
            waits.remove(name);
            for dependent in wanted.get(name).into_iter().flatten() {
                if let Some(count) = waits.get_mut(dependent) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(dependent);
                    }
                }
            }
        }
        let Some(first) = waits.keys().next().copied() else { return };
        let path = circle_from(first, |name| {
            instances[name].needs.iter().find(|need| waits.contains_key(need.as_str()))
        });
        let at = format!("instances.{}.needs", path.first().copied().unwrap_or(first));
        self.tell(
            "stack.needs.circle",
            at,
            format!("the instances wait for each other: {}", path.join(", ")),
            "remove one `needs`",
        );
    }
}

/// Follows the needs until a name repeats; returns the closed cycle, beginning with its first name.
fn circle_from<'s>(first: &'s str, next: impl Fn(&str) -> Option<&'s String>) -> Vec<&'s str> {
    let (mut path, mut seen) = (vec![first], BTreeMap::from([(first, 0)]));
    while let Some(name) = next(path[path.len() - 1]).map(String::as_str) {
        if let Some(&begin) = seen.get(name) {
            path.drain(..begin);
            break;
        }
        seen.insert(name, path.len());
        path.push(name);
    }
    let least = path.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(i, _)| i);
    path.rotate_left(least);
    path.push(path[0]);
    path
}
