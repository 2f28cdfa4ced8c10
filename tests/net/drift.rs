//! How the observed documents of golden folders were made: what a stack left on the hosts, and what happened to it since.
//!
//! `observed.json` is frozen: a version of lsx that finds a difference there would change running hosts for nothing. Where
//! that is meant, `LSX_BLESS=observed` makes the documents anew from `drift.json`:
//! `{"was": "stack.yaml", "edits": [{"host": "h1", "at": ["objects", "bridge:lan", "object", "mtu"], "to": 1400}]}`.

use crate::{Case, Hosts, bare, plan, simulate, wish};
use common::tool::ObservedOf;
use lsx_net::Net;
use serde_json::Value;

/// The documents, when the folder says how they are made.
pub(crate) fn remade(case: &Case) -> Option<String> {
    let drift: Value = serde_json::from_str(&case.read("drift.json")?).unwrap();
    let was = match drift["was"].as_str() {
        Some(file) => case.read(if file == "stack.yaml" { &case.stack } else { file }).unwrap(),
        None => case.text(),
    };
    let wish = wish(&was).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let mut hosts = bare(&wish);
    if drift["was"].is_string() {
        hosts = simulate::after(&plan(&wish, &hosts), &hosts);
    }
    Some(told(&edited(hosts, drift["edits"].as_array().map_or(&[], Vec::as_slice))))
}

fn edited(mut hosts: Hosts, edits: &[Value]) -> Hosts {
    for edit in edits {
        let host = hosts.get_mut(edit["host"].as_str().unwrap()).unwrap();
        let mut document = serde_json::to_value(&*host).unwrap();
        let path: Vec<&str> = edit["at"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        set(&mut document, &path, edit.get("to"));
        let seen: ObservedOf<Net> =
            serde_json::from_value(document).unwrap_or_else(|e| panic!("{edit}: {e}"));
        *host = simulate::looked(seen.stack.as_deref().unwrap(), &seen.host, seen.objects, seen.seen);
    }
    hosts
}

/// Steps are keys; in lists of objects a `key` or a `name`, a number, or `+` for a new one at the end.
fn set(value: &mut Value, path: &[&str], to: Option<&Value>) {
    let (step, rest) = path.split_first().unwrap();
    if let Value::Array(items) = value {
        let named = |item: &Value| item["key"] == *step || item["name"] == *step;
        match (items.iter().position(named).or_else(|| step.parse().ok()), to) {
            (None, Some(to)) if *step == "+" => items.push(to.clone()),
            (Some(at), None) if rest.is_empty() => drop(items.remove(at)),
            (Some(at), Some(to)) if rest.is_empty() => items[at] = to.clone(),
            (Some(at), to) => set(&mut items[at], rest, to),
            (None, _) => panic!("nothing is called {step}"),
        }
        return;
    }
    let map = value.as_object_mut().unwrap_or_else(|| panic!("{step} of no object"));
    match (to, rest) {
        (None, []) => assert!(map.shift_remove(*step).is_some(), "there is no {step}"),
        (Some(to), []) => drop(map.insert((*step).to_owned(), to.clone())),
        (to, rest) => set(&mut map[*step], rest, to),
    }
}

/// One document a line.
pub(crate) fn told(hosts: &Hosts) -> String {
    hosts.values().map(|seen| serde_json::to_string(seen).unwrap() + "\n").collect()
}
