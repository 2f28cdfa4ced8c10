//! Servers become hosts, networks become overlays.

use super::settings::Access;
use super::{Import, named, ours};
use crate::decode::{At, hint, overlay, string};
use crate::model::{Host, Network};
use crate::value::{Parsed, Wrong, address, domain};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// A network for containers: its first two octets.
#[derive(Clone, Copy)]
pub(super) struct Net(pub(super) u8, pub(super) u8);

/// A server for containers.
pub(super) struct Server {
    /// Its name in the file, which is also the key of its section.
    pub(super) key: String,
    /// The host's name.
    pub(super) host: String,
    /// Third octet of every address on it.
    pub(super) segment: u8,
}

impl Import<'_> {
    pub(super) fn servers(&mut self, at: At<'_, '_>, access: &Access) -> Option<()> {
        let table = at.table()?;
        for key in table.need("names", |list| defined(list, at, "server")).unwrap_or_default() {
            let Some(own) = at.child(&key) else { continue };
            if let Some(server) = self.server(own, &key, access) {
                self.servers.push(server);
            }
        }
        Some(())
    }

    fn server(&mut self, at: At<'_, '_>, key: &str, access: &Access) -> Option<Server> {
        let table = at.table()?;
        table.allow("type");
        let local = table.need("name", string).is_some_and(|name| name == "local");
        let ip = table.need("ip", |at| at.parse(address));
        let segment = table.need("ip_segment", octet);
        table.finish();
        let host = ours(key);
        let (address, segment) = (ip?, segment?);
        let ssh = access.user.as_ref().filter(|_| !local).map(|user| format!("{user}@{address}"));
        let key_file = access.key.clone().filter(|_| !local);
        self.origins.add(format!("hosts.{host}"), at);
        let made = Host {
            address,
            ssh,
            key: key_file,
            uplink: None,
            mtu: None,
            firewall: None,
            offline: false,
            local,
        };
        self.stack.hosts.insert(host.clone(), made);
        Some(Server { key: key.to_owned(), host, segment })
    }

    pub(super) fn networks(&mut self, at: At<'_, '_>) -> Option<()> {
        let table = at.table()?;
        let names = table.need("names", |list| defined(list, at, "network")).unwrap_or_default();
        let gateway = table.need("master_switch_server", |at| {
            let name = at.text()?;
            let found =
                self.servers.iter().find(|server| server.key == name).map(|server| server.host.clone());
            if found.is_none() {
                let hint = hint(name, self.servers.iter().map(|server| server.key.as_str()));
                at.mistake("lstacker.server", format!("there is no server `{name}`"), hint);
            }
            found
        });
        for key in names {
            if let Some(own) = at.child(&key) {
                self.network(own, &key, gateway.as_deref());
            }
        }
        Some(())
    }

    fn network(&mut self, at: At<'_, '_>, key: &str, gateway: Option<&str>) -> Option<()> {
        let table = at.table()?;
        let net = table.need("network", |at| at.parse(two_octets));
        let domain = table.need("domain", |at| at.parse(domain));
        table.finish();
        let (net, domain) = (net?, domain?);
        self.origins.add(format!("networks.{}", ours(key)), at);
        self.networks.insert(key.to_owned(), net);
        self.stack.networks.insert(
            ours(key),
            Network {
                cidr: Ipv4Net::new(Ipv4Addr::new(net.0, net.1, 0, 0), 16).ok(),
                gateway: gateway.map(str::to_owned),
                domain: Some(domain),
                // The original used GRE over Open vSwitch; VXLAN over a bridge is equivalent for instances.
                ..overlay()
            },
        );
        Some(())
    }
}

/// The names of a list that are defined in the section; the others are mistakes.
fn defined(list: At<'_, '_>, section: At<'_, '_>, what: &str) -> Option<Vec<String>> {
    list.many(|item| {
        let name = string(item).filter(|_| named(item).is_some())?;
        if section.child(&name).is_none() {
            item.mistake(
                &format!("lstacker.{what}"),
                format!("the {what} `{name}` is listed but not defined"),
                String::new(),
            );
            return None;
        }
        Some(name)
    })
}

/// The first two octets: `10.100` is text, although it looks like a number.
fn two_octets(text: &str) -> Parsed<Net> {
    let wrong =
        || Wrong::new(format!("`{text}` is not the first half of a network"), "two octets, like 10.100");
    let (a, b) = text.split_once('.').ok_or_else(wrong)?;
    Ok(Net(a.parse().map_err(|_| wrong())?, b.parse().map_err(|_| wrong())?))
}

/// A number from 0 to 255.
pub(super) fn octet(at: At<'_, '_>) -> Option<u8> {
    at.parse(|text| {
        text.parse()
            .map_err(|_| Wrong::new(format!("`{text}` is not an octet of an address"), "from 0 to 255"))
    })
}
