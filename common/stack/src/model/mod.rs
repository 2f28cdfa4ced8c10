//! The stack as its author wrote it, with all short forms expanded. Serialising it gives the canonical document.

mod given;
mod image;
mod instance;
mod network;
mod outside;
mod write;

pub(crate) use given::SecretValue;
pub use given::{Granted, Limits, Mount, RecipeValue, Tmpfs};
pub use image::Image;
pub use instance::{File, Instance, Nic, PortMap, Ready};
pub use network::Network;
pub use outside::{Monitoring, Proxy, RegistryAccess};
pub use write::resolved_document;

use super::resolved::Resolved;
use super::schema::{
    Address, Device, Int, Many, MaybeWord, Pairs, PortText, SelectText, Short, Ssh, Variables, Word, table,
};
use super::section::{Balance, Dns, Meta, Pki, Snap, Store, Volume};
use super::value::{Driver, PortSpec, Restart, Select};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A whole stack. Maps are sorted by name, since their order has no meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// Prefix and mark of everything lsx creates.
    pub name: String,
    /// DNS suffix of networks and hosts.
    pub domain: String,
    /// UDP port of the tunnels; default: derived.
    pub tunnel_port: Option<u16>,
    /// The hosts, by name.
    pub hosts: BTreeMap<String, Host>,
    /// The networks, by name.
    pub networks: BTreeMap<String, Network>,
    /// Permissions, in the order written; the order has no meaning.
    pub allow: Vec<Allow>,
    /// Names for the same image in every driver's form.
    pub images: BTreeMap<String, Image>,
    /// How registries are reached, by their hosts.
    pub registries: BTreeMap<String, RegistryAccess>,
    /// Defaults for all instances.
    pub defaults: Defaults,
    /// The instances, by name.
    pub instances: BTreeMap<String, Instance>,
    /// Load balancers, by name.
    pub balance: BTreeMap<String, Balance>,
    /// Where secrets are read, by name: `file:PATH`, `yaml:FILE#KEY.KEY`, `age:FILE` or `derive`. The document does not
    /// contain their values.
    pub secrets: BTreeMap<String, String>,
    /// Monitoring of the stack.
    pub monitoring: Option<Monitoring>,
    /// DNS and DHCP: lsx-dns.
    pub dns: Option<Dns>,
    /// The metadata service of instances: lsx-dns.
    pub meta: Option<Meta>,
    /// The certificate authority: lsx-pki.
    pub pki: Option<Pki>,
    /// Snapshots: lsx-snap.
    pub snap: Option<Snap>,
    /// Volumes, disks and objects: lsx-store.
    pub store: Option<Store>,
    /// `status`, the output of tools, kept unchanged.
    pub carried: BTreeMap<String, serde_json::Value>,
    /// The lock: values derived earlier for this stack, kept where they are still valid.
    pub resolved: Option<Box<Resolved>>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Host {
    /// Underlay address.
    #[schemars(with = "Address")]
    pub address: Ipv4Addr,
    /// Destination for ssh, `[user@]host[:port]`; default: `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Ssh>")]
    pub ssh: Option<String>,
    /// File of the private key for ssh; default: chosen by ssh.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub key: Option<String>,
    /// The interface towards the world.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Device>")]
    pub uplink: Option<String>,
    /// MTU of the underlay network in bytes; default: 1500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<626, 65535>>")]
    pub mtu: Option<u32>,
    /// Ports of the host itself that stay open; default: its input is not filtered.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write::maybe_texts")]
    #[schemars(with = "Option<Many<PortText>>")]
    pub firewall: Option<Vec<PortSpec>>,
    /// Keep its values, but do not contact it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub offline: bool,
    /// This machine, without ssh.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub local: bool,
}

/// A permission to open connections; replies and ICMP echo are included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Allow {
    /// Who opens connections.
    #[schemars(with = "Many<SelectText>")]
    pub from: Vec<Select>,
    /// The destination.
    #[schemars(with = "Many<SelectText>")]
    pub to: Vec<Select>,
    /// Ports; default: every protocol and port.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "write::texts")]
    #[schemars(with = "Option<Many<PortText>>")]
    pub ports: Vec<PortSpec>,
}

/// Defaults for all instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Defaults {
    /// Host of instances without `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// Driver of instances without `driver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// When a stopped instance is restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Name servers of instances without `resolver`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub resolver: Vec<Ipv4Addr>,
    /// Files with public keys for ssh logins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub ssh_keys: Vec<String>,
    /// Environment of every instance; an instance's own variables take precedence.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Pairs>")]
    pub env: BTreeMap<String, String>,
    /// The web proxy of instances: in their environment, for logins and for package managers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Values for recipes, by the name of a variable: a text, or `{secret: NAME}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Variables<Short<MaybeWord, SecretValue>>>")]
    pub values: BTreeMap<String, RecipeValue>,
}

impl Stack {
    /// The settings of a volume in `store.volumes`.
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.store.as_ref()?.volumes.get(name)
    }

    /// The host that `store.volumes` names for a volume.
    pub fn volume_host(&self, volume: &str) -> Option<&str> {
        self.volume(volume)?.host.as_deref()
    }

    /// Owner and mode that `store.volumes` gives the folder of a volume.
    pub fn volume_owner(&self, volume: &str) -> (Option<String>, Option<u32>) {
        self.volume(volume).map_or((None, None), |volume| (volume.owner.clone(), volume.mode))
    }

    /// The host of the certificate authority: `pki.host`, the first gateway, or the only host.
    pub fn signer(&self) -> Option<&str> {
        let named = self.pki.as_ref().and_then(|pki| pki.host.as_deref());
        let first = || self.networks.values().filter_map(|network| network.gateway.as_deref()).min();
        let only = || self.hosts.keys().next().filter(|_| self.hosts.len() == 1).map(String::as_str);
        named.or_else(first).or_else(only)
    }

    /// The driver of an instance: its own, the default one, or oci.
    pub fn driver(&self, instance: &Instance) -> Driver {
        instance.driver.or(self.defaults.driver).unwrap_or_default()
    }

    /// When an instance is restarted: its own value, the default one, or always.
    pub fn restart(&self, instance: &Instance) -> Restart {
        instance.restart.or(self.defaults.restart).unwrap_or_default()
    }

    /// The proxy of an instance: that of `defaults`, unless the instance has `proxy: false`.
    pub fn proxy(&self, instance: &Instance) -> Option<&Proxy> {
        let proxy = self.defaults.proxy.as_ref().filter(|proxy| !proxy.is_empty());
        proxy.filter(|_| instance.proxy != Some(false))
    }

    /// The environment of an instance: the defaults, overridden by its own.
    pub fn env(&self, instance: &Instance) -> BTreeMap<String, String> {
        let mut env = self.proxy(instance).map(Proxy::env).unwrap_or_default();
        env.extend(self.defaults.env.clone());
        env.extend(instance.env.clone());
        env
    }

    /// Files with public keys for ssh logins: the instance's own, else the defaults'.
    pub fn ssh_keys<'s>(&'s self, instance: &'s Instance) -> &'s [String] {
        if instance.ssh_keys.is_empty() { &self.defaults.ssh_keys } else { &instance.ssh_keys }
    }

    /// The DNS suffix of a network: its own `domain`, else `<network>.<domain of the stack>`.
    pub fn network_domain(&self, name: &str) -> String {
        match self.networks.get(name).and_then(|network| network.domain.as_ref()) {
            Some(domain) => domain.clone(),
            None => format!("{name}.{}", self.domain),
        }
    }
}
