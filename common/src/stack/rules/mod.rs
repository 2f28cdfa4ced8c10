//! The rules of meaning: what a well-formed document may not say. All of them are tried, every problem is told.

mod addresses;
mod allow;
mod given;
mod hosts;
mod instances;
mod needs;
mod networks;
mod ports;
mod volumes;

use super::decode::hint;
use super::model::Stack;
use super::resolve::{Replica, replicas};
use crate::{Failure, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// What the rules look at, and what they found.
pub(super) struct Check<'s> {
    stack: &'s Stack,
    replicas: Vec<Replica<'s>>,
    found: Vec<Failure>,
    /// Where something was written that could not be read.
    unread: BTreeSet<String>,
}

/// Every broken rule; paths alone, the reader of the document adds the places. What could not be read at `unread` is no second
/// mistake for being absent.
pub(crate) fn check(stack: &Stack, unread: BTreeSet<String>) -> Vec<Failure> {
    let mut check = Check { stack, replicas: replicas(stack), found: Vec::new(), unread };
    check.hosts();
    check.networks();
    check.instances();
    check.addresses();
    check.ports();
    check.allow();
    check.needs();
    check.found
}

impl<'s> Check<'s> {
    /// Whether something was written at a place, or below it, that could not be read.
    fn unread(&self, path: &str) -> bool {
        let below = self.unread.range(path.to_owned()..).take_while(|at| at.starts_with(path));
        below.into_iter().any(|at| matches!(at.as_bytes().get(path.len()), None | Some(b'.')))
    }

    /// Writes a broken rule down.
    fn tell(&mut self, code: &str, path: String, message: String, hint: impl Into<String>) {
        let mut failure = Failure::new(Kind::Data, code, message).at(path);
        failure.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.found.push(failure);
    }

    /// Looks a name up in a section, telling when it is not there.
    fn find<T>(
        &mut self,
        of: &'s BTreeMap<String, T>,
        what: &str,
        name: &str,
        path: impl Fn() -> String,
    ) -> Option<&'s T> {
        let found = of.get(name);
        if found.is_none() {
            let hint = hint(name, of.keys().map(String::as_str));
            self.tell(&format!("stack.{what}.unknown"), path(), format!("there is no {what} `{name}`"), hint);
        }
        found
    }

    /// Looks a host up.
    fn host(&mut self, name: &str, path: impl Fn() -> String) -> Option<&'s super::model::Host> {
        self.find(&self.stack.hosts, "host", name, path)
    }

    /// Looks a network up.
    fn network(&mut self, name: &str, path: impl Fn() -> String) -> Option<&'s super::model::Network> {
        self.find(&self.stack.networks, "network", name, path)
    }

    /// Looks an instance up.
    fn instance(&mut self, name: &str, path: impl Fn() -> String) -> Option<&'s super::model::Instance> {
        self.find(&self.stack.instances, "instance", name, path)
    }
}
