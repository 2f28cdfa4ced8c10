//! What a tool is: the few functions in which one differs from another. The verbs are built on them, once for all.

use crate::failure::{Failure, Failures};
use crate::plan::show::Line;
use crate::plan::{Act, Have, Object, Plan, PlanHost, Step, Warning};
use crate::stack::resolved::InstanceAt;
use crate::stack::{Only, Resolved, Stack};
use crate::table::Columns;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// What an object of a plan becomes: from what is there to what shall be.
pub type Change<'a, O> = Box<Act<'a, O>>;

/// What a look at a host gives: the objects, what else matters, and what a person should know.
pub type Look<O, S> = (Vec<Have<O>>, S, Vec<Warning>);

/// One of the six tools.
pub trait Tool: Copy + Send + Sync + 'static {
    /// The word in schema names and in `status`: `net`.
    const NAME: &'static str;
    /// The program: `lsx-net`.
    const PROGRAM: &'static str;
    /// The programs that go to a host: this one, and those it starts there.
    const SET: &'static [&'static str];
    /// The tables for people.
    const TABLES: &'static [Columns];
    /// Whether a failed step takes back what was done on its host, asked for or not.
    const UNDO: bool = true;
    /// What its steps change.
    type Object: Object + JsonSchema + 'static;
    /// What else it sees on a host.
    type Seen: Serialize + DeserializeOwned + Clone + Send + Sync + JsonSchema;
    /// What it learns on the operator's machine before it plans: files and images that the document names.
    type Gathered: Clone + Default + std::fmt::Debug + Send + Sync;
    /// What the steps of a plan share.
    type Data: Serialize + DeserializeOwned + Clone + Default + Send + Sync + JsonSchema;

    /// Reads this host: the objects of one stack, or of all.
    ///
    /// # Errors
    /// What could not be read.
    fn observe(self, stack: Option<&str>) -> Result<Look<Self::Object, Self::Seen>, Failure>;

    /// Digest of what a plan rests on; counters, indexes and neighbours stay out of it.
    fn base(self, objects: &[Have<Self::Object>], seen: &Self::Seen) -> String;

    /// Reads, on the operator's machine, what the document names beside itself for the instances that are `selected`:
    /// `beside` finds its paths.
    ///
    /// # Errors
    /// Everything that is missing or wrong, at once.
    fn gather(
        self,
        _stack: &Stack,
        _resolved: &Resolved,
        _selected: &dyn Fn(&InstanceAt) -> bool,
        _beside: &dyn Fn(&str) -> PathBuf,
    ) -> Result<Self::Gathered, Failures> {
        Ok(Self::Gathered::default())
    }

    /// Decides everything. Pure.
    ///
    /// # Errors
    /// Every reason why the wish cannot be met, at once.
    fn plan(
        self,
        wish: &Wish<Self::Gathered>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures>;

    /// Sends what the steps of a plan need to the hosts that lack it, through `each`; the hosts where that failed. What it needs
    /// of this machine is compared with the plan before anything is sent.
    ///
    /// # Errors
    /// Everything that is missing on this machine, or is not what the plan names, at once. No host was touched.
    fn supply(self, _plan: &PlanOf<Self>, _each: Each<'_>) -> Result<BTreeMap<String, Failures>, Failures> {
        Ok(BTreeMap::new())
    }

    /// What of the shared table the steps of one host need.
    fn share(self, plan: &PlanOf<Self>, steps: &[Step<Self::Object>]) -> Self::Data;

    /// The function that changes an object on this host.
    fn changer<'a>(self, plan: &'a PlanOf<Self>) -> Change<'a, Self::Object>;

    /// A verb of the tool's own, on this host. What it has to say before it ends goes to `event`; when `cancel` is set, nobody waits
    /// for its answer any more.
    ///
    /// # Errors
    /// The verb's own.
    fn call(self, name: &str, input: Value, cancel: &AtomicBool, event: Hear<'_>) -> Result<Value, Failures>;

    /// The live checks beyond "the plan is empty". Sends calls to hosts through `each`.
    ///
    /// # Errors
    /// What kept a check from being made; a check that found something is a finding.
    fn check(self, wish: &Wish<Self::Gathered>, each: Each<'_>) -> Result<Checked, Failures>;

    /// After a change: whether what was made works, tried through `each` among the hosts of the wish; those where it does not.
    fn prove(
        self,
        _wish: &Wish<Self::Gathered>,
        _plan: &PlanOf<Self>,
        _each: Each<'_>,
    ) -> BTreeMap<String, Failure> {
        BTreeMap::new()
    }

    /// The schemas of documents that only this tool has, by name.
    fn schemas(self) -> Vec<(&'static str, Schema)> {
        Vec::new()
    }
}

/// Hears what a call has to say before it ends.
pub type Hear<'a> = &'a (dyn Fn(Value) + Sync);

/// Sends a call of [`Tool::call`] to hosts, all at once.
pub type Each<'a> =
    &'a mut dyn FnMut(&str, BTreeMap<String, Value>) -> BTreeMap<String, Result<Value, Failures>>;

/// The plan of a tool.
pub type PlanOf<T> = Plan<<T as Tool>::Object, <T as Tool>::Data>;

/// What a tool saw on a host.
pub type ObservedOf<T> = Observed<<T as Tool>::Object, <T as Tool>::Seen>;

/// What a tool decides; the engine adds the envelope.
#[derive(Debug)]
pub struct Draft<T: Tool> {
    /// The steps of all hosts.
    pub steps: Vec<Step<T::Object>>,
    /// What stays though the document does not name it.
    pub kept: Vec<String>,
    /// Warnings.
    pub warnings: Vec<Warning>,
    /// What steps of several objects come to, for people.
    pub told: Vec<Line>,
    /// Texts by digest.
    pub contents: BTreeMap<String, String>,
    /// The shared table.
    pub data: T::Data,
}

impl<T: Tool> Default for Draft<T> {
    fn default() -> Self {
        Draft {
            steps: Vec::new(),
            kept: Vec::new(),
            warnings: Vec::new(),
            told: Vec::new(),
            contents: BTreeMap::new(),
            data: T::Data::default(),
        }
    }
}

/// What is wanted of a plan.
#[derive(Clone, Debug)]
pub struct Wish<G = ()> {
    /// The stack's name.
    pub stack: String,
    /// Up, down, or what a host keeps.
    pub goal: Goal,
    /// Narrowed to parts of the document.
    pub only: Only,
    /// Remove what the document does not name.
    pub prune: bool,
    /// A `--prune` that removes more than half of the objects of one kind is confirmed.
    pub yes: bool,
    /// Changing the address of something that exists is meant.
    pub renumber: bool,
    /// Moving something that exists to another host is meant.
    pub allow_move: bool,
    /// A new network may have addresses that a host routes elsewhere.
    pub allow_overlap: bool,
    /// With `down`: data goes, too.
    pub destroy_data: bool,
    /// What the tool learned on the operator's machine.
    pub gathered: G,
    /// The hosts that take part, by name.
    pub hosts: Vec<PlanHost>,
}

/// The end of a verb.
#[derive(Clone, Debug)]
pub enum Goal {
    /// The hosts match the document.
    Up(Box<Stack>, Box<Resolved>),
    /// One host matches what it kept, after a reboot.
    Boot(Value),
    /// Nothing of the stack is left.
    Down,
}

/// What a tool saw on a host: the observed document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observed<O, S> {
    /// `lsx.<tool>.observed/1`.
    pub schema: String,
    /// The stack that was asked for; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The host.
    pub host: String,
    /// Digest of what a plan rests on.
    pub base: String,
    /// Underlay addresses of all hosts that the stack has had, as this host was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack_hosts: Vec<Ipv4Addr>,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What lsx made here.
    pub objects: Vec<Have<O>>,
    /// What else matters.
    #[serde(flatten)]
    pub seen: S,
}

/// One thing `check` found wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable dotted name.
    pub code: String,
    /// The host.
    pub host: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What `check` tried and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// How many checks were made; none is a failure.
    tried: usize,
    /// What was wrong.
    findings: Vec<Finding>,
    /// The tool's own results, one row a check or a group of checks.
    rows: Vec<Value>,
}

/// The only ways to count: a finding is a check that was made, so that there are never more of them than checks.
impl Checked {
    /// One check that found nothing.
    pub fn passed(&mut self) {
        self.tried += 1;
    }

    /// One check and what it found.
    pub fn found(&mut self, finding: Finding) {
        self.tried += 1;
        self.findings.push(finding);
    }

    /// The same of several; they stand before all others.
    pub fn found_first(&mut self, findings: Vec<Finding>) {
        self.tried += findings.len();
        self.findings.splice(0..0, findings);
    }

    /// A row of the tool's own.
    pub fn row(&mut self, row: Value) {
        self.rows.push(row);
    }

    /// How many checks were made.
    pub const fn tried(&self) -> usize {
        self.tried
    }

    /// What was wrong.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
