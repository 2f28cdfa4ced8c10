//! A server's section: containers become instances with addresses by LStacker's formula, port maps become ports.

use super::servers::{Server, octet};
use super::{Import, named, ours};
use crate::decode::{At, hint, string};
use crate::model::{Image, Instance, Nic, PortMap};
use crate::tree::Value;
use crate::value::Protocol;
use crate::value::{label, port};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The original's table: distribution, version, LXD image.
const IMAGES: [(&str, &str, &str); 4] = [
    ("ubuntu", "16.04", "ubuntu-daily:16.04"),
    ("ubuntu", "14.04", "ubuntu:14.04"),
    ("centos", "7", "images:centos/7/amd64"),
    ("centos", "6.5", "images:centos/6/amd64"),
];

impl Import<'_> {
    pub(super) fn containers(&mut self, at: At<'_, '_>, server: &Server) {
        if matches!(at.node.value, Value::Null) {
            return;
        }
        let Some(table) = at.table() else { return };
        // All keys of the section that something refers to.
        let mut used = BTreeSet::from(["hosts".to_owned(), "ports".to_owned()]);
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        table
            .get("hosts", |list| {
                list.many(|item| {
                    let (name, own) = (string(item)?, named(item)?);
                    let Some(key) = key_of(at, &name) else {
                        let known = at.node.entries().unwrap_or_default().iter().map(|entry| &*entry.key);
                        let hint = hint(
                            &name.replacen('-', "_", 1),
                            known.filter(|key| *key != "hosts" && *key != "ports"),
                        );
                        item.mistake(
                            "lstacker.container",
                            format!("`{name}` is listed but not defined"),
                            hint,
                        );
                        return None;
                    };
                    Some((name, own, key))
                })
            })
            .unwrap_or_default()
            .into_iter()
            .for_each(|(name, own, key)| {
                used.insert(key.clone());
                if let Some(found) = at.child(&key) {
                    self.container(found, server, &own);
                }
                keys.insert(name, own);
            });
        let ports = table.get("ports", |list| list.many(|item| self.port_key(at, item))).unwrap_or_default();
        for key in ports {
            if let Some(found) = at.child(&key) {
                self.port(found, server, &keys);
            }
            used.insert(key);
        }
        self.unused(at, &used);
    }

    fn port_key(&self, at: At<'_, '_>, item: At<'_, '_>) -> Option<String> {
        let key = string(item)?;
        if at.child(&key).is_none() {
            item.mistake(
                "lstacker.port",
                format!("the port map `{key}` is listed but not defined"),
                String::new(),
            );
            return None;
        }
        Some(key)
    }

    fn unused(&self, at: At<'_, '_>, used: &BTreeSet<String>) {
        for entry in at.node.entries().unwrap_or_default() {
            if let Some(own) = at.child(&entry.key).filter(|_| !used.contains(&*entry.key)) {
                let message = format!("`{}` is defined but not listed in `hosts` or `ports`", entry.key);
                own.telling(self.soft).key_mistake("lstacker.unused", message, "it is left out".to_owned());
            }
        }
    }

    fn container(&mut self, at: At<'_, '_>, server: &Server, own: &str) -> Option<()> {
        let table = at.table()?;
        let hostname = table.need("host", |at| at.parse(|text| label(&text.to_ascii_lowercase())));
        let suffix = table.need("ip_suffix", octet);
        let networks = table.need("networks", |at| at.many(|item| self.foot(item, server, suffix)));
        let wanted = table.at().node.get("networks").map_or(0, |node| match &node.value {
            Value::List(items) => items.len(),
            _ => 1,
        });
        let image = self.image(table.need("linux_distro", string), &table);
        let profiles = table.get("lxd_profiles", |at| at.many(string)).unwrap_or_default();
        let recipes = table.get("recipies", |at| at.many(string)).unwrap_or_default();
        let correct = table.get("recipes", |at| at.many(string)).unwrap_or_default();
        table.finish();
        let (hostname, networks, image) = (hostname?, networks?, image?);
        if networks.len() < wanted {
            return None;
        }
        if self.stack.instances.contains_key(own) {
            at.key_mistake(
                "lstacker.duplicate",
                format!("the name `{own}` is used by another container"),
                "names of containers must be unique on all servers".to_owned(),
            );
            return None;
        }
        self.origins.add(format!("instances.{own}"), at);
        self.stack.instances.insert(
            own.to_owned(),
            Instance {
                image: Some(image),
                host: Some(server.host.clone()),
                networks,
                hostname: Some(hostname).filter(|hostname| hostname != own),
                profiles,
                recipes: recipes.into_iter().chain(correct).collect(),
                ..Instance::default()
            },
        );
        Some(())
    }

    /// An interface with the address A.B.<ip_segment>.<ip_suffix>.
    fn foot(&self, item: At<'_, '_>, server: &Server, suffix: Option<u8>) -> Option<Nic> {
        let name = item.text()?;
        let Some(net) = self.networks.get(name) else {
            let hint = hint(name, self.networks.keys().map(String::as_str));
            item.mistake("lstacker.network", format!("there is no network `{name}`"), hint);
            return None;
        };
        let address = Ipv4Addr::new(net.0, net.1, server.segment, suffix?);
        let taken = match (server.segment, suffix?) {
            (0, 0) => Some("the network's own address".to_owned()),
            (0, 1) => Some("the gateway's address".to_owned()),
            (255, 255) => Some("the broadcast address".to_owned()),
            _ => self.owner(&ours(name), address).map(|owner| format!("also the address of `{owner}`")),
        };
        if let Some(taken) = taken {
            let hint = "give the container another ip_suffix".to_owned();
            item.mistake("lstacker.address", format!("{address} is {taken}"), hint);
            return None;
        }
        Some(Nic { name: ours(name), address: vec![address], default: false })
    }

    fn owner(&self, network: &str, address: Ipv4Addr) -> Option<&str> {
        let has = |nic: &Nic| nic.name == network && nic.address.contains(&address);
        self.stack
            .instances
            .iter()
            .find(|(_, instance)| instance.networks.iter().any(has))
            .map(|(name, _)| name.as_str())
    }

    /// The image of a distribution and version, also added to the stack's images.
    fn image(&mut self, distro: Option<String>, table: &crate::decode::Table<'_, '_>) -> Option<String> {
        let version = table.need("distro_version", |at| {
            let (distro, version) = (distro.as_deref()?, at.text()?);
            let found = IMAGES.iter().find(|(d, v, _)| *d == distro && *v == version);
            if found.is_none() {
                let known: Vec<String> = IMAGES.iter().map(|(d, v, _)| format!("{d} {v}")).collect();
                let message = format!("there is no image of {distro} {version}");
                at.mistake("lstacker.image", message, format!("known: {}", known.join(", ")));
            }
            found
        });
        let (distro, version, image) = *version?;
        let name = format!("{distro}-{version}");
        let made = Image { lxd: Some(image.to_owned()), ..Image::default() };
        self.stack.images.insert(name.clone(), made);
        Some(name)
    }

    fn port(&mut self, at: At<'_, '_>, server: &Server, keys: &BTreeMap<String, String>) -> Option<()> {
        let table = at.table()?;
        let container = table.need("container", |at| {
            let name = at.text()?;
            let found = self.called(name, server, keys);
            if found.is_none() {
                let message = format!("there is no container `{name}` on {}", server.key);
                at.mistake("lstacker.port", message, hint(name, keys.keys().map(String::as_str)));
            }
            found
        });
        let listen = table.need("source_port", |at| at.parse(port));
        let to = table.need("target_port", |at| at.parse(port));
        // lsx opens the port on the host's addresses, on every interface.
        table.allow("source_dev");
        table.finish();
        let (container, listen, to) = (container?, listen?, to?);
        let instance = self.stack.instances.get_mut(&container)?;
        let index = instance.ports.len();
        instance.ports.push(PortMap {
            listen,
            to,
            protocol: Protocol::Tcp,
            address: None,
            from: Vec::new(),
            network: None,
        });
        self.origins.add(format!("instances.{container}.ports.{index}"), at);
        Some(())
    }

    /// The instance that a port map names, by its name in the list or its `host`.
    fn called(&self, name: &str, server: &Server, keys: &BTreeMap<String, String>) -> Option<String> {
        let here =
            |own: &str| self.stack.instances.get(own).is_some_and(|i| i.host.as_ref() == Some(&server.host));
        let listed = keys.get(name).cloned().or_else(|| Some(ours(name))).filter(|own| here(own));
        listed.or_else(|| {
            let hostname = |own: &&String| {
                self.stack.instances.get(*own).is_some_and(|i| i.hostname.as_deref() == Some(name))
            };
            keys.values().find(hostname).cloned()
        })
    }
}

/// The key that defines a listed container: the first hyphen as an underscore, as the original looked for it, else the name
/// itself, else every hyphen as an underscore, which authors wrote, too.
fn key_of(at: At<'_, '_>, name: &str) -> Option<String> {
    [name.replacen('-', "_", 1), name.to_owned(), name.replace('-', "_")]
        .into_iter()
        .find(|key| at.child(key).is_some())
}
