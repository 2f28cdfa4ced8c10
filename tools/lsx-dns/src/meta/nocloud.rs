//! The shape of cloud-init's NoCloud: four documents in a folder. Pure.

use super::own::Own;
use serde_json::{Value, json};
use std::sync::Arc;

/// What is at a path below `nocloud`; none if there is nothing.
pub(super) fn get(own: &Own<'_>, parts: &[&str]) -> Option<Arc<[u8]>> {
    let machine = &own.told.machine;
    // JSON is YAML.
    let text = |value: Value| format!("{value:#}\n").into_bytes().into();
    match parts {
        [] => Some(b"meta-data\nnetwork-config\nuser-data\nvendor-data"[..].into()),
        ["meta-data"] => Some(text(json!({
            "instance-id": machine.id, "local-hostname": machine.hostname, "public-keys": own.told.keys
        }))),
        ["network-config"] => Some(text(network(own))),
        // cloud-init takes no folder without it.
        ["user-data"] => Some(own.told.user.clone().unwrap_or_default()),
        ["vendor-data"] => Some(Arc::clone(own.vendor)),
        _ => None,
    }
}

/// The network as Netplan describes it.
fn network(own: &Own<'_>) -> Value {
    let mut ethernets = json!({});
    for one in &own.told.machine.interfaces {
        let mut ethernet = json!({
            "match": {"macaddress": one.mac}, "set-name": one.name, "addresses": [one.address], "mtu": one.mtu
        });
        if let Some(gateway) = one.gateway {
            ethernet["routes"] = json!([{"to": "0.0.0.0/0", "via": gateway}]);
        }
        if !one.resolver.is_empty() {
            ethernet["nameservers"] = json!({"addresses": one.resolver, "search": one.search});
        }
        ethernets[one.name.as_str()] = ethernet;
    }
    json!({"version": 2, "ethernets": ethernets})
}
