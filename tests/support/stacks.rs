//! Thousands of documents that tools read: observed documents, plans, intents. Shared by all tools.

use crate::golden::{Case, cases};
use crate::{Corpus, Dice, soak};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Number of inputs of the short run.
const SHORT: u64 = 1500;

/// Whether there is a plan, else the exit code and message.
type Planner<W, S> = fn(&W, &BTreeMap<String, S>) -> Result<(), (u8, String)>;

/// A tool's golden cases, and its planning: `W` is the input, `S` a host's document.
#[derive(Debug)]
pub struct Stacks<W, S> {
    word: &'static str,
    plans: Vec<(W, BTreeMap<String, S>)>,
    plan: Planner<W, S>,
    turn: Cell<usize>,
}

fn bytes(corpus: &Corpus, dice: &mut Dice) -> Vec<u8> {
    corpus.mutant(dice).to_string().into_bytes()
}

impl<W: Clone, S: Clone + Serialize + DeserializeOwned> Stacks<W, S> {
    /// Cases with a valid stack and observed hosts. `wanted` reads a stack, `plan` returns whether there is a plan, else the
    /// exit code and message.
    pub fn of(word: &'static str, wanted: impl Fn(&str) -> Option<W>, plan: Planner<W, S>) -> Stacks<W, S> {
        let case = |case: &Case| Some((wanted(&case.text())?, observed(case)));
        let plans: Vec<_> =
            cases(word).iter().filter_map(case).filter(|(_, hosts)| !hosts.is_empty()).collect();
        Stacks { word, plans, plan, turn: Cell::new(0) }
    }

    fn planned(&self, wanted: &W, hosts: &BTreeMap<String, S>) -> bool {
        match (self.plan)(wanted, hosts) {
            Ok(()) => true,
            Err((exit, words)) => {
                assert!(exit != 70 && !words.is_empty(), "{exit}: {words}");
                false
            }
        }
    }

    fn next(&self) -> &(W, BTreeMap<String, S>) {
        self.turn.set(self.turn.get() + 1);
        &self.plans[self.turn.get() % self.plans.len()]
    }

    /// Observed documents, each planned together with the others of a stack.
    pub fn observed(&self, share: u64) {
        let all = self.plans.iter().flat_map(|(_, hosts)| hosts.values());
        let corpus = Corpus::of(all.map(|seen| serde_json::to_value(seen).unwrap()).collect());
        let read = |input: &[u8]| {
            let Ok(seen) = serde_json::from_slice::<S>(input) else { return false };
            let value: Value = serde_json::from_slice(input).unwrap();
            let name = value["host"].as_str().unwrap_or_default();
            let (wanted, hosts) = self.next();
            let mut hosts = hosts.clone();
            hosts.insert(name.to_owned(), seen);
            let _ = self.planned(wanted, &hosts);
            true
        };
        soak(&format!("{}-observed", self.word), SHORT, share, |dice| bytes(&corpus, dice), read);
    }

    /// Intents of a stack (`kept`), which `boot` turns into an input.
    pub fn kept(&self, share: u64, kept: impl Fn(&W, &S) -> Option<Value>, boot: impl Fn(&W, Value) -> W) {
        let all =
            self.plans.iter().flat_map(|(wanted, hosts)| hosts.values().map(move |seen| (wanted, seen)));
        let corpus = Corpus::of(all.filter_map(|(wanted, seen)| kept(wanted, seen)).collect());
        let read = |input: &[u8]| {
            let Ok(kept) = serde_json::from_slice::<Value>(input) else { return false };
            let (wanted, hosts) = self.next();
            let Some((host, seen)) = hosts.iter().next() else { return false };
            let hosts = BTreeMap::from([(host.clone(), seen.clone())]);
            self.planned(&boot(wanted, kept), &hosts)
        };
        soak(&format!("{}-intent", self.word), SHORT, share, |dice| bytes(&corpus, dice), read);
    }
}

/// The observed documents of a golden case, by host.
fn observed<S: DeserializeOwned>(case: &Case) -> BTreeMap<String, S> {
    let text = case.read("observed.json").unwrap_or_default();
    let one = |line| {
        let host = serde_json::from_str::<Value>(line).ok()?["host"].as_str()?.to_owned();
        Some((host, serde_json::from_str(line).ok()?))
    };
    text.lines().filter_map(one).collect()
}

/// Saved plans of a tool; `read` returns whether one was valid.
pub fn saved_plans(word: &str, share: u64, read: impl Fn(&str) -> bool) {
    let texts = cases(word).into_iter().filter_map(|case| case.read("plan.json"));
    let corpus = Corpus::of(texts.map(|text| serde_json::from_str(&text).unwrap()).collect());
    let read = |input: &[u8]| read(&String::from_utf8_lossy(input));
    soak(&format!("{word}-plan"), SHORT, share, |dice| bytes(&corpus, dice), read);
}
