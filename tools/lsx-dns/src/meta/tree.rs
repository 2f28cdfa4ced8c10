//! The shape of EC2: versions, and below each the tree `meta-data`, user data, and the document of identity. Pure.

use super::own::Own;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The versions that are served; all are the same.
const VERSIONS: [&str; 7] =
    ["2009-04-04", "2016-09-02", "2018-09-24", "2019-10-01", "2020-10-27", "2021-03-23", "latest"];

/// What is at a path; none if there is nothing.
pub(super) fn get(own: &Own<'_>, parts: &[&str]) -> Option<Arc<[u8]>> {
    let Some((version, rest)) = parts.split_first() else { return Some(lines(VERSIONS)) };
    if !VERSIONS.contains(version) {
        return None;
    }
    match rest {
        [] => {
            let user = own.told.user.is_some().then_some("user-data");
            Some(lines(["dynamic/", "meta-data/"].into_iter().chain(user)))
        }
        ["user-data"] => own.told.user.clone(),
        _ => below(&leaves(own), rest),
    }
}

fn lines<'t>(all: impl IntoIterator<Item = &'t str>) -> Arc<[u8]> {
    all.into_iter().collect::<Vec<_>>().join("\n").into_bytes().into()
}

/// A value, or the names below a path.
fn below(leaves: &BTreeMap<String, String>, parts: &[&str]) -> Option<Arc<[u8]>> {
    let path = parts.join("/");
    if let Some(value) = leaves.get(&path) {
        return Some(value.clone().into_bytes().into());
    }
    if parts == ["meta-data", "public-keys"] {
        // Each key has a name here; only its number is part of a path.
        let keys = leaves.keys().filter_map(|leaf| leaf.strip_prefix("meta-data/public-keys/"));
        let named: Vec<String> =
            keys.filter_map(|key| Some(format!("{0}=key-{0}", key.split('/').next()?))).collect();
        return (!named.is_empty()).then(|| lines(named.iter().map(String::as_str)));
    }
    let path = path + "/";
    let names = leaves.keys().filter_map(|leaf| leaf.strip_prefix(path.as_str()));
    let names: BTreeSet<&str> =
        names.map(|name| name.find('/').map_or(name, |slash| &name[..=slash])).collect();
    (!names.is_empty()).then(|| lines(names))
}

/// Every value by its path below a version.
fn leaves(own: &Own<'_>) -> BTreeMap<String, String> {
    let (machine, interface) = (&own.told.machine, own.interface);
    let address = interface.address.addr().to_string();
    let image = machine.image.clone().unwrap_or_default();
    let identity = json!({
        "availabilityZone": machine.host, "imageId": image, "instanceId": machine.id, "instanceType": own.driver(),
        "privateIp": address, "region": own.stack, "version": "2017-09-30"
    });
    let mut all = BTreeMap::new();
    let mut add = |path: &str, value: String| _ = all.insert(path.to_owned(), value);
    add("dynamic/instance-identity/document", format!("{identity:#}"));
    for (path, value) in [
        ("ami-id", image),
        ("ami-launch-index", own.index().to_string()),
        ("hostname", interface.fqdn.clone()),
        ("instance-id", machine.id.clone()),
        ("instance-type", own.driver()),
        ("local-hostname", interface.fqdn.clone()),
        ("local-ipv4", address),
        ("mac", interface.mac.clone()),
        ("placement/availability-zone", machine.host.clone()),
        ("placement/region", own.stack.to_owned()),
    ] {
        add(&format!("meta-data/{path}"), value);
    }
    for (i, one) in machine.interfaces.iter().enumerate() {
        for (path, value) in [
            ("device-number", i.to_string()),
            ("local-hostname", one.fqdn.clone()),
            ("local-ipv4s", one.address.addr().to_string()),
            ("mac", one.mac.clone()),
            ("subnet-id", one.network.clone()),
            ("subnet-ipv4-cidr-block", one.address.trunc().to_string()),
        ] {
            add(&format!("meta-data/network/interfaces/macs/{}/{path}", one.mac), value);
        }
    }
    for (i, key) in own.told.keys.iter().enumerate() {
        add(&format!("meta-data/public-keys/{i}/openssh-key"), key.clone());
    }
    all
}
