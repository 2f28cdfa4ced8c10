//! Common parts of all rules: the stack, and the list of broken rules.

use crate::decode::near::hint;
use crate::model::{Host, Instance, Network, Stack};
use crate::resolve::{Replica, replicas};
use crate::{Failure, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// The document for the rules, and their findings.
pub(crate) struct Check<'s> {
    pub(crate) stack: &'s Stack,
    pub(crate) replicas: Vec<Replica<'s>>,
    found: Vec<Failure>,
    /// Places that could not be read.
    unread: BTreeSet<String>,
}

impl<'s> Check<'s> {
    /// Without any finding.
    pub(crate) fn new(stack: &'s Stack, unread: BTreeSet<String>) -> Self {
        Check { stack, replicas: replicas(stack), found: Vec::new(), unread }
    }

    /// The findings.
    pub(crate) fn found(self) -> Vec<Failure> {
        self.found
    }

    /// Whether something at a place, or below it, could not be read.
    pub(crate) fn unread(&self, path: &str) -> bool {
        let below = self.unread.range(path.to_owned()..).take_while(|at| at.starts_with(path));
        below.into_iter().any(|at| matches!(at.as_bytes().get(path.len()), None | Some(b'.')))
    }

    /// Reports a broken rule.
    pub(crate) fn tell(&mut self, code: &str, path: String, message: String, hint: impl Into<String>) {
        let mut failure = Failure::new(Kind::Data, code, message).at(path);
        failure.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.found.push(failure);
    }

    /// Looks a name up in a section, and reports it if it is missing.
    pub(crate) fn find<T>(
        &mut self,
        of: &'s BTreeMap<String, T>,
        what: &str,
        name: &str,
        path: impl Fn() -> String,
    ) -> Option<&'s T> {
        let found = of.get(name);
        if found.is_none() {
            let hint = match (of.is_empty(), what) {
                (false, _) => hint(name, of.keys().map(String::as_str)),
                (true, "balancer") => "define it in balance".to_owned(),
                (true, "repository") => "define it in snap.to".to_owned(),
                (true, "user") => "define it in store.users".to_owned(),
                (true, what) => format!("define it in {what}s"),
            };
            self.tell(&format!("stack.{what}.unknown"), path(), format!("there is no {what} `{name}`"), hint);
        }
        found
    }

    /// Looks up a host.
    pub(crate) fn host(&mut self, name: &str, path: impl Fn() -> String) -> Option<&'s Host> {
        self.find(&self.stack.hosts, "host", name, path)
    }

    /// Looks up a network.
    pub(crate) fn network(&mut self, name: &str, path: impl Fn() -> String) -> Option<&'s Network> {
        self.find(&self.stack.networks, "network", name, path)
    }

    /// Looks up an instance.
    pub(crate) fn instance(&mut self, name: &str, path: impl Fn() -> String) -> Option<&'s Instance> {
        self.find(&self.stack.instances, "instance", name, path)
    }

    /// Looks up a secret.
    pub(crate) fn secret(&mut self, name: &str, path: impl Fn() -> String) {
        self.find(&self.stack.secrets, "secret", name, path);
    }

    /// Looks up a certificate.
    pub(crate) fn certificate(&mut self, name: &str, path: impl Fn() -> String) {
        let all = self.stack.pki.as_ref().map(|pki| &pki.certificates);
        if all.is_some_and(|all| all.contains_key(name)) {
            return;
        }
        let hint = match all {
            Some(all) if !all.is_empty() => hint(name, all.keys().map(String::as_str)),
            _ => "define it in pki.certificates".to_owned(),
        };
        self.tell("stack.certificate.unknown", path(), format!("there is no certificate `{name}`"), hint);
    }

    /// Looks up a network that needs a router, through which a service of lsx is reached.
    pub(crate) fn routed(&mut self, name: &str, path: &str) {
        let Some(network) = self.network(name, || path.to_owned()) else { return };
        if network.gateway.is_none() && !self.unread(&format!("networks.{name}")) {
            let message = format!("`{name}` has no gateway through which it could be reached");
            self.tell(
                "stack.service.network",
                path.to_owned(),
                message,
                "write gateway: HOST at the network",
            );
        }
    }

    /// Whether there is a router that can serve a section.
    pub(crate) fn serves(&mut self, section: &str) {
        let routed = self.stack.networks.values().any(|network| network.gateway.is_some());
        if !routed && !self.unread("networks") {
            let message = "no network has a gateway, so no instance can use it".to_owned();
            self.tell(
                "stack.service.nobody",
                section.to_owned(),
                message,
                "write gateway: HOST at a network",
            );
        }
    }
}
