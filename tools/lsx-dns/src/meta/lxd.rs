//! The shape of LXD's own service for instances, which LXD has at /dev/lxd/sock. Pure.

use super::own::Own;
use serde_json::{Value, json};
use std::sync::Arc;

/// The version of its interface, which is the first part of its paths.
pub(super) const VERSION: &str = "1.0";
/// Names of settings; the second of each pair is the older one.
const USER: [&str; 2] = ["cloud-init.user-data", "user.user-data"];
const VENDOR: [&str; 2] = ["cloud-init.vendor-data", "user.vendor-data"];

/// What is at a path below the version; none if there is nothing.
pub(super) fn get(own: &Own<'_>, parts: &[&str]) -> Option<Arc<[u8]>> {
    let machine = &own.told.machine;
    let text = |value: Value| format!("{value}\n").into_bytes().into();
    match parts {
        [] => Some(text(json!({
            "api_version": VERSION, "instance_type": "container", "location": machine.host, "state": "Started"
        }))),
        ["meta-data"] => {
            let told = format!("instance-id: {}\nlocal-hostname: {}\n", machine.id, machine.hostname);
            Some(told.into_bytes().into())
        }
        ["config"] => {
            let user = own.told.user.iter().flat_map(|_| USER);
            let all = user.chain((!own.vendor.is_empty()).then_some(VENDOR).into_iter().flatten());
            Some(text(all.map(|key| format!("/{VERSION}/config/{key}")).collect()))
        }
        ["config", key] if USER.contains(key) => own.told.user.clone(),
        ["config", key] if VENDOR.contains(key) => {
            Some(own.vendor).filter(|vendor| !vendor.is_empty()).cloned()
        }
        ["devices"] => {
            let one = |at: &crate::model::Interface| {
                let value = json!({"type": "nic", "name": at.name, "hwaddr": at.mac, "ipv4.address": at.address.addr()});
                (at.name.clone(), value)
            };
            Some(text(Value::Object(machine.interfaces.iter().map(one).collect())))
        }
        _ => None,
    }
}
