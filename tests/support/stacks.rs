//! Thousands of documents that tools read: observed documents, plans, intents. Shared by all tools.

use crate::golden::{Case, cases};
use crate::{Corpus, Dice, soak, soak_parsed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Number of inputs of the short run.
const SHORT: u64 = 1500;

/// Whether there is a plan, else the exit code and message.
type Planner<W, S> = fn(&W, &BTreeMap<String, S>) -> Result<(), (u8, String)>;

/// A stack and the documents of its hosts.
type Planned<W, S> = RefCell<(W, BTreeMap<String, S>)>;

/// A tool's golden cases, and its planning: `W` is the input, `S` a host's document.
#[derive(Debug)]
pub struct Stacks<W, S> {
    word: &'static str,
    plans: Vec<Planned<W, S>>,
    plan: Planner<W, S>,
}

/// Documents, and for each the number of its plan.
struct Owned {
    corpus: Corpus,
    owners: Vec<usize>,
}

impl Owned {
    fn of(all: Vec<(usize, Value)>) -> Owned {
        let (owners, documents) = all.into_iter().unzip();
        Owned { corpus: Corpus::of(documents), owners }
    }

    /// A document, mostly with its own plan, else with that of another one; and whether it is read as text.
    fn make(&self, dice: &mut Dice) -> (usize, Value, bool) {
        let document = self.corpus.pick(dice);
        let other = if dice.below(4) == 0 { self.corpus.pick(dice) } else { document };
        (self.owners[other], self.corpus.mutant_of(document, dice), dice.below(8) == 0)
    }
}

fn text(input: (usize, Value, bool)) -> Vec<u8> {
    input.1.to_string().into_bytes()
}

impl<W: Clone, S: Clone + Serialize + DeserializeOwned> Stacks<W, S> {
    /// Cases with a valid stack and observed hosts. `wanted` reads a stack, `plan` returns whether there is a plan, else the
    /// exit code and message.
    pub fn of(word: &'static str, wanted: impl Fn(&str) -> Option<W>, plan: Planner<W, S>) -> Stacks<W, S> {
        let case = |case: Case| Some((wanted(&case.text())?, observed(&case)));
        let plans = cases(word).into_iter().filter_map(case).filter(|(_, hosts)| !hosts.is_empty());
        Stacks { word, plans: plans.map(RefCell::new).collect(), plan }
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

    /// Observed documents, each planned together with the others of a stack. As between hosts, they are values; some are
    /// texts, as in a file.
    pub fn observed(&self, share: u64) {
        let mut all = Vec::new();
        for (number, plan) in self.plans.iter().enumerate() {
            all.extend(plan.borrow().1.values().map(|seen| (number, serde_json::to_value(seen).unwrap())));
        }
        let owned = Owned::of(all);
        let read = |(plan, value, as_text): (usize, Value, bool)| {
            let name = value["host"].as_str().unwrap_or_default().to_owned();
            let seen = match as_text {
                true => serde_json::from_str::<S>(&value.to_string()),
                false => serde_json::from_value::<S>(value),
            };
            let Ok(seen) = seen else { return false };
            let (wanted, hosts) = &mut *self.plans[plan].borrow_mut();
            let before = hosts.insert(name.clone(), seen);
            let _ = self.planned(wanted, hosts);
            match before {
                Some(before) => drop(hosts.insert(name, before)),
                None => drop(hosts.remove(&name)),
            }
            true
        };
        soak_parsed(&format!("{}-observed", self.word), SHORT, share, |dice| owned.make(dice), read, text);
    }

    /// Intents of a stack (`kept`), which `boot` puts into an input.
    pub fn kept(&self, share: u64, kept: impl Fn(&W, &S) -> Option<Value>, boot: impl Fn(&mut W, Value)) {
        let (mut plans, mut all) = (Vec::new(), Vec::new());
        for plan in &self.plans {
            let (wanted, hosts) = &*plan.borrow();
            for (host, seen) in hosts {
                let Some(kept) = kept(wanted, seen) else { continue };
                all.push((plans.len(), kept));
                plans.push(RefCell::new((wanted.clone(), BTreeMap::from([(host.clone(), seen.clone())]))));
            }
        }
        let owned = Owned::of(all);
        let read = |(plan, kept, _): (usize, Value, bool)| {
            let (wanted, hosts) = &mut *plans[plan].borrow_mut();
            boot(wanted, kept);
            self.planned(wanted, hosts)
        };
        soak_parsed(&format!("{}-intent", self.word), SHORT, share, |dice| owned.make(dice), read, text);
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
    let make = |dice: &mut Dice| corpus.mutant(dice).to_string().into_bytes();
    soak(&format!("{word}-plan"), SHORT, share, make, read);
}
