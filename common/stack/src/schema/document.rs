//! The schema of the whole stack.

use super::text::{
    Address, Anything, Cidr, Domain, Labelled, Many, Name, Named, Port, SchemaName, SecretText, Short, Word,
};
use super::transform::table;
use crate::model::{Allow, Defaults, Host, Image, Instance, Monitoring, Network, RegistryAccess};
use crate::resolved::Resolved;
use crate::section::{Balance, Dns, Meta, Pki, Snap, Store};
use schemars::{JsonSchema, Schema};
use std::collections::BTreeMap;

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
    /// How registries are reached, by their hosts.
    registries: Option<BTreeMap<String, Short<Many<Word>, RegistryAccess>>>,
    /// Defaults for all instances.
    defaults: Option<Defaults>,
    /// The instances, by name.
    instances: Option<Named<Instance>>,
    /// Load balancers, by name.
    balance: Option<Named<Balance>>,
    /// Where secrets are read, by name: `file:PATH`, `yaml:FILE#KEY.KEY`, `age:FILE` or `derive`.
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
    environments: Option<Named<Option<BTreeMap<String, Anything>>>>,
    /// Results of the tools; ignored as input.
    status: Option<Anything>,
    /// Derived values; those of this stack are kept.
    resolved: Option<Resolved>,
}

/// The JSON Schema of the stack document (draft 2020-12).
pub fn schema() -> Schema {
    schemars::schema_for!(Document)
}
