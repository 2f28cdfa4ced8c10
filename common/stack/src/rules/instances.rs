//! Instances: where they run, what they refer to, their names.

use super::check::Check;
use crate::model::{Instance, RecipeValue};
use crate::resolve::hosts;
use crate::value::generation;
use std::collections::HashMap;

impl<'s> Check<'s> {
    pub(super) fn instances(&mut self) {
        for (name, instance) in &self.stack.instances {
            self.placed(name, instance);
            self.joined(name, instance);
            self.volumes(name, instance);
            self.given(name, instance);
            if let Some(certificate) = &instance.certificate {
                self.certificate(certificate, || format!("instances.{name}.certificate"));
            }
            for (i, secret) in instance.secrets.iter().enumerate() {
                self.find(&self.stack.secrets, "secret", &secret.name, || {
                    format!("instances.{name}.secrets.{i}")
                });
            }
        }
        for (name, value) in &self.stack.defaults.values {
            if let RecipeValue::Secret(secret) = value {
                self.find(&self.stack.secrets, "secret", secret, || format!("defaults.values.{name}.secret"));
            }
        }
        self.derived();
        self.shared();
        self.called();
        self.answered();
    }

    /// Derived secrets need a seed, which is read.
    fn derived(&mut self) {
        let derived = self.stack.secrets.iter().filter(|(_, source)| generation(source).is_some());
        let seeded = self.stack.secrets.contains_key("seed") || self.unread("secrets.seed");
        for (name, _) in derived.filter(|(name, _)| !seeded || *name == "seed") {
            let message = match name.as_str() {
                "seed" => "the seed cannot be derived from itself",
                _ => "there is no secret `seed` to derive it from",
            };
            self.tell(
                "stack.secret.seed",
                format!("secrets.{name}"),
                message.to_owned(),
                "write seed: file:secrets/seed",
            );
        }
    }

    fn placed(&mut self, name: &str, instance: &'s Instance) {
        let path = |key: &str| format!("instances.{name}.{key}");
        if let Some(host) = &instance.host {
            self.host(host, || path("host"));
        }
        for (i, host) in instance.hosts.iter().enumerate() {
            self.host(host, || path(&format!("hosts.{i}")));
        }
        if instance.host.is_some() && !instance.hosts.is_empty() {
            let message = "`host` and `hosts` are both given".to_owned();
            self.tell("stack.instance.place", path("hosts"), message, "leave one of them out");
        }
        if instance.count.is_none() && instance.hosts.len() > 1 && !self.unread(&path("count")) {
            let message = format!("{} hosts and no `count`", instance.hosts.len());
            let hint = format!("write count: {}, or a single host", instance.hosts.len());
            self.tell("stack.instance.place", path("hosts"), message, hint);
        }
        let unread = ["host", "hosts", "volumes"].iter().any(|key| self.unread(&path(key)));
        if hosts(self.stack, instance).is_empty() && !unread && !self.unread("defaults.host") {
            let hint = if self.stack.hosts.is_empty() {
                "the stack has no hosts".to_owned()
            } else {
                "write host: NAME here, or in defaults for all".to_owned()
            };
            let message = "it has no host".to_owned();
            self.tell("stack.instance.place", format!("instances.{name}"), message, hint);
        }
    }

    fn joined(&mut self, name: &str, instance: &'s Instance) {
        let mut before: HashMap<&str, usize> = HashMap::new();
        let mut default: Option<usize> = None;
        for (i, nic) in instance.networks.iter().enumerate() {
            let path = || format!("instances.{name}.networks.{i}");
            let network = self.network(&nic.name, path);
            if before.insert(&nic.name, i).is_some() {
                let message = format!("a second interface on `{}`", nic.name);
                self.tell(
                    "stack.instance.twice",
                    path(),
                    message,
                    "an instance can have one interface on a network",
                );
            }
            if !nic.default {
                continue;
            }
            if default.is_some() {
                let message = "a second interface with `default: true`".to_owned();
                self.tell(
                    "stack.instance.default",
                    format!("{}.default", path()),
                    message,
                    "only one interface can have the default route",
                );
            }
            if network.is_some_and(|net| net.gateway.is_none() && net.gateway_address.is_none()) {
                let message = format!("the default route cannot use `{}`, which has no gateway", nic.name);
                self.tell(
                    "stack.instance.default",
                    format!("{}.default", path()),
                    message,
                    "write gateway: HOST at the network",
                );
            }
            default = Some(i);
        }
    }

    /// Replicas and instances must have different names.
    fn called(&mut self) {
        for (name, instance) in self.stack.instances.iter().filter(|(_, instance)| instance.count.is_some()) {
            for replica in instance.replicas(name) {
                if self.stack.instances.contains_key(&replica) {
                    let message = format!("instances.{name} has a replica of that name");
                    self.tell(
                        "stack.instance.name",
                        format!("instances.{replica}"),
                        message,
                        "rename one of them",
                    );
                }
            }
        }
    }

    /// Two instances must not have the same name in DNS.
    fn answered(&mut self) {
        let mut owners: HashMap<(String, String), &str> = HashMap::new();
        for (key, instance) in &self.stack.instances {
            let base = instance.hostname.as_deref().unwrap_or(key);
            for nic in &instance.networks {
                let numbered = instance.count.map_or(0, |count| count);
                let labels = (1..=numbered).map(|i| format!("{base}-{i}")).chain([base.to_owned()]);
                let domain = self.stack.network_domain(&nic.name);
                for label in labels {
                    let owner = *owners.entry((domain.clone(), label.clone())).or_insert(key);
                    // Equal keys have been reported already.
                    if owner != key
                        && (instance.hostname.is_some() || self.stack.instances[owner].hostname.is_some())
                    {
                        let message = format!("instances.{owner} has the name {label}.{domain}, too");
                        self.tell(
                            "stack.instance.hostname",
                            format!("instances.{key}.hostname"),
                            message,
                            "",
                        );
                    }
                }
            }
        }
    }
}
