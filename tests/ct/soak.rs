//! What lsx-ct reads that others wrote: documents of hosts, plans, what a host keeps.

use crate::{Hosts, wish};
use common::tool::{Goal, ObservedOf, PlanOf, Wish};
use lsx_ct::Ct;
use lsx_ct::model::{Gathered, Intent, Object};
use lsx_tests::golden::{Case, cases};
use lsx_tests::{Corpus, Dice, soak};
use serde_json::Value;
use std::cell::Cell;

fn bytes(corpus: &Corpus, dice: &mut Dice) -> Vec<u8> {
    corpus.mutant(dice).to_string().into_bytes()
}

fn observed(case: &Case) -> Hosts {
    let text = case.read("observed.json").unwrap_or_default();
    let one = |line| serde_json::from_str::<ObservedOf<Ct>>(line).ok();
    text.lines().filter_map(one).map(|seen| (seen.host.clone(), seen)).collect()
}

/// Wishes and what their hosts have.
fn plans() -> Vec<(Wish<Gathered>, Hosts)> {
    let plan = |case: &Case| Some((wish(&case.text()).ok()?, observed(case)));
    cases("ct").iter().filter_map(plan).filter(|(_, hosts)| !hosts.is_empty()).collect()
}

fn planned(wish: &Wish<Gathered>, hosts: &Hosts) -> bool {
    match lsx_ct::plan::plan(wish, hosts) {
        Ok(_) => true,
        Err(failures) => {
            assert!(failures.exit() != 70 && !failures.to_string().is_empty(), "{failures}");
            false
        }
    }
}

#[test]
fn soak_ct_observed() {
    let plans = plans();
    let all = plans.iter().flat_map(|(_, hosts)| hosts.values());
    let corpus = Corpus::of(all.map(|seen| serde_json::to_value(seen).unwrap()).collect());
    let turn = Cell::new(0);
    soak(
        "ct-observed",
        1500,
        25,
        |dice| bytes(&corpus, dice),
        |input| {
            let Ok(seen) = serde_json::from_slice::<ObservedOf<Ct>>(input) else { return false };
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
fn soak_ct_plan() {
    let texts = cases("ct").into_iter().filter_map(|case| case.read("plan.json"));
    let corpus = Corpus::of(texts.map(|text| serde_json::from_str(&text).unwrap()).collect());
    soak(
        "ct-plan",
        1500,
        25,
        |dice| bytes(&corpus, dice),
        |input| {
            let text = String::from_utf8_lossy(input);
            let read = common::document::read::<PlanOf<Ct>>(&text, "soak", "lsx.ct.plan/1");
            read.map_err(|failures| assert!(!failures.to_string().is_empty())).is_ok()
        },
    );
}

#[test]
fn soak_ct_intent() {
    let plans = plans();
    let kept = |(wish, seen): (&Wish<Gathered>, &ObservedOf<Ct>)| {
        let instances = seen.objects.iter().filter_map(|have| match &have.object {
            Object::Instance(instance) => Some((**instance).clone()),
            _ => None,
        });
        let intent = Intent {
            schema: "lsx.ct.intent/1".to_owned(),
            stack: wish.stack.clone(),
            instances: instances.collect(),
        };
        serde_json::to_value(&intent).unwrap()
    };
    let all = plans.iter().flat_map(|(wish, hosts)| hosts.values().map(move |seen| (wish, seen)));
    let corpus = Corpus::of(all.map(kept).collect());
    let turn = Cell::new(0);
    soak(
        "ct-intent",
        1500,
        20,
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
