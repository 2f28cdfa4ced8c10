//! The canonical document: long forms, sorted maps, no nulls, `schema` first. It reads back as the same stack.

use super::{Allow, Defaults, Host, Image, Instance, Monitoring, Network, RegistryAccess, Stack};
use crate::resolved::Resolved;
use crate::section::{Balance, Dns, Meta, Pki, Snap, Store};
use crate::value::PortSpec;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the document's schema.
pub(crate) const SCHEMA: &str = "lsx.stack/1";

/// The stack as a document, in the order of its keys.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    stack: &'a str,
    domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel_port: Option<u16>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hosts: &'a BTreeMap<String, Host>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: &'a BTreeMap<String, Network>,
    #[serde(skip_serializing_if = "<[Allow]>::is_empty")]
    allow: &'a [Allow],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    images: &'a BTreeMap<String, Image>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    registries: &'a BTreeMap<String, RegistryAccess>,
    #[serde(skip_serializing_if = "no_defaults")]
    defaults: &'a Defaults,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    instances: &'a BTreeMap<String, Instance>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    balance: &'a BTreeMap<String, Balance>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitoring: Option<&'a Monitoring>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<&'a Dns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Meta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pki: Option<&'a Pki>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snap: Option<&'a Snap>,
    #[serde(flatten)]
    carried: &'a BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'a Store>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<&'a Resolved>,
}

fn no_defaults(defaults: &&Defaults) -> bool {
    **defaults == Defaults::default()
}

fn document<'a>(stack: &'a Stack, resolved: Option<&'a Resolved>) -> Document<'a> {
    Document {
        schema: SCHEMA,
        stack: &stack.name,
        domain: &stack.domain,
        tunnel_port: stack.tunnel_port,
        hosts: &stack.hosts,
        networks: &stack.networks,
        allow: &stack.allow,
        images: &stack.images,
        registries: &stack.registries,
        defaults: &stack.defaults,
        instances: &stack.instances,
        balance: &stack.balance,
        secrets: &stack.secrets,
        monitoring: stack.monitoring.as_ref(),
        dns: stack.dns.as_ref(),
        meta: stack.meta.as_ref(),
        pki: stack.pki.as_ref(),
        snap: stack.snap.as_ref(),
        carried: &stack.carried,
        store: stack.store.as_ref(),
        resolved,
    }
}

/// The output of `resolve`: the canonical stack with `resolved`. Read again, it keeps its values.
pub fn resolved_document<'a>(stack: &'a Stack, resolved: &'a Resolved) -> impl Serialize + 'a {
    document(stack, Some(resolved))
}

impl Serialize for Stack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        document(self, self.resolved.as_deref()).serialize(serializer)
    }
}

pub(super) fn texts<S: Serializer>(ports: &[PortSpec], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ports.iter().map(ToString::to_string))
}

pub(super) fn maybe_texts<S: Serializer>(
    ports: &Option<Vec<PortSpec>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    texts(ports.as_deref().unwrap_or_default(), serializer)
}
