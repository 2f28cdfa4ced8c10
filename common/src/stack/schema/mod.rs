//! The JSON Schema of a stack, for editors. `read` also refuses everything that it refuses, with better messages.

#[cfg(test)]
mod tests;
mod text;

pub(crate) use text::*;

use super::model::{Allow, Defaults, Host, Image, Instance, Mirrored, Monitoring, Network};
use super::resolved::Resolved;
use super::section::{Balance, Dns, Meta, Pki, Snap, Store};
use super::value::RLIMITS;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// A stack: the only document that a person writes.
#[derive(JsonSchema)]
#[schemars(rename = "lsx.stack/1", deny_unknown_fields, transform = table)]
#[expect(dead_code, reason = "its fields exist for the schema alone; the decoder builds the model")]
struct Document {
    /// Name and version of this schema.
    schema: Option<SchemaName>,
    /// Prefix and mark of everything lsx creates.
    stack: Name,
    /// DNS suffix of networks and hosts; default: `internal`.
    domain: Option<Domain>,
    /// UDP port of the tunnels; default: derived.
    tunnel_port: Option<Port>,
    /// The hosts, by name; an address alone is enough.
    hosts: Option<Named<Short<Address, Host>>>,
    /// The networks, by name; a CIDR alone is enough.
    networks: Option<Named<Short<Cidr, Network>>>,
    /// Permissions.
    allow: Option<Vec<Allow>>,
    /// Names for the same image in every driver's form.
    images: Option<Labelled<Image>>,
    /// Mirrors, by the host of the registry.
    registries: Option<std::collections::BTreeMap<String, Short<Many<Word>, Mirrored>>>,
    /// Defaults for all instances.
    defaults: Option<Defaults>,
    /// The instances, by name.
    instances: Option<Named<Instance>>,
    /// Load balancers, by name.
    balance: Option<Named<Balance>>,
    /// The files of secrets, by name: `file:PATH`.
    secrets: Option<Labelled<SecretText>>,
    /// Monitoring of the stack.
    monitoring: Option<Monitoring>,
    /// DNS and DHCP: lsx-dns.
    dns: Option<Dns>,
    /// The metadata service of instances: lsx-dns.
    meta: Option<Meta>,
    /// The certificate authority: lsx-pki.
    pki: Option<Pki>,
    /// Volumes, disks and objects: lsx-store.
    store: Option<Store>,
    /// Snapshots: lsx-snap.
    snap: Option<Snap>,
    /// Several stacks in one document: the differences of each, by keys as in `--set`.
    environments: Option<Named<Option<std::collections::BTreeMap<String, Anything>>>>,
    /// Results of the tools; ignored as input.
    status: Option<Anything>,
    /// Derived values; those of this stack are kept.
    resolved: Option<Resolved>,
}

/// The JSON Schema of the stack document (draft 2020-12).
pub fn schema() -> Schema {
    schemars::schema_for!(Document)
}

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
