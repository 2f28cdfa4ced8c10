//! Hosts and instances of a stack in the formats of Ansible, Prometheus and Checkmk. Pure.

use common::document;
use common::stack::resolved::{InstanceAt, NicAt};
use common::stack::{Resolved, Stack};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A host or an instance, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Entry {
    /// `lsx.ct.inventory/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// Whether it is a host or an instance.
    pub kind: EntryKind,
    /// Its name.
    pub name: String,
    /// Its name in DNS.
    pub fqdn: String,
    /// The address at which it is reached.
    pub address: Ipv4Addr,
    /// The network of that address; absent for a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The host that runs the instance; for a host, its own name.
    pub host: String,
    /// The host is marked offline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// Of an instance: its key in the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of an instance: its image, by its name in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Of an instance: its addresses by network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// Of a host: its ssh destination, `[user@]host[:port]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Of a host: file of the private key for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EntryKind {
    /// A machine.
    Host,
    /// An instance on one.
    Instance,
}

/// All hosts and instances of a stack, hosts first; an instance with its address on the monitoring network, else with its first.
pub(crate) fn entries(stack: &Stack, resolved: &Resolved) -> Vec<Entry> {
    let entry = |kind, name: &str, host: &str| Entry {
        schema: document::schema("ct", "inventory"),
        stack: resolved.stack.clone(),
        kind,
        name: name.to_owned(),
        fqdn: name.to_owned(),
        address: Ipv4Addr::UNSPECIFIED,
        network: None,
        host: host.to_owned(),
        offline: resolved.hosts.iter().any(|h| h.name == host && h.offline),
        of: None,
        image: None,
        addresses: BTreeMap::new(),
        ssh: None,
        key: None,
    };
    let host = |h: &common::stack::resolved::HostAt| Entry {
        fqdn: h.fqdn.clone(),
        address: h.address,
        ssh: Some(h.ssh.clone()),
        key: h.key.clone(),
        ..entry(EntryKind::Host, &h.name, &h.name)
    };
    let wanted = stack.monitoring.as_ref().and_then(|m| m.network.as_deref());
    let instance = |at: &InstanceAt| {
        let asked = |nic: &&NicAt| Some(nic.network.as_str()) == wanted;
        let nic = at.nics.iter().find(asked).or_else(|| at.nics.first())?;
        let address = nic.address.addr();
        let known = resolved.names.iter().find(|name| name.address == address);
        Some(Entry {
            fqdn: known.map_or_else(|| at.name.clone(), |name| name.name.clone()),
            address,
            network: Some(nic.network.clone()),
            of: Some(at.of.clone()),
            image: stack.instances.get(&at.of).and_then(|i| i.image.clone()),
            addresses: at.nics.iter().map(|nic| (nic.network.clone(), nic.address.addr())).collect(),
            ..entry(EntryKind::Instance, &at.name, &at.host)
        })
    };
    let instances = resolved.instances.iter().filter_map(instance);
    resolved.hosts.iter().map(host).chain(instances).collect()
}

/// An Ansible inventory, as a script prints it for `--list`, with all variables in `_meta`.
pub(crate) fn ansible(entries: &[Entry]) -> Value {
    let (mut groups, mut vars): (BTreeMap<String, Vec<String>>, Map<String, Value>) = Default::default();
    let taken = |name: &str| entries.iter().any(|e| e.kind == EntryKind::Instance && e.name == name);
    for entry in entries {
        let host = entry.kind == EntryKind::Host;
        let name = if host && taken(&entry.name) { &entry.fqdn } else { &entry.name };
        let mut join = |group: String| groups.entry(group).or_default().push(name.clone());
        match entry.kind {
            EntryKind::Host => join("lsx_hosts".to_owned()),
            EntryKind::Instance => {
                join("lsx_instances".to_owned());
                join(group("on", &entry.host));
                entry.of.iter().for_each(|of| join(group("instance", of)));
                entry.addresses.keys().for_each(|network| join(group("network", network)));
            }
        }
        vars.insert(name.clone(), hostvars(entry));
    }
    let children: Vec<&String> = groups.keys().collect();
    let mut all = json!({"_meta": {"hostvars": vars}, "all": {"children": children}});
    for (group, hosts) in &groups {
        all[group] = json!({"hosts": hosts});
    }
    all
}

fn hostvars(entry: &Entry) -> Value {
    let mut vars = json!({"ansible_host": entry.address, "lsx_stack": entry.stack, "lsx_kind": entry.kind,
        "lsx_fqdn": entry.fqdn, "lsx_host": entry.host});
    let mut also = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            vars[key] = value;
        }
    };
    also("lsx_image", entry.image.as_ref().map(|image| json!(image)));
    also("lsx_addresses", (!entry.addresses.is_empty()).then(|| json!(entry.addresses)));
    also("lsx_offline", entry.offline.then(|| json!(true)));
    if let Some(ssh) = &entry.ssh {
        let (user, place) = ssh.rsplit_once('@').map_or((None, ssh.as_str()), |(user, at)| (Some(user), at));
        let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
        also("ansible_host", Some(json!(host)));
        also("ansible_user", user.map(|user| json!(user)));
        also("ansible_port", port.and_then(|port| port.parse::<u16>().ok()).map(|port| json!(port)));
        also("ansible_ssh_private_key_file", entry.key.as_ref().map(|key| json!(key)));
    }
    vars
}

/// A valid name of an Ansible group, without hyphens.
fn group(kind: &str, name: &str) -> String {
    format!("{kind}_{}", name.replace('-', "_"))
}

/// Targets for Prometheus' `file_sd_configs`, one per entry, with labels.
pub(crate) fn prometheus(entries: &[Entry], port: u16) -> Value {
    let target = |entry: &Entry| {
        let mut labels = json!({"instance": entry.name, "lsx_stack": entry.stack, "lsx_kind": entry.kind,
            "lsx_host": entry.host, "lsx_fqdn": entry.fqdn});
        if let (Some(network), Some(of)) = (&entry.network, &entry.of) {
            (labels["lsx_network"], labels["lsx_of"]) = (json!(network), json!(of));
        }
        json!({"targets": [format!("{}:{port}", entry.address)], "labels": labels})
    };
    entries.iter().map(target).collect()
}

/// The body of a request to Checkmk's REST API that creates hosts (`host_config/actions/bulk-create`).
pub(crate) fn checkmk(entries: &[Entry], site: Option<&str>) -> Value {
    let host = |entry: &Entry| {
        let mut attributes = json!({"ipaddress": entry.address, "alias": entry.name,
            "labels": {"lsx_stack": entry.stack, "lsx_kind": entry.kind, "lsx_host": entry.host}});
        if let Some(site) = site {
            attributes["site"] = json!(site);
        }
        json!({"host_name": entry.fqdn, "folder": "/", "attributes": attributes})
    };
    json!({"entries": entries.iter().map(host).collect::<Vec<_>>()})
}

/// The file `hosts.mk` of a folder of OMD, in LStacker's format, with addresses. Names and addresses need no escapes.
pub(crate) fn hosts_mk(entries: &[Entry]) -> String {
    let lines = |line: &dyn Fn(&Entry) -> String| entries.iter().map(line).collect::<String>();
    let tags = "cmk-agent|prod|lan|tcp|wato|/";
    format!(
        "# lsx-ct\nall_hosts += [\n{}]\nipaddresses.update({{\n{}}})\nhost_attributes.update({{\n{}}})\n",
        lines(&|e| format!("  \"{}|{tags}\" + FOLDER_PATH + \"/\",\n", e.fqdn)),
        lines(&|e| format!("  '{}': '{}',\n", e.fqdn, e.address)),
        lines(&|e| format!("  '{}': {{'ipaddress': '{}'}},\n", e.fqdn, e.address)),
    )
}
