//! Sends hosts what the steps of a plan need and the hosts lack. Before anything is sent, and before any host is changed,
//! everything is compared with the plan.

mod pieces;

use super::HostSet;
use crate::failure::{Failure, Failures, Kind};
use crate::fleet;
use crate::secret;
use crate::tool::{PlanOf, Tool};
use crate::transfer::{Bytes, Machine, NeededSecret, Secrets, SentSecret, code};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pieces::Queue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Failures by host.
type Failed = BTreeMap<String, Failures>;

/// What is to be sent, compared with the plan and found on this machine.
pub(super) struct Transfer {
    /// The store of this machine.
    store: Option<Box<dyn Bytes>>,
    /// The bytes that each host lacks.
    queues: BTreeMap<String, Queue>,
    /// The names of bytes in the document, by digest.
    names: BTreeMap<String, String>,
    /// The secrets for each host.
    secrets: BTreeMap<String, Secrets>,
    /// Hosts that could not be asked, or that cannot carry out their steps.
    failed: Failed,
}

impl<T: Tool> HostSet<T> {
    /// Asks the hosts what they lack for all steps of a plan, and whether they can carry them out; looks for it on this
    /// machine. Changes nothing.
    ///
    /// # Errors
    /// Everything that is missing on this machine or differs from the plan.
    pub(super) fn prepare(&mut self, plan: &PlanOf<T>) -> Result<Transfer, Failures> {
        let (wanted, names) = bytes(self.tool(), plan);
        let mut failed = Failed::new();
        let queues = self.lacking(&wanted, &mut failed);
        let (secrets, mut missing) = secrets(self.tool(), plan);
        let store = if wanted.is_empty() { None } else { self.tool().bytes(Machine::Operator)? };
        if let Some(store) = &store {
            let lacking: BTreeSet<&String> = queues.values().flatten().map(|(digest, _)| digest).collect();
            let absent = |digest: &&String| absent::<T>(&**store, digest, &names);
            missing.extend(lacking.iter().filter_map(absent));
        }
        Failures(missing).verdict()?;
        let tool = self.tool().clone();
        let unable = tool.unable(plan, &mut |name, inputs| self.call(name, inputs));
        failed.extend(unable);
        Ok(Transfer { store, queues, names, secrets, failed })
    }

    /// The bytes that each host lacks, of those that its steps need.
    fn lacking(
        &mut self,
        wanted: &BTreeMap<String, BTreeSet<String>>,
        failed: &mut Failed,
    ) -> BTreeMap<String, Queue> {
        let question = |(host, digests): (&String, &BTreeSet<String>)| {
            (host.clone(), json!({"op": "lacking", "digests": digests}))
        };
        let mut queues = BTreeMap::new();
        for (host, answer) in self.ask(wanted.iter().map(question).collect()) {
            match answer.and_then(|lacking| Ok(fleet::shape::<Vec<String>>(lacking)?)) {
                Ok(lacking) => {
                    _ = queues.insert(host, lacking.into_iter().map(|digest| (digest, 0)).collect());
                }
                Err(failures) => _ = failed.insert(host, failures),
            }
        }
        queues
    }

    /// Sends everything; returns the hosts that have not got it, or cannot use it.
    pub(super) fn transfer(&mut self, transfer: Transfer) -> Failed {
        let Transfer { store, mut queues, names, secrets, mut failed } = transfer;
        queues.retain(|host, _| !failed.contains_key(host));
        if let Some(store) = store {
            self.send(&*store, queues, &names, &mut failed);
        }
        let secrets = secrets.into_iter().filter(|(host, _)| !failed.contains_key(host));
        let requests: BTreeMap<String, Value> =
            secrets.map(|(host, secrets)| (host, json!({"op": "secrets", "secrets": secrets}))).collect();
        let answers = if requests.is_empty() { BTreeMap::new() } else { self.ask(requests) };
        failed.extend(answers.into_iter().filter_map(|(host, answer)| Some((host, answer.err()?))));
        failed
    }
}

/// Digests by host, of all steps; and their names.
fn bytes<T: Tool>(
    tool: &T,
    plan: &PlanOf<T>,
) -> (BTreeMap<String, BTreeSet<String>>, BTreeMap<String, String>) {
    let (mut wanted, mut names) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeMap::new());
    for step in &plan.steps {
        for (digest, name) in step.after.iter().flat_map(|object| tool.needs(plan, object).bytes) {
            wanted.entry(step.host.clone()).or_default().insert(digest.to_owned());
            names.entry(digest.to_owned()).or_insert(name);
        }
    }
    (wanted, names)
}

/// The secrets of all steps by host, each read once; and those that are missing or differ from the plan.
fn secrets<T: Tool>(tool: &T, plan: &PlanOf<T>) -> (BTreeMap<String, Secrets>, Vec<Failure>) {
    let (mut all, mut failures) = (BTreeMap::<String, Secrets>::new(), Vec::new());
    let mut known: BTreeMap<(&str, &str), Option<SentSecret>> = BTreeMap::new();
    for step in &plan.steps {
        for needed in step.after.iter().flat_map(|object| tool.needs(plan, object).secrets) {
            let value = known.entry((needed.name, needed.digest)).or_insert_with(|| {
                as_planned(T::NAME, &plan.stack, needed).map_err(|failure| failures.push(failure)).ok()
            });
            let Some(value) = value.clone() else { continue };
            let of_host = all.entry(step.host.clone()).or_default();
            of_host.stack.clone_from(&plan.stack);
            of_host.values.insert(needed.name.to_owned(), value);
        }
    }
    (all, failures)
}

/// The value of a secret with the digest in the plan.
fn as_planned(tool: &str, stack: &str, needed: NeededSecret<'_>) -> Result<SentSecret, Failure> {
    let digest = needed.digest.to_owned();
    let Some(place) = needed.place else {
        return Ok(SentSecret { digest, data: None });
    };
    let bytes = secret::value(stack, needed.name, place)?;
    if secret::digest(&bytes) == digest {
        return Ok(SentSecret { digest, data: Some(STANDARD.encode(bytes)) });
    }
    let message = format!("secret {}: {place} has changed since the plan was made", needed.name);
    let hint = "make a new plan and review it";
    Err(Failure::new(Kind::Again, &code(tool, ".secret.changed"), message).hint(hint))
}

/// The failure when bytes that a host lacks, or a part of them, are not in the store of this machine.
fn absent<T: Tool>(store: &dyn Bytes, digest: &str, names: &BTreeMap<String, String>) -> Option<Failure> {
    let parts = store.parts(digest).into_iter().map(|(part, _)| part);
    let all: Vec<String> = std::iter::once(digest.to_owned()).chain(parts).collect();
    let lacking = store.missing(&all).into_iter().next()?;
    let what = names.get(digest).map_or("a layer", String::as_str);
    let message = format!("{what} ({lacking}) is missing in {}", store.place());
    let hint = format!("run `{} up` with the document, or make the plan again on this machine", T::PROGRAM);
    Some(Failure::new(Kind::Data, &code(T::NAME, ".supply.missing"), message).hint(hint))
}
