//! Documents that lsx-ct reads: observed documents, plans, intents.

use crate::plan_input;
use common::tool::{Goal, ObservedOf, PlanInput, PlanOf};
use lsx_ct::Ct;
use lsx_ct::model::{Gathered, Intent, Object};
use lsx_tests::{Stacks, saved_plans};
use serde_json::Value;

fn stacks() -> Stacks<PlanInput<Gathered>, ObservedOf<Ct>> {
    Stacks::of(
        "ct",
        |text| plan_input(text).ok(),
        |input, hosts| match lsx_ct::plan::plan(input, hosts) {
            Ok(_) => Ok(()),
            Err(failures) => Err((failures.exit(), failures.to_string())),
        },
    )
}

#[test]
fn soak_ct_observed() {
    stacks().observed(25);
}

#[test]
fn soak_ct_plan() {
    saved_plans("ct", 25, |text| {
        let read = common::document::read::<PlanOf<Ct>>(text, "soak", "lsx.ct.plan/1");
        read.map_err(|failures| assert!(!failures.to_string().is_empty())).is_ok()
    });
}

#[test]
fn soak_ct_intent() {
    let kept = |input: &PlanInput<Gathered>, seen: &ObservedOf<Ct>| {
        let instances = seen.objects.iter().filter_map(|have| match &have.object {
            Object::Instance(instance) => Some((**instance).clone()),
            _ => None,
        });
        let intent = Intent {
            schema: "lsx.ct.intent/1".to_owned(),
            stack: input.stack.clone(),
            instances: instances.collect(),
        };
        Some(serde_json::to_value(&intent).unwrap())
    };
    let boot = |input: &mut PlanInput<Gathered>, kept: Value| input.goal = Goal::Boot(kept);
    stacks().kept(20, kept, boot);
}
