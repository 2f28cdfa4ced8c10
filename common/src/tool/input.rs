//! What a tool plans from: the goal, the hosts, and what it reads on the operator's machine.

use super::Risk;
use crate::plan::PlanHost;
use crate::stack::resolved::InstanceAt;
use crate::stack::{Only, Resolved, Stack};
use serde_json::Value;
use std::path::PathBuf;

/// What a tool reads on the operator's machine is named by this.
pub struct Source<'a> {
    /// The document.
    pub stack: &'a Stack,
    /// What follows from it.
    pub resolved: &'a Resolved,
    /// The selected parts.
    pub only: &'a Only,
    /// The hosts that take part.
    pub hosts: &'a [PlanHost],
    /// Finds a path of the document.
    pub(crate) found: &'a dyn Fn(&str) -> PathBuf,
}

impl Source<'_> {
    /// Whether an instance is selected, and its host takes part.
    pub fn selects(&self, at: &InstanceAt) -> bool {
        self.hosts.iter().any(|host| host.name == at.host) && self.only.instance(&at.of, &at.name)
    }

    /// A path of the document, as seen from this machine.
    pub fn beside(&self, path: &str) -> PathBuf {
        (self.found)(path)
    }
}

/// The input of a plan.
#[derive(Clone, Debug)]
pub struct PlanInput<G = ()> {
    /// The stack's name.
    pub stack: String,
    /// Up, down, or the kept state of a host.
    pub goal: Goal,
    /// Limited to parts of the document.
    pub only: Only,
    /// Remove objects that the document does not name.
    pub prune: bool,
    /// A `--prune` that removes more than half of the objects of one kind is confirmed.
    pub yes: bool,
    /// What is accepted that would be refused otherwise.
    pub accepted: Vec<Risk>,
    /// With `down`: remove data, too.
    pub destroy_data: bool,
    /// What the tool read on the operator's machine.
    pub gathered: G,
    /// The hosts that take part, by name.
    pub hosts: Vec<PlanHost>,
}

impl<G> PlanInput<G> {
    /// Whether something is accepted that would be refused otherwise.
    pub fn accepts(&self, risk: Risk) -> bool {
        self.accepted.contains(&risk)
    }
}

/// The goal of a verb.
#[derive(Clone, Debug)]
pub enum Goal {
    /// The hosts match the document.
    Up(Box<Stack>, Box<Resolved>),
    /// One host matches what it kept, after a reboot.
    Boot(Value),
    /// Nothing of the stack is left.
    Down,
}
