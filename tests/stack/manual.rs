//! The manual and the schema agree, and the manual's example is valid.

use crate::good;
use lsx_tests::{blessing, top};
use serde_json::Value;
use std::collections::BTreeSet;

fn page() -> String {
    std::fs::read_to_string(top("man/lsx-stack.5")).unwrap()
}

/// All keys that a person may write: properties of the schema, except those of derived values.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    let derived = |name: &str| name.ends_with("At") || ["Resolved", "Selector", "PortSpec"].contains(&name);
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match (key.as_str(), inner) {
                    ("properties", Value::Object(properties)) => into.extend(properties.keys().cloned()),
                    ("$defs", Value::Object(types)) => {
                        types
                            .iter()
                            .filter(|(name, _)| !derived(name))
                            .for_each(|(_, inner)| keys(inner, into));
                        continue;
                    }
                    _ => {}
                }
                keys(inner, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}

#[test]
fn every_key_is_in_the_manual() {
    let mut wanted = BTreeSet::new();
    keys(&serde_json::to_value(common::stack::schema()).unwrap(), &mut wanted);
    let page = page();
    let told: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with(".Ic") || line.starts_with(".It Ic"))
        .flat_map(|line| line.split_whitespace())
        .collect();
    let missing: Vec<&String> = wanted.iter().filter(|key| !told.contains(key.as_str())).collect();
    assert!(missing.is_empty() && wanted.len() > 70, "{missing:?} of {}", wanted.len());
}

#[test]
fn the_example_is_a_good_stack() {
    let page = page();
    let examples = page.split(".Sh EXAMPLES").nth(1).unwrap();
    let text = examples.split(".Bd -literal -offset indent\n").nth(1).unwrap().split(".Ed").next().unwrap();
    let (stack, resolved) = good(text);
    assert_eq!((stack.name.as_str(), resolved.instances.len()), ("office", 4));
}

/// The schema for editors; `LSX_BLESS=1` writes it, as `scripts/docs` does.
#[test]
fn the_schema_beside_the_manual_is_that_of_the_code() {
    let path = top("man/lsx-stack.schema.json");
    let came = serde_json::to_string_pretty(&common::stack::schema()).unwrap() + "\n";
    if blessing() {
        std::fs::write(&path, &came).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    assert!(wanted == came, "man/lsx-stack.schema.json differs; LSX_BLESS=1 writes it");
}
