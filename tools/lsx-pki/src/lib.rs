//! lsx-pki is the certificate authority of a stack.
//!
//! `up` makes an authority on one host, `pki.host`: a root, which is valid for ten years, and an intermediate authority, which it signs and which signs
//! everything else. Both can issue certificates only for the domain of the stack, and for the addresses of its networks and hosts
//! (or for what `pki.authority.permit` names): clients refuse certificates for names and addresses that are not among those, so that they need not trust the
//! authority with the rest of the world. A server that asks clients for certificates must look at more than that they lead to the root.
//!
//! A certificate of `pki.certificates` is on the hosts that use it. Its key is made there, and never leaves: the host sends a request, and gets
//! the certificate of the authority in the same run. It is for the names and addresses of the document, and for the host names and addresses of the load balancers that
//! use it, which load it within a second and without ending connections. `up` waits until they serve it.
//!
//! A certificate is valid for 90 days (`life`). `up` renews it when less than a third of its time is left, for the same key, and so
//! the intermediate authority. It also replaces one that is damaged, has expired, is for other names, is from another authority, or whose key others than root can
//! read; in the last case, and if the key is missing, damaged or not ECDSA on P-256, with a new key. Nothing runs by itself yet: run `up` once a week, or `check`, which says what has to be renewed.
//!
//! `check` connects to each port with TLS of a load balancer, and reports what is seen there if it is not the certificate on disk, is not valid, is for another
//! name or does not lead to the root.
//!
//! `trust` prints the root's certificate: clients that have it trust every certificate of the stack. It is public; whoever can replace it decides whom they trust. It is not
//! put into the trust stores of hosts and instances yet: give it to instances with `files`, or as a layer of their image.
//!
//! The authority is never replaced: what it may issue cannot be changed, and if its files are damaged, or its folder is not there while a host has the root,
//! `up` fails. `down` removes certificates and keys,
//! and keeps the authority; `down --destroy-data STACK` removes it, and after that clients must trust the next one. Make a copy of its folder, and keep it
//! where only you can read it. Its keys, also that of the root, are files that root alone can read; they are not encrypted yet.
//!
//! Not supported yet: other keys than ECDSA on P-256, an existing authority, the root's key elsewhere, encrypted keys, revocation, ACME, SSH certificates.

use common::plan::Have;
use common::table::Columns;
use common::tool::{
    Change, Checked, Draft, Each, Handed, Hear, Observation, ObservedOf, PlanInput, PlanOf, Tool,
};
use common::{Failure, Failures, Kind, fleet};
use model::{Facts, Intent, Object, Own, Shared};
use schemars::{Schema, schema_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod apply;
mod chain;
mod check;
pub mod cli;
mod hand;
pub mod model;
mod observe;
mod places;
pub mod plan;
mod read;
mod seen;
mod served;
mod verbs;

/// The program's name.
pub const PROGRAM: &str = "lsx-pki";

/// The tool.
#[derive(Clone, Copy, Debug)]
pub struct Pki;

impl Tool for Pki {
    const NAME: &'static str = "pki";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &[PROGRAM];
    const TABLES: &'static [Columns] = &[
        ("pki.observed", "certificates", &["stack", "name", "path", "not_after", "why"]),
        ("pki.trust", "", &["stack", "host", "sha256", "not_after"]),
        ("pki.report", "hosts", &["host", "ok", "changed", "skipped"]),
        ("pki.check", "rows", &["host", "balancer", "at", "certificate", "not_after", "days_left", "ok"]),
    ];
    // What was issued is good, also if another host fails.
    const UNDO: bool = false;
    const ORDER: u8 = 30;
    const SERVICES: bool = false;
    type Object = Object;
    type Facts = Facts;
    type Gathered = ();
    type Data = Shared;
    type Intent = Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
        observe::observe(stack)
    }

    fn base(&self, objects: &[Have<Object>], seen: &Facts) -> String {
        plan::base(objects, seen)
    }

    fn plan(
        &self,
        input: &PlanInput<()>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn hand_over(&self, part: &PlanOf<Self>, each: Each<'_>) -> Handed {
        hand::over(part, each)
    }

    fn intent_key(intent: &Intent) -> String {
        plan::key(intent)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Object> {
        Box::new(move |before, after| {
            let own = |object: Option<&Object>| object.and_then(Object::own).cloned();
            let (before, after): (Option<Own>, Option<Own>) = (own(before), own(after));
            let host = plan.hosts.first().map(|host| host.name.as_str()).unwrap_or_default();
            apply::change((&plan.stack, host), &plan.contents, before.as_ref(), after.as_ref())
        })
    }

    fn call(&self, name: &str, input: Value, _: &AtomicBool, event: Hear<'_>) -> Result<Value, Failures> {
        match name {
            "requests" => Ok(json!(apply::key::requests(&fleet::shape(input)?)?)),
            "sign" => Ok(json!(apply::sign::sign(&fleet::shape(input)?)?)),
            "served" => Ok(json!(common::host::alive(event, || served::look(&fleet::shape(input)?))?)),
            "trust" => Ok(json!(verbs::trusted(&input)?)),
            _ => Err(Failure::new(Kind::Bug, "pki.call", format!("no call {name}")).into()),
        }
    }

    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        vec![("trust", schema_for!(model::Trusted))]
    }

    fn check(&self, input: &PlanInput<()>, each: Each<'_>) -> Result<Checked, Failures> {
        Ok(check::check(input, each))
    }

    fn prove(&self, input: &PlanInput<()>, _: &PlanOf<Self>, each: Each<'_>) -> BTreeMap<String, Failure> {
        check::prove(input, each)
    }
}
