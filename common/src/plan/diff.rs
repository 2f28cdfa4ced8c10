//! Compares the wanted objects with the existing ones: the steps between them, and the field that caused each.

use super::{Object, Step};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An object that should exist on a host. Wants come in order: an object follows those that it needs.
#[derive(Clone, Debug)]
pub struct Want<O> {
    /// `kind:name`, unique on the host.
    pub key: String,
    /// The object.
    pub object: O,
    /// Keys of the objects that must exist first.
    pub needs: Vec<String>,
    /// Why it is wanted, for the step that creates it.
    pub why: String,
}

/// An object of lsx that exists on a host. Haves come in order, too.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Have<O> {
    /// `kind:name`, unique on the host.
    pub key: String,
    /// The object.
    pub object: O,
    /// Keys of the objects that it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// The steps from `haves` to `wants` on `host`: removals first, in reverse order; then the rest in order.
pub fn diff<O: Object>(host: &str, wants: &[Want<O>], haves: &[Have<O>]) -> Vec<Step<O>> {
    let wanted: BTreeMap<&str, &Want<O>> = wants.iter().map(|w| (w.key.as_str(), w)).collect();
    let there: BTreeMap<&str, &Have<O>> = haves.iter().map(|h| (h.key.as_str(), h)).collect();
    let gone: Vec<&Have<O>> = haves.iter().filter(|h| !wanted.contains_key(h.key.as_str())).collect();
    let mut steps = removals(host, &gone);
    let mut made = changes(host, wants, &there);
    for step in &mut made {
        let in_the_way =
            |have: &&&Have<O>| step.after.as_ref().is_some_and(|after| have.object.excludes(after));
        step.needs.extend(gone.iter().filter(in_the_way).map(|have| id("remove", &have.key)));
    }
    steps.extend(made);
    steps
}

fn removals<O: Object>(host: &str, gone: &[&Have<O>]) -> Vec<Step<O>> {
    let mut before: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for have in gone {
        for need in &have.needs {
            before.entry(need).or_default().push(id("remove", &have.key));
        }
    }
    gone.iter()
        .rev()
        .map(|have| Step {
            id: id("remove", &have.key),
            host: host.to_owned(),
            why: "no longer wanted".to_owned(),
            before: Some(have.object.clone()),
            after: None,
            needs: before.remove(have.key.as_str()).unwrap_or_default(),
            runs: Vec::new(),
            wave: 0,
        })
        .collect()
}

fn changes<O: Object>(host: &str, wants: &[Want<O>], there: &BTreeMap<&str, &Have<O>>) -> Vec<Step<O>> {
    let mut made: BTreeMap<&str, String> = BTreeMap::new();
    let mut anew: BTreeSet<&str> = BTreeSet::new();
    let mut steps = Vec::new();
    for want in wants {
        let have = there.get(want.key.as_str());
        // An object that only follows in order is not recreated: it must depend on the recreated object.
        let lost = have.filter(|have| have.object.goes_along());
        let lost = lost.and_then(|have| have.needs.iter().find(|n| anew.contains(n.as_str())));
        let have = have.map(|h| &h.object);
        let (verb, why, before) = match (have, lost) {
            (None, _) => ("create", want.why.clone(), None),
            (Some(_), Some(need)) => ("create", format!("{need} is recreated"), None),
            (Some(have), None) if *have == want.object => continue,
            (Some(have), None) => ("change", cause(have, &want.object), Some(have.clone())),
        };
        if lost.is_some() || before.as_ref().is_some_and(|have| have.replaced_by(&want.object)) {
            anew.insert(&want.key);
        }
        let id = id(verb, &want.key);
        made.insert(&want.key, id.clone());
        let needs = want.needs.iter().filter_map(|n| made.get(n.as_str()).cloned()).collect();
        let (host, after, runs) = (host.to_owned(), Some(want.object.clone()), Vec::new());
        steps.push(Step { id, host, why, before, after, needs, runs, wave: 0 });
    }
    steps
}

fn id(verb: &str, key: &str) -> String {
    match key.split_once(':') {
        Some((kind, name)) => format!("{kind}.{verb}:{name}"),
        None => format!("{key}.{verb}"),
    }
}

/// The fields that differ, such as `mtu 1450 becomes 1400`. Fields are compared, never a digest of our own types, so that a
/// new version of lsx recreates nothing.
fn cause<O: Object>(before: &O, after: &O) -> String {
    let mut causes = Vec::new();
    let json = |object| serde_json::to_value(object).unwrap_or(Value::Null);
    compare("", &json(before), &json(after), &|path| before.hides(path), &mut causes);
    if causes.len() > 4 {
        let more = causes.len() - 4;
        causes.truncate(4);
        causes.push(format!("and {more} more"));
    }
    causes.join(", ")
}

fn compare(
    path: &str,
    before: &Value,
    after: &Value,
    hides: &dyn Fn(&str) -> bool,
    causes: &mut Vec<String>,
) {
    if let (Value::Object(a), Value::Object(b)) = (before, after) {
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            compare(
                &below,
                a.get(key).unwrap_or(&Value::Null),
                b.get(key).unwrap_or(&Value::Null),
                hides,
                causes,
            );
        }
    } else if before != after && hides(path) {
        causes.push(format!("{path} changes"));
    } else if before != after {
        causes.push(match (before, after) {
            (Value::Null, b) => format!("{path} is set to {}", short(b)),
            (a, Value::Null) => format!("{path} {} is removed", short(a)),
            (a, b) => format!("{path} {} becomes {}", short(a), short(b)),
        });
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= 40 { text } else { text.chars().take(37).chain("...".chars()).collect() }
}
