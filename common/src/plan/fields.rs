//! The fields in which two objects differ, in readable form: `memory 64M -> 128M`, never a digest.

use crate::people;
use crate::printable;
use serde_json::Value;
use std::collections::BTreeSet;

/// The keys that identify a member of a list.
const NAMES: [&str; 4] = ["name", "path", "network", "instance"];

/// The longest value that is shown in full, in characters.
const LONGEST: usize = 40;

/// The differences, one text each. A field that `hides` matches is only said to change.
pub(super) fn fields(before: &Value, after: &Value, hides: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut texts = Vec::new();
    compare("", before, after, hides, &mut texts);
    texts
}

fn compare(path: &str, before: &Value, after: &Value, hides: &dyn Fn(&str) -> bool, texts: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (before, after) {
        _ if before == after => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                compare(&below(key), value(a.get(key)), value(b.get(key)), hides, texts);
            }
        }
        _ if hides(path) => texts.push(format!("{} changes", word(path))),
        (Value::Array(_) | Value::Null, Value::Array(_) | Value::Null) if named(before) && named(after) => {
            let names: BTreeSet<&str> = members(before).chain(members(after)).filter_map(name).collect();
            for one in names {
                let find = |list| members(list).find(|member| name(member) == Some(one));
                compare(&below(one), value(find(before)), value(find(after)), hides, texts);
            }
        }
        (Value::Object(_), Value::Null) => texts.push(format!("{} is removed", word(path))),
        (Value::Null, Value::Object(_)) => texts.push(format!("{} is new", word(path))),
        _ if digest(before) || digest(after) => texts.push(format!("{} has new content", word(path))),
        (Value::Null, after) => texts.push(format!("{} none -> {}", word(path), shown(path, after))),
        (before, Value::Null) => texts.push(format!("{} {} -> none", word(path), shown(path, before))),
        (before, after) => {
            texts.push(format!("{} {} -> {}", word(path), shown(path, before), shown(path, after)));
        }
    }
}

fn value(member: Option<&Value>) -> &Value {
    member.unwrap_or(&Value::Null)
}

fn members(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Whether every member of a list has a name.
fn named(list: &Value) -> bool {
    members(list).all(|member| name(member).is_some())
}

fn name(member: &Value) -> Option<&str> {
    NAMES.iter().find_map(|key| member.get(key)?.as_str())
}

fn digest(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A path without the unit, which the value shows, and without words that are not shown.
fn word(path: &str) -> String {
    let path = path.strip_suffix(".digest").unwrap_or(path);
    let units = ["_bytes", "_milli", "_ms"];
    let path = units.iter().find_map(|unit| path.strip_suffix(unit)).unwrap_or(path);
    printable::line(path.strip_prefix("limits.").unwrap_or(path)).into_owned()
}

fn shown(path: &str, value: &Value) -> String {
    let text = match (value, value.as_f64()) {
        (Value::String(text), _) => text.clone(),
        (Value::Bool(yes), _) => if *yes { "yes" } else { "no" }.to_owned(),
        (Value::Array(list), _) => list.iter().map(|one| shown("", one)).collect::<Vec<_>>().join(" "),
        (_, Some(number)) => people::number(path, number).unwrap_or_else(|| value.to_string()),
        _ => value.to_string(),
    };
    printable::line(&people::cut(&text, LONGEST)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::fields;
    use serde_json::json;

    #[test]
    fn a_field_is_shown_by_its_values() {
        let before = json!({"limits": {"memory_bytes": 67_108_864}, "command": ["a", "b"], "user": "root",
            "env": {"A": "1"}, "files": [{"path": "/x", "digest": "a".repeat(64)}], "needs": [{"instance": "db"}]});
        let after = json!({"limits": {"memory_bytes": 134_217_728, "cpus_milli": 1500}, "command": ["a"],
            "env": {"A": "2"}, "files": [{"path": "/x", "digest": "b".repeat(64)}, {"path": "/y", "digest": "c"}]});
        let shown = fields(&before, &after, &|path| path.starts_with("env."));
        assert_eq!(
            shown,
            [
                "command a b -> a",
                "env.A changes",
                "files./x has new content",
                "files./y is new",
                "cpus none -> 1.5",
                "memory 64M -> 128M",
                "needs.db is removed",
                "user root -> none",
            ]
        );
    }
}
