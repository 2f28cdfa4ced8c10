//! lsx-net makes isolated networks that span hosts, from one stack file.
//!
//! On every host that a network needs it creates a bridge and a VXLAN device, and writes static forwarding and neighbour entries
//! for every address of the stack, so that nothing is flooded or learned. Networks are isolated from each other. The stack's
//! router, a network namespace on the gateway's host, forwards what `allow` permits, translates outgoing addresses and publishes
//! ports; HAProxy in it balances the load of replicas. The host's own addresses and routes are not changed; where the host's
//! own firewall would block the stack's traffic, it gets marked rules. With `dns.update` or `dns.transfer` and gateways on several
//! hosts, routers of the others reach port 53 of the router on the host of `dns.host`, at the TCP port with the number of `tunnel_port`. IPv4 forwarding is enabled where a stack needs it, and
//! disabled again with the last stack if it was off before. Everything that lsx-net creates carries a mark, and only marked
//! objects are ever changed or removed.

use common::host::service::kept::KeptService;
use common::host::service::tend::Tend;
use common::plan::{Have, Step};
use common::stack::{Only, Resolved};
use common::table::Columns;
use common::tool::{Change, Checked, Draft, Each, Hear, Observation, ObservedOf, PlanOf, Risk, Source, Tool};
use common::transfer::Needs;
use common::{Failure, Failures};
use plan::PlanInput;
use schemars::{Schema, schema_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod apply;
mod attach;
mod check;
pub mod cli;
pub mod model;
mod netlink;
mod observe;
mod paths;
pub mod plan;
pub mod probe;
mod render;
mod supervise;

/// The program's name.
pub const PROGRAM: &str = "lsx-net";

/// The tool.
#[derive(Clone, Copy, Debug)]
pub struct Net;

impl Tool for Net {
    const NAME: &'static str = "net";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &[PROGRAM];
    const TABLES: &'static [Columns] = &[
        (
            "net.observed",
            "objects",
            &["host", "key", "object.link", "object.mtu", "object.vni", "object.address"],
        ),
        ("net.report", "hosts", &["host", "ok", "changed", "skipped"]),
        ("net.check", "rows", &["from", "host", "tried", "open", "closed", "wrong"]),
        (
            "net.probe",
            "",
            &[
                "target.name",
                "target.probe",
                "target.address",
                "target.port",
                "ok",
                "state",
                "ms",
                "days_left",
                "error.message",
            ],
        ),
        ("net.attached", "", &["instance", "name", "network", "address", "link", "changed"]),
    ];
    /// Links whose removals wait at the same time are removed as one; see `apply/removal.rs`.
    const PARALLEL: usize = 64;
    const ORDER: u8 = 10;
    const RISKS: &'static [Risk] = &[Risk::Renumber, Risk::Move, Risk::Overlap];
    const DATA: bool = false;
    type Object = model::Object;
    type Facts = model::Facts;
    type Gathered = plan::Gathered;
    type Data = plan::Data;
    type Intent = model::Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Self::Object, Self::Facts>, Failure> {
        observe::observe(stack)
    }

    fn narrow(&self, only: &Only, _resolved: &Resolved, observed: &mut ObservedOf<Self>) {
        let network =
            |have: &Have<Self::Object>| have.object.network().is_some_and(|name| only.network(name));
        observed.objects.retain(network);
    }

    fn base(&self, objects: &[Have<Self::Object>], seen: &Self::Facts) -> String {
        plan::base(objects, seen)
    }

    fn plan(
        &self,
        input: &PlanInput,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn gather(&self, from: &Source<'_>) -> Result<plan::Gathered, Failures> {
        plan::gather(from)
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Self::Object) -> Needs<'p> {
        plan::needs(plan, object)
    }

    fn share(&self, plan: &PlanOf<Self>, steps: &[Step<Self::Object>]) -> Self::Data {
        plan::share(&plan.data, steps, &plan.contents)
    }

    fn intent_key(intent: &model::Intent) -> String {
        plan::intent_file(intent).key()
    }

    fn intent(&self, plan: &PlanOf<Self>, object: &Self::Object) -> Result<model::Intent, Failure> {
        plan::intent(plan, object)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Self::Object> {
        let changer = apply::Changer::new(plan);
        Box::new(move |before, after| changer.change(before, after))
    }

    fn tend(&self, of: &KeptService) -> Option<Box<dyn Tend>> {
        (of.name == model::BALANCE).then(|| Box::new(supervise::Tended::of(of)) as Box<dyn Tend>)
    }

    fn call(&self, name: &str, input: Value, cancel: &AtomicBool, _: Hear<'_>) -> Result<Value, Failures> {
        check::call(name, input, cancel)
    }

    fn check(&self, input: &PlanInput, each: Each<'_>) -> Result<Checked, Failures> {
        check::check(input, each)
    }

    fn prove(&self, input: &PlanInput, plan: &PlanOf<Self>, each: Each<'_>) -> BTreeMap<String, Failure> {
        check::prove(input, plan, each)
    }

    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        vec![
            ("attach", schema_for!(attach::Attach)),
            ("attached", schema_for!(attach::Attached)),
            ("target", schema_for!(probe::Target)),
            ("probe", schema_for!(cli::Probed)),
            ("path", schema_for!(check::Row)),
        ]
    }
}
