//! Mutations of valid documents that keep their structure, so that many are valid, too, and reach code behind a parser.
//!
//! A value of one document is copied to the same key in another; names used as references are exchanged; values are set to
//! limits of their ranges or other types, or removed. Documents that pass simple rules test the deeper ones.

use crate::Dice;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Texts with a special meaning somewhere, or similar ones.
const TEXTS: [&str; 34] = [
    "",
    "0",
    "-1",
    "1",
    "65535",
    "65536",
    "4294967296",
    "true",
    "no",
    "*",
    "world",
    "host/h1",
    "instance/web",
    "h1",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "10.0.0.1",
    "255.255.255.255",
    "169.254.169.254",
    "::1",
    "1.5",
    "1e400",
    "512M",
    "30s",
    "8000-8010:8000-8010",
    "80:80/udp",
    "../../etc/passwd",
    "/",
    "/dev/shm/..",
    "a\u{202e}b",
    "\u{1b}[2J",
    "\n",
    "sha256:0",
    "x\u{0}y",
];

/// The longest text of a value that is copied into other documents, so that small documents stay small.
const PIECE: usize = 2000;

/// Valid documents, and everything that stands in them, by key.
#[derive(Debug)]
pub struct Corpus {
    documents: Vec<Value>,
    /// For each document the sum of the chances of all up to it. A chance is the inverse of the document's size: each document
    /// gets the same share of the time, and most inputs are small.
    chances: Vec<usize>,
    by_key: Vec<(String, Vec<Value>)>,
    names: Vec<String>,
}

impl Corpus {
    /// The initial documents.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(documents: Vec<Value>) -> Corpus {
        assert!(!documents.is_empty(), "no valid document to begin with");
        let (mut by_key, mut names) = (BTreeMap::new(), Vec::new());
        documents.iter().for_each(|document| learn(document, &mut by_key, &mut names));
        names.sort();
        names.dedup();
        let mut sum = 0;
        let chance = |document: &Value| {
            sum += 10_000_000 / (document.to_string().len() + 100);
            sum
        };
        let chances = documents.iter().map(chance).collect();
        let by_key = by_key.into_iter().filter(|(_, known)| !known.is_empty()).collect();
        Corpus { documents, chances, by_key, names }
    }

    /// The number of a document.
    pub fn pick(&self, dice: &mut Dice) -> usize {
        let at = dice.below(self.chances.last().copied().unwrap_or(1));
        self.chances.partition_point(|&sum| sum <= at)
    }

    /// One of the documents, changed.
    pub fn mutant(&self, dice: &mut Dice) -> Value {
        let document = self.pick(dice);
        self.mutant_of(document, dice)
    }

    /// This document with one to three changes, mostly one: each makes about half of the inputs invalid.
    pub fn mutant_of(&self, document: usize, dice: &mut Dice) -> Value {
        let mut value = self.documents[document].clone();
        for _ in 0..=dice.below(6).saturating_sub(3) {
            self.change(&mut value, dice);
        }
        value
    }

    /// Goes down to a random place, and changes it.
    fn change(&self, value: &mut Value, dice: &mut Dice) {
        let deeper = |value: &Value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        let mut at = value;
        while dice.below(5) > 0 {
            let inner = match &*at {
                Value::Object(map) => map.values().any(deeper),
                Value::Array(items) => items.iter().any(deeper),
                _ => false,
            };
            if !inner {
                break;
            }
            let (n, i) = match &*at {
                Value::Object(map) => (map.len(), dice.below(map.len())),
                Value::Array(items) => (items.len(), dice.below(items.len())),
                _ => break,
            };
            let pick =
                |get: &dyn Fn(usize) -> bool| (0..n).map(|k| (i + k) % n).find(|&k| get(k)).unwrap_or(i);
            at = match at {
                Value::Object(map) => {
                    let i = pick(&|k| map.values().nth(k).is_some_and(deeper));
                    map.values_mut().nth(i).unwrap()
                }
                Value::Array(items) => {
                    let i = pick(&|k| items.get(k).is_some_and(deeper));
                    &mut items[i]
                }
                _ => break,
            };
        }
        match at {
            Value::Object(map) if !map.is_empty() => {
                let key = map.keys().nth(dice.below(map.len())).unwrap().clone();
                self.change_entry(map, &key, dice);
            }
            Value::Array(items) => change_list(items, &mut |value, dice| self.other(value, dice), dice),
            other => *other = self.other(other, dice),
        }
    }

    fn change_entry(&self, map: &mut serde_json::Map<String, Value>, key: &str, dice: &mut Dice) {
        match dice.below(12) {
            // A value of this key from elsewhere, valid in its own document.
            0..=5 => {
                let known = self.by_key.binary_search_by(|(known, _)| known.as_str().cmp(key));
                let known = known.ok().map(|at| &self.by_key[at].1);
                let other = known.map(|known| known[dice.below(known.len())].clone());
                let other = other.unwrap_or_else(|| self.other(&map[key], dice));
                map.insert(key.to_owned(), other);
            }
            6 | 7 => drop(map.remove(key)),
            8 => {
                // Another key of some document, with its value.
                let (other, known) = &self.by_key[dice.below(self.by_key.len())];
                map.insert(other.clone(), known[dice.below(known.len())].clone());
            }
            9 => {
                let value = map.remove(key).unwrap();
                map.insert(self.names[dice.below(self.names.len())].clone(), value);
            }
            _ => {
                let other = self.other(&map[key], dice);
                map.insert(key.to_owned(), other);
            }
        }
    }

    /// Something near a value: of its type, mostly.
    fn other(&self, value: &Value, dice: &mut Dice) -> Value {
        match (value, dice.below(8)) {
            (Value::String(_), 0..=3) => json!(self.names[dice.below(self.names.len())]),
            (Value::String(text), 4 | 5) => json!(dice.broken(text)),
            (Value::Number(n), 0..=3) => {
                let n = n.as_i64().unwrap_or(i64::MAX);
                let near =
                    [n.saturating_add(1), n.saturating_sub(1), n.saturating_neg(), 0, 65_536, i64::MAX];
                json!(near[dice.below(near.len())])
            }
            (Value::Bool(yes), 0..=5) => json!(!yes),
            (_, 6) => [json!(null), json!({}), json!([]), json!([[]]), json!(true), json!(-1), json!(1.5)]
                [dice.below(7)]
            .clone(),
            _ => json!(TEXTS[dice.below(TEXTS.len())]),
        }
    }
}

/// Collects the values of each key, and the names and short texts.
fn learn(value: &Value, by_key: &mut BTreeMap<String, Vec<Value>>, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let known = by_key.entry(key.clone()).or_default();
            if known.len() < 200 && !known.contains(value) && value.to_string().len() < PIECE {
                known.push(value.clone());
            }
            if key.len() < 40 {
                names.push(key.clone());
            }
            learn(value, by_key, names);
        }),
        Value::Array(items) => items.iter().for_each(|item| learn(item, by_key, names)),
        Value::String(text) if text.len() < 40 => names.push(text.clone()),
        _ => {}
    }
}

fn change_list(items: &mut Vec<Value>, other: &mut dyn FnMut(&Value, &mut Dice) -> Value, dice: &mut Dice) {
    if items.is_empty() {
        return items.push(json!(TEXTS[dice.below(TEXTS.len())]));
    }
    let (i, k) = (dice.below(items.len()), dice.below(items.len()));
    match dice.below(5) {
        0 => drop(items.remove(i)),
        1 => items.push(items[i].clone()),
        2 => items.swap(i, k),
        _ => items[i] = other(&items[i], dice),
    }
}
