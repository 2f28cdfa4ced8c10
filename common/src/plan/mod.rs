//! The plan: all changes of a verb, decided before the first one is made.
//!
//! A step changes one object from `before` to `after`; undo does the reverse. So a tool has a single function that changes
//! an object, used for creation, change, removal and undo.

mod definition;
mod diff;
mod execute;
mod fields;
mod kept;
pub mod show;
#[cfg(test)]
mod tests;
mod with_kept;

pub use definition::{Definition, FOLDER, Program, Reload, Runs, VolumeFolder};
pub use diff::{Have, Want, diff};
pub(crate) use execute::execute_in_order;
pub use execute::{ChangeFn, Context, Outcome, Tell, undo};
pub use kept::Kept;
pub use with_kept::WithKept;

use crate::failure::{Failure, Failures, Kind};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An object on a host that a tool creates, compares and removes.
pub trait Object: Serialize + DeserializeOwned + PartialEq + Clone + Send + Sync {
    /// Whether `self` can become `next` only by being recreated, together with what depends on it.
    fn replaced_by(&self, next: &Self) -> bool;

    /// Whether the two cannot exist on a host at the same time, so that one must be removed first.
    fn excludes(&self, _other: &Self) -> bool {
        false
    }

    /// Whether it is recreated together with the object that it needs, as links on a device are.
    fn goes_along(&self) -> bool {
        true
    }

    /// Whether the value of a field must not be shown, such as `env.PASSWORD`.
    fn hides(&self, _path: &str) -> bool {
        false
    }

    /// Its name for people: the entry of the document, such as `network test`, and a part of that; the part is empty for
    /// the entry itself. None for internal objects of lsx.
    fn called(&self) -> Option<(String, &'static str)>;

    /// Whether the change to `next` is internal to lsx, although the object itself is not.
    fn minor(&self, _next: &Self) -> bool {
        false
    }

    /// A short description of an object that is created.
    fn brief(&self) -> String {
        String::new()
    }

    /// The effect of the change to `next`, if the fields do not show it, such as `restarted`.
    fn means(&self, _next: &Self) -> Option<&'static str> {
        None
    }

    /// What it is, if the engine keeps it.
    fn kept(&self) -> Option<Kept> {
        None
    }

    /// The digest of a text of the plan's contents that belongs to it.
    fn content(&self) -> Option<&str> {
        None
    }
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step<O> {
    /// Unique on its host: `bridge.create:test`.
    pub id: String,
    /// Where.
    pub host: String,
    /// The reason, down to the field: `mtu 1450 becomes 1400`.
    pub why: String,
    /// The existing object; absent when it is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<O>,
    /// The wanted object; absent when it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<O>,
    /// Steps of the same host that must be done first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What else it runs, such as `recipe setup`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// Its wave, absent for 0: a wave begins when the one before it is done on all hosts.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_first(wave: &u8) -> bool {
    *wave == 0
}

/// A host in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanHost {
    /// Name.
    pub name: String,
    /// Underlay address.
    pub address: std::net::Ipv4Addr,
    /// Destination for ssh.
    pub ssh: String,
    /// File of the private key for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// This machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// Digest of what was observed there; `apply` refuses the plan when it has changed since.
    pub base: String,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Stable dotted name.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// The plan of one verb for all hosts. `D` is data that a tool's steps share, as one table instead of a copy in each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan<O, D> {
    /// `lsx.<tool>.plan/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// Warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The hosts that take part.
    pub hosts: Vec<PlanHost>,
    /// Hosts that are skipped: `offline`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Objects that the document does not name and that are kept, as `host: object`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// In order of execution, host by host.
    pub steps: Vec<Step<O>>,
    /// Texts that steps name by digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<String, String>,
    /// The table shared by steps.
    pub data: D,
    /// What the steps of several objects amount to, for people: a published port, a permission.
    #[serde(skip)]
    pub told: Vec<show::Line>,
}

impl<O, D> Plan<O, D> {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The hosts that have at least one step.
    pub fn busy(&self) -> BTreeSet<&str> {
        self.steps.iter().map(|s| s.host.as_str()).collect()
    }
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// The step.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub ms: u64,
}

/// The result of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostReport {
    /// The host.
    pub host: String,
    /// Whether it matches the plan.
    pub ok: bool,
    /// Its own exit code.
    pub exit: u8,
    /// Number of steps done and not undone.
    pub changed: usize,
    /// Whether it was skipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Its steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// Its first failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Further failures, such as of other instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Failure>,
    /// What could not be undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<Failure>,
}

impl HostReport {
    /// A host that had nothing to do.
    pub fn idle(host: &str) -> Self {
        HostReport {
            host: host.to_owned(),
            ok: true,
            exit: 0,
            changed: 0,
            skipped: false,
            steps: Vec::new(),
            failure: None,
            more: Vec::new(),
            stuck: Vec::new(),
        }
    }

    /// A host that was skipped on request.
    pub fn skipped(host: &str) -> Self {
        HostReport { skipped: true, ..HostReport::idle(host) }
    }

    /// A host that failed before its first step.
    pub fn failed(host: &str, failures: Failures) -> Self {
        let mut report = HostReport::idle(host);
        let none = || Failure::new(Kind::Bug, "plan.report", "failed without a reason");
        report.fail(if failures.0.is_empty() { none().into() } else { failures });
        report
    }

    /// Adds failures; does nothing without any.
    pub fn fail(&mut self, failures: Failures) {
        for failure in failures.0 {
            match &self.failure {
                None => self.failure = Some(failure),
                Some(_) => self.more.push(failure),
            }
        }
        self.ok = self.failure.is_none();
        self.exit = Failures(self.failures().cloned().collect()).verdict().map_or_else(|f| f.exit(), |()| 0);
    }

    /// All its failures.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.failure.iter().chain(&self.more)
    }
}

/// The report of a verb: the result on every host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `lsx.<tool>.report/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// Whether every host matches the plan.
    pub ok: bool,
    /// By name.
    pub hosts: Vec<HostReport>,
}

impl Report {
    /// A report of a tool over its hosts.
    pub fn new(tool: &str, stack: &str, mut hosts: Vec<HostReport>) -> Self {
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        let ok = hosts.iter().all(|h| h.ok);
        Report { schema: crate::document::schema(tool, "report"), stack: stack.to_owned(), ok, hosts }
    }
}
