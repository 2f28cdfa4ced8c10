//! The top level of the document: its sections.

use super::at::{At, Path, Table};
use super::log::Log;
use super::{hosts, instances, networks, outside, sections, words};
use crate::model::Stack;
use crate::section::{balance, dns, meta, pki, snap, store};
use crate::tree::Node;
use crate::value::{Wrong, domain, name, port};
use std::collections::BTreeMap;

/// Output of tools, kept unchanged.
const CARRIED: [&str; 1] = ["status"];

/// Builds the model, and logs every mistake. Invalid entries are left out of the model.
pub(crate) fn stack(root: &Node<'_>, log: &Log) -> Option<Stack> {
    let at = At { node: root, path: Path::Root, log, key: root.at };
    let table = at.table()?;
    table.get("schema", |at| at.parse(schema));
    let stack = Stack {
        name: table
            .need("stack", |at| at.parse(|text| name(text).map(|()| text.to_owned())))
            .unwrap_or_default(),
        domain: table.get("domain", |at| at.parse(domain)).unwrap_or_else(|| "internal".to_owned()),
        tunnel_port: table.get("tunnel_port", |at| at.parse(port)),
        hosts: table.get("hosts", |at| at.named(hosts::host)).unwrap_or_default(),
        networks: table.get("networks", |at| at.named(networks::network)).unwrap_or_default(),
        allow: table.get("allow", |at| at.list(networks::allow)).unwrap_or_default(),
        images: table.get("images", |at| at.entries(words::label, sections::image)).unwrap_or_default(),
        registries: table
            .get("registries", |at| at.entries(outside::registry_name, outside::registry))
            .unwrap_or_default(),
        defaults: table.get("defaults", sections::defaults).unwrap_or_default(),
        instances: table.get("instances", |at| at.named(instances::instance)).unwrap_or_default(),
        balance: table.get("balance", |at| at.named(balance::decode::balance)).unwrap_or_default(),
        secrets: table.get("secrets", |at| at.entries(words::label, sections::secret)).unwrap_or_default(),
        monitoring: table.get("monitoring", outside::monitoring),
        dns: table.get("dns", dns::decode::dns),
        meta: table.get("meta", meta::decode::meta),
        pki: table.get("pki", pki::decode::pki),
        snap: table.get("snap", snap::decode::snap),
        store: table.get("store", store::decode::store),
        carried: carried(&table),
        resolved: None,
    };
    // The lock is read when the name is known: that of another stack is ignored.
    table.allow("resolved");
    table.finish();
    Some(stack)
}

fn schema(text: &str) -> Result<(), Wrong> {
    match text.strip_prefix("lsx.stack/") {
        Some("1") => Ok(()),
        Some(_) => Err(Wrong::new(
            format!("`{text}` is the schema of a newer lsx"),
            "this version reads lsx.stack/1",
        )),
        None => Err(Wrong::new(
            format!("`{text}` is not the schema of a stack"),
            "write lsx.stack/1, or leave it out",
        )),
    }
}

fn carried(table: &Table<'_, '_>) -> BTreeMap<String, serde_json::Value> {
    let json = |key| table.get(key, |at| Some(at.node.json())).map(|value| (String::from(key), value));
    CARRIED.into_iter().filter_map(json).collect()
}
