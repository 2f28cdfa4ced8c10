//! Documents that lsx-net reads: observed documents, plans, intents, targets of probes.

use crate::plan_input;
use common::tool::{Goal, ObservedOf, PlanOf};
use lsx_net::Net;
use lsx_net::plan::PlanInput;
use lsx_net::probe::Target;
use lsx_tests::{Corpus, Stacks, saved_plans, soak};
use serde_json::{Value, json};

fn stacks() -> Stacks<PlanInput, ObservedOf<Net>> {
    Stacks::of(
        "net",
        |text| plan_input(text).ok(),
        |input, hosts| match lsx_net::plan::plan(input, hosts) {
            Ok(_) => Ok(()),
            Err(failures) => Err((failures.exit(), failures.to_string())),
        },
    )
}

#[test]
fn soak_net_observed() {
    stacks().observed(25);
}

#[test]
fn soak_net_plan() {
    saved_plans("net", 25, |text| {
        match common::document::read::<PlanOf<Net>>(text, "soak", "lsx.net.plan/1") {
            Ok(plan) => {
                let _ = lsx_net::plan::share(&plan.data, &plan.steps, &plan.contents);
                true
            }
            Err(failures) => {
                assert!(!failures.to_string().is_empty());
                false
            }
        }
    });
}

#[test]
fn soak_net_intent() {
    let kept = |_: &PlanInput, seen: &ObservedOf<Net>| {
        Some(serde_json::to_value(seen.seen.intent.as_ref()?).unwrap())
    };
    let boot = |input: &mut PlanInput, kept: Value| input.goal = Goal::Boot(kept);
    stacks().kept(25, kept, boot);
}

#[test]
fn soak_net_probe() {
    let target = |probe: &str, more: Value| {
        let mut all = json!({"name": "a", "probe": probe, "address": "198.18.0.11"});
        let more = more.as_object().cloned().unwrap_or_default();
        more.into_iter().for_each(|(key, value)| drop(all.as_object_mut().unwrap().insert(key, value)));
        all
    };
    let corpus = Corpus::of(vec![
        target("icmp", json!({})),
        target("tcp", json!({"port": 22})),
        target("banner", json!({"port": 22, "expect": "SSH-2.0"})),
        target("http", json!({"port": 80, "path": "/", "expect": "200-399"})),
        target("http", json!({"port": 443, "tls": true, "ca": "/ca.pem", "server_name": "www.internal"})),
    ]);
    let read = |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let _ = text.parse::<Target>();
        serde_json::from_slice::<Target>(input).is_ok()
    };
    soak("net-probe", 1500, 20, |dice| corpus.mutant(dice).to_string().into_bytes(), read);
}
