//! What the schema of a type says beside its fields.

use crate::value::RLIMITS;
use schemars::Schema;
use serde_json::{Value, json};

/// Keys beginning with `x-` are ignored in any map with known keys.
pub(crate) fn table(schema: &mut Schema) {
    schema.insert("patternProperties".to_owned(), json!({ "^x-": true }));
}

/// Limits of setrlimit(2), each under its own name.
pub(crate) fn rlimits(schema: &mut Schema) {
    table(schema);
    let limit = json!({
        "description": "A limit of setrlimit(2): `1024`, `64M`, `unlimited`, or `SOFT:HARD`.",
        "anyOf": [
            { "type": "string", "pattern": "^([0-9]+[KMGT]?|unlimited)(:([0-9]+[KMGT]?|unlimited))?$" },
            { "type": "integer", "minimum": 0 }
        ]
    });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(RLIMITS.map(|name| (name.to_owned(), limit.clone())));
    }
}

/// Exactly one probe.
pub(crate) fn one_probe(schema: &mut Schema) {
    table(schema);
    let one = |key: &str| json!({ "required": [key] });
    schema.insert(
        "oneOf".to_owned(),
        Value::Array(["tcp", "http", "https", "banner", "command"].map(one).to_vec()),
    );
    let only = json!({ "ca": ["https"], "server_name": ["https"] });
    schema.insert("dependentRequired".to_owned(), only);
}

/// The required keys of each type of network.
pub(crate) fn by_type(schema: &mut Schema) {
    table(schema);
    let when = |kind: &str, needs: &[&str]| {
        json!({
            "if": { "properties": { "type": { "const": kind } }, "required": ["type"] },
            "then": { "required": needs }
        })
    };
    let overlay = json!({
        "if": { "properties": { "type": { "enum": ["overlay", null] } } },
        "then": { "required": ["cidr"] }
    });
    let all = vec![when("macvlan", &["parent"]), when("vlan", &["parent", "id"]), overlay];
    schema.insert("allOf".to_owned(), Value::Array(all));
}
