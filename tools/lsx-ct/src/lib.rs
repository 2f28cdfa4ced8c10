//! lsx-ct runs the containers of a stack on its hosts, by an OCI runtime, LXD or Incus.
//!
//! Each instance becomes an OCI bundle, or a request to the LXD or Incus server. The default driver, `oci`, needs no daemon, only
//! an OCI runtime such as crun or runc: the root file system is an overlay on a store of images, each instance has its own range
//! of user ids, its interfaces come from lsx-net(1), and one small supervisor process keeps its log and restarts it (a systemd
//! unit where systemd runs the machine). Instances start in the order of their dependencies, across hosts and drivers, on `up`
//! and after a reboot. `up` compares the definition of each instance in the stack with the existing instance, and keeps it,
//! changes it while it runs, restarts it or recreates it. The plan says which and why.

use common::plan::{Have, Step};
use common::stack::resolved::InstanceAt;
use common::stack::{Only, Resolved};
use common::table::Columns;
use common::tool::{
    Change, Checked, Draft, Each, Hear, Observation, ObservedOf, PlanInput, PlanOf, Risk, Source, Tool,
};
use common::transfer::{Bytes, Machine, Needs};
use common::{Failure, Failures};
use schemars::{Schema, schema_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod accounts;
mod act;
mod apply;
mod check;
pub mod cli;
pub mod driver;
mod engines;
mod exit;
mod gather;
mod grace;
mod guard;
mod image;
mod init;
pub mod lxd;
pub mod model;
mod needs;
mod net;
mod observe;
mod oci;
mod parcel;
mod paths;
pub mod plan;
mod ready;
mod recipes;
mod render;
mod signals;
mod supervise;
mod transfer;

/// The program's name.
pub const PROGRAM: &str = "lsx-ct";
/// The programs to copy to a host: this one, and those that it starts there.
pub(crate) const SET_NAMES: [&str; 2] = [PROGRAM, "lsx-net"];

/// The tool.
#[derive(Clone, Debug)]
pub struct Ct {
    /// The image store of this machine.
    pub store: PathBuf,
    /// The requested OCI runtime; default: the first that works.
    pub runtime: Option<String>,
}

impl Tool for Ct {
    const NAME: &'static str = "ct";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &SET_NAMES;
    const UNDO: bool = false;
    const TABLES: &'static [Columns] = &[
        (
            "ct.observed",
            "instances",
            &[
                "host",
                "stack",
                "name",
                "state",
                "ready",
                "started_at?pid=UPTIME",
                "addresses",
                "memory_bytes=MEM",
                "restarts",
                "image",
            ],
        ),
        ("ct.report", "hosts", &["host", "ok", "changed", "skipped"]),
        ("ct.check", "rows", &["host", "instance", "ready", "days_left=DAYS", "why"]),
        ("ct.ran", "", &["host", "instance", "ok", "code", "ms", "stdout", "stderr"]),
        ("ct.acted", "", &["host", "stack", "instance", "done", "ok", "why"]),
        ("ct.recipe", "", &["host", "instance", "recipe", "state", "changed", "ran_at=RAN", "digest"]),
        ("ct.inventory", "", &["kind", "name", "fqdn", "address", "network", "host"]),
        ("ct.line", "", &["host", "instance", "line"]),
        ("ct.image", "", &["digest", "names", "size_bytes", "layers", "architecture"]),
        (
            "ct.top",
            "",
            &[
                "host",
                "stack",
                "instance",
                "state",
                "cpu_percent",
                "memory_bytes",
                "processes",
                "received_bps",
                "sent_bps",
            ],
        ),
        ("ct.collected", "", &["blobs", "trees", "size_bytes"]),
    ];
    /// After the networks.
    const ORDER: u8 = 50;
    /// The supervisors of instances are its own.
    const SERVICES: bool = false;
    const RISKS: &'static [Risk] = &[Risk::Move];
    type Object = model::Object;
    type Facts = model::Facts;
    type Gathered = model::Gathered;
    type Data = plan::Data;
    type Intent = model::Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Self::Object, Self::Facts>, Failure> {
        observe::observe(stack)
    }

    fn narrow(&self, only: &Only, resolved: &Resolved, observed: &mut ObservedOf<Self>) {
        let of = |name: &str| resolved.instances.iter().find(|at| at.name == name).map(|at| at.of.as_str());
        observed.objects.retain(|have| match &have.object {
            model::Object::Instance(instance) => only.instance(&instance.of, &instance.name),
            _ => false,
        });
        let instances = &mut observed.seen.instances;
        instances.retain(|seen| only.instance(of(&seen.name).unwrap_or_default(), &seen.name));
    }

    fn base(&self, objects: &[Have<Self::Object>], seen: &Self::Facts) -> String {
        plan::base(objects, seen)
    }

    fn gather(&self, from: &Source<'_>) -> Result<Self::Gathered, Failures> {
        let (selected, beside) = (|at: &InstanceAt| from.selects(at), |path: &str| from.beside(path));
        let gathered = gather::gather(&self.store, from.stack, from.resolved, &selected, &beside)?;
        Ok(Self::Gathered { runtime: self.runtime.clone(), ..gathered })
    }

    fn plan(
        &self,
        input: &PlanInput<Self::Gathered>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Self::Object) -> Needs<'p> {
        transfer::needs(plan, object)
    }

    fn bytes(&self, on: Machine) -> Result<Option<Box<dyn Bytes>>, Failure> {
        let root = if on == Machine::Host { Path::new(paths::STORE) } else { &self.store };
        Ok(Some(Box::new(image::Store::open(root)?)))
    }

    fn unable(&self, plan: &PlanOf<Self>, each: Each<'_>) -> BTreeMap<String, Failures> {
        transfer::unable(plan, each)
    }

    fn share(&self, plan: &PlanOf<Self>, _steps: &[Step<Self::Object>]) -> Self::Data {
        plan::Data { secrets: BTreeMap::new(), ..plan.data.clone() }
    }

    fn intent_key(intent: &model::Intent) -> String {
        plan::intent_digest(&intent.instances)
    }

    fn intent(&self, plan: &PlanOf<Self>, object: &Self::Object) -> Result<model::Intent, Failure> {
        plan::intent(plan, object)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Self::Object> {
        let changer = apply::Changer::new(plan);
        Box::new(move |before, after| changer.change(before, after))
    }

    fn call(
        &self,
        name: &str,
        input: Value,
        cancel: &AtomicBool,
        event: Hear<'_>,
    ) -> Result<Value, Failures> {
        act::call(name, input, cancel, event)
    }

    fn check(&self, input: &PlanInput<Self::Gathered>, each: Each<'_>) -> Result<Checked, Failures> {
        check::check(input, each)
    }

    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        vec![
            ("ran", schema_for!(act::Ran)),
            ("acted", schema_for!(act::Acted)),
            ("recipe", schema_for!(act::RecipeAt)),
            ("inventory", schema_for!(render::inventory::Entry)),
            ("line", schema_for!(act::Line)),
            ("top", schema_for!(act::Top)),
            ("image", schema_for!(cli::images::Listed)),
            ("collected", schema_for!(cli::images::Swept)),
        ]
    }
}
