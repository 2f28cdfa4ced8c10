//! The interface of a tool: the functions in which tools differ. The verbs are built on them once for all tools.

mod checked;
mod draft;
mod input;
mod risk;

pub use checked::{Checked, Finding};
pub use draft::{Draft, Keeps};
pub use input::{Goal, PlanInput, Source};
pub use risk::Risk;

use crate::document;
use crate::failure::{Failure, Failures, Kind};
use crate::host::service::kept::KeptService;
use crate::host::service::tend::Tend;
use crate::host::service::worker::Worker;
use crate::host::timer::Job;
use crate::plan::{ChangeFn, Have, Object, Plan, Step, Warning};
use crate::stack::{Only, Resolved};
use crate::table::Columns;
use crate::transfer::{Bytes, Machine, Needs};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Changes an object of a plan from its existing to its wanted state.
pub type Change<O> = Box<ChangeFn<'static, O>>;

/// The result of observing a host: objects, further facts, and warnings.
pub type Observation<O, S> = (Vec<Have<O>>, S, Vec<Warning>);

/// One of the tools.
pub trait Tool: Clone + Send + Sync + 'static {
    /// Its name in schema names and in `status`: `net`.
    const NAME: &'static str;
    /// The program: `lsx-net`.
    const PROGRAM: &'static str;
    /// The programs to copy to a host: this one, and those that it starts there.
    const SET: &'static [&'static str];
    /// The definitions of its tables.
    const TABLES: &'static [Columns];
    /// Whether a failed step always undoes what was done on its host.
    const UNDO: bool = true;
    /// The number of steps of a host that may run at the same time.
    const PARALLEL: usize = 8;
    /// The number of its boot entry, two digits: a tool that depends on another has a higher one.
    const ORDER: u8;
    /// Whether its plans may want services of the engine. Those of a tool without them are not looked for.
    const SERVICES: bool = true;
    /// What its plans refuse unless a flag accepts it.
    const RISKS: &'static [Risk] = &[];
    /// Whether it may have data that `down` keeps.
    const DATA: bool = true;
    /// The objects that its steps change.
    type Object: Object + JsonSchema + 'static;
    /// Further facts that it observes on a host.
    type Facts: Serialize + DeserializeOwned + Clone + Send + Sync + JsonSchema;
    /// What it reads on the operator's machine before it plans: files and images that the document names.
    type Gathered: Clone + Default + std::fmt::Debug + Send + Sync;
    /// Data that the steps of a plan share.
    type Data: Serialize + DeserializeOwned + Clone + Default + Send + Sync + JsonSchema;

    /// What it keeps on a host to restore it after a reboot: `lsx.<tool>.intent/1`.
    type Intent: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Observes this host: the objects of one stack, or of all.
    ///
    /// # Errors
    /// What could not be read.
    fn observe(&self, stack: Option<&str>) -> Result<Observation<Self::Object, Self::Facts>, Failure>;

    /// Removes everything that is not selected from an observed document.
    fn narrow(&self, _only: &Only, _resolved: &Resolved, _observed: &mut ObservedOf<Self>) {}

    /// Digest of the facts that a plan depends on; counters, indexes and neighbours are left out.
    fn base(&self, objects: &[Have<Self::Object>], _seen: &Self::Facts) -> String {
        document::digest_of(&objects).unwrap_or_default()
    }

    /// Reads, on the operator's machine, the files and images that the document names for what is selected.
    ///
    /// # Errors
    /// Everything that is missing or wrong.
    fn gather(&self, _from: &Source<'_>) -> Result<Self::Gathered, Failures> {
        Ok(Self::Gathered::default())
    }

    /// Makes the plan. Pure.
    ///
    /// # Errors
    /// All reasons why the plan cannot be made.
    fn plan(
        &self,
        input: &PlanInput<Self::Gathered>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures>;

    /// What an object of a plan needs on its host before the first step. The engine compares it with the plan and sends it.
    fn needs<'p>(&self, _plan: &'p PlanOf<Self>, _object: &'p Self::Object) -> Needs<'p> {
        Needs::default()
    }

    /// The store of the bytes that its objects need; none if they need none.
    ///
    /// # Errors
    /// If something else is in its place.
    fn bytes(&self, _on: Machine) -> Result<Option<Box<dyn Bytes>>, Failure> {
        Ok(None)
    }

    /// Asks hosts through `each` whether they can carry out their steps, before any host is changed; returns those that
    /// cannot.
    fn unable(&self, _plan: &PlanOf<Self>, _each: Each<'_>) -> BTreeMap<String, Failures> {
        BTreeMap::new()
    }

    /// Before a wave after the first: asks hosts through `each` for what its steps need of what others have done in the waves before, and that no
    /// plan could know. `part` has the steps of this wave.
    fn hand_over(&self, _part: &PlanOf<Self>, _each: Each<'_>) -> Handed {
        Handed::default()
    }

    /// The part of the shared table that the steps of one host need.
    fn share(&self, _plan: &PlanOf<Self>, _steps: &[Step<Self::Object>]) -> Self::Data {
        Self::Data::default()
    }

    /// The key of an intent, as in [`crate::plan::Kept::Intent`].
    fn intent_key(intent: &Self::Intent) -> String;

    /// The intent that an object of a plan stands for: the text of the plan that its digest names.
    ///
    /// # Errors
    /// When the plan lacks it.
    fn intent(&self, plan: &PlanOf<Self>, object: &Self::Object) -> Result<Self::Intent, Failure> {
        let text = object.content().and_then(|digest| plan.contents.get(digest));
        text.and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| Failure::new(Kind::Data, "plan.contents", "the plan lacks the intent of the host"))
    }

    /// The function that changes an object on this host. For an object that the engine keeps, it is called before the engine
    /// changes that object. It is kept until the run is over on all hosts, since it may record what it replaces.
    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Self::Object>;

    /// What is done from time to time on a host with this intent. Its plan wants [`crate::plan::Kept::Timer`] if there is any.
    fn jobs(&self, _intent: &Self::Intent) -> Vec<Job> {
        Vec::new()
    }

    /// Does one of them, on this host, whose name in the stack is `host`.
    ///
    /// # Errors
    /// Why it failed. It is done again at its next time.
    fn job(&self, _stack: &str, _host: &str, _intent: &Self::Intent, _job: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Serves, as the worker of a service that the tool's plan wants with [`crate::plan::Runs::Server`].
    ///
    /// # Errors
    /// Why it cannot serve.
    fn serve(&self, _worker: Worker) -> Result<(), Failure> {
        Err(Failure::new(Kind::Bug, "host.service", format!("{} has no server", Self::PROGRAM)))
    }

    /// What it does for a program of its own while that is supervised, beyond what the definition says.
    fn tend(&self, _of: &KeptService) -> Option<Box<dyn Tend>> {
        None
    }

    /// A verb of the tool itself, on this host. Intermediate output goes to `event`; when `cancel` is set, its answer is no
    /// longer awaited.
    ///
    /// # Errors
    /// Failures of the verb.
    fn call(
        &self,
        name: &str,
        _input: Value,
        _cancel: &AtomicBool,
        _event: Hear<'_>,
    ) -> Result<Value, Failures> {
        let message = format!("{} has no call {name}", Self::PROGRAM);
        Err(Failure::new(Kind::Bug, "serve.call", message).into())
    }

    /// Live checks, in addition to "the plan is empty". Sends calls to hosts through `each`.
    ///
    /// # Errors
    /// Why a check could not be made; a failed check is a finding.
    fn check(&self, _input: &PlanInput<Self::Gathered>, _each: Each<'_>) -> Result<Checked, Failures> {
        Ok(Checked::default())
    }

    /// After a change: tests through `each` whether it works on the hosts that take part; returns the hosts where it does not.
    fn prove(
        &self,
        _input: &PlanInput<Self::Gathered>,
        _plan: &PlanOf<Self>,
        _each: Each<'_>,
    ) -> BTreeMap<String, Failure> {
        BTreeMap::new()
    }

    /// The schemas of documents that only this tool has, by name.
    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        Vec::new()
    }
}

/// What [`Tool::hand_over`] has got.
#[derive(Debug, Default)]
pub struct Handed {
    /// Texts of the plan, by the names that its objects give ([`Object::content`]).
    pub texts: BTreeMap<String, String>,
    /// Hosts that cannot do their steps of this wave.
    pub failed: BTreeMap<String, Failures>,
}

/// Receives the intermediate output of a call.
pub type Hear<'a> = &'a (dyn Fn(Value) + Sync);

/// Sends a call of [`Tool::call`] to hosts, all at once.
pub type Each<'a> =
    &'a mut dyn FnMut(&str, BTreeMap<String, Value>) -> BTreeMap<String, Result<Value, Failures>>;

/// The plan of a tool.
pub type PlanOf<T> = Plan<<T as Tool>::Object, <T as Tool>::Data>;

/// What a tool observed on a host.
pub type ObservedOf<T> = Observed<<T as Tool>::Object, <T as Tool>::Facts>;

/// What a tool observed on a host: the observed document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observed<O, S> {
    /// `lsx.<tool>.observed/1`.
    pub schema: String,
    /// The requested stack; absent when all were requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The parts that `--only` selected; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// The host.
    pub host: String,
    /// Digest of the facts that a plan depends on.
    pub base: String,
    /// Underlay addresses of all hosts that the stack has had, as recorded on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack_hosts: Vec<Ipv4Addr>,
    /// Warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Objects of lsx on this host.
    pub objects: Vec<Have<O>>,
    /// Further facts.
    #[serde(flatten)]
    pub seen: S,
}
