//! What lsx-net reads that others wrote: documents of hosts, plans, what a host keeps, targets of probes.

use crate::{Hosts, cases, observed, wish};
use common::tool::{Goal, ObservedOf, PlanOf, Wish};
use lsx_net::Net;
use lsx_net::probe::Target;
use lsx_tests::{Corpus, Dice, soak};
use serde_json::{Value, json};
use std::cell::Cell;

fn bytes(corpus: &Corpus, dice: &mut Dice) -> Vec<u8> {
    corpus.mutant(dice).to_string().into_bytes()
}

/// Wishes and what their hosts have.
fn plans() -> Vec<(Wish, Hosts)> {
    let plan = |case: &lsx_tests::golden::Case| Some((wish(&case.text()).ok()?, observed(case)));
    cases().iter().filter_map(plan).collect()
}

fn planned(wish: &Wish, hosts: &Hosts) -> bool {
    match lsx_net::plan::plan(wish, hosts) {
        Ok(_) => true,
        Err(failures) => {
            assert!(failures.exit() != 70 && !failures.to_string().is_empty(), "{failures}");
            false
        }
    }
}

#[test]
fn soak_net_observed() {
    let plans = plans();
    let all = plans.iter().flat_map(|(_, hosts)| hosts.values());
    let corpus = Corpus::of(all.map(|seen| serde_json::to_value(seen).unwrap()).collect());
    let turn = Cell::new(0);
    soak(
        "net-observed",
        1500,
        25,
        |dice| bytes(&corpus, dice),
        |input| {
            let Ok(seen) = serde_json::from_slice::<ObservedOf<Net>>(input) else { return false };
            turn.set(turn.get() + 1);
            let (wish, hosts) = &plans[turn.get() % plans.len()];
            let mut hosts = hosts.clone();
            hosts.insert(seen.host.clone(), seen);
            let _ = planned(wish, &hosts);
            true
        },
    );
}

#[test]
fn soak_net_plan() {
    let texts = cases().into_iter().filter_map(|case| case.read("plan.json"));
    let corpus = Corpus::of(texts.map(|text| serde_json::from_str(&text).unwrap()).collect());
    soak(
        "net-plan",
        1500,
        25,
        |dice| bytes(&corpus, dice),
        |input| {
            let text = String::from_utf8_lossy(input);
            match common::document::read::<PlanOf<Net>>(&text, "soak", "lsx.net.plan/1") {
                Ok(plan) => {
                    let _ = lsx_net::plan::share(&plan.data, &plan.steps, &plan.contents);
                    true
                }
                Err(failures) => {
                    assert!(!failures.to_string().is_empty());
                    false
                }
            }
        },
    );
}

#[test]
fn soak_net_intent() {
    let plans = plans();
    let kept = |seen: &ObservedOf<Net>| Some(serde_json::to_value(seen.seen.intent.as_ref()?).unwrap());
    let corpus = Corpus::of(plans.iter().flat_map(|(_, hosts)| hosts.values().filter_map(kept)).collect());
    let turn = Cell::new(0);
    soak(
        "net-intent",
        1500,
        25,
        |dice| bytes(&corpus, dice),
        |input| {
            let Ok(kept) = serde_json::from_slice::<Value>(input) else { return false };
            turn.set(turn.get() + 1);
            let (wish, hosts) = &plans[turn.get() % plans.len()];
            let Some((host, seen)) = hosts.iter().next() else { return false };
            let hosts = Hosts::from([(host.clone(), seen.clone())]);
            planned(&Wish { goal: Goal::Boot(kept), ..wish.clone() }, &hosts)
        },
    );
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
    ]);
    soak(
        "net-probe",
        1500,
        20,
        |dice| bytes(&corpus, dice),
        |input| {
            let text = String::from_utf8_lossy(input);
            let _ = text.parse::<Target>();
            serde_json::from_slice::<Target>(input).is_ok()
        },
    );
}
