//! Published ports and balancers: each port of a host is used once.

use super::check::Check;
use crate::resolve::{S3_PORT, tunnel_port};
use crate::section::{Balance, dns_servers};
use crate::value::{NetworkKind, Protocol};
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A port of a host, and who uses it on which of the host's addresses.
type Owners<'s> = HashMap<(&'s str, Protocol, u16), Vec<Owner<'s>>>;

/// The user of a port: its address, its name, and the balancer, which may share the port.
type Owner<'s> = (Option<Ipv4Addr>, String, Option<&'s Balance>);

/// A port to listen on.
struct PortUse<'s> {
    host: &'s str,
    protocol: Protocol,
    port: u16,
    address: Option<Ipv4Addr>,
    /// Its place in the document.
    path: String,
    /// Its user, for messages.
    owner: String,
    /// The balancer that uses it.
    balance: Option<&'s Balance>,
}

impl<'s> Check<'s> {
    pub(super) fn ports(&mut self) {
        for (name, instance) in &self.stack.instances {
            for (i, port) in instance.ports.iter().enumerate() {
                self.reachable(name, port.network.as_deref(), &format!("instances.{name}.ports.{i}"));
            }
        }
        self.balancers();
        self.owners();
    }

    /// The network used to reach an instance must be one of its own, and one with legs.
    pub(crate) fn reachable(&mut self, name: &str, wanted: Option<&str>, path: &str) {
        let Some(instance) = self.stack.instances.get(name) else { return };
        let nic = instance.networks.iter().find(|nic| wanted.is_none_or(|wanted| nic.name == wanted));
        let Some(nic) = nic else {
            if self.unread(&format!("instances.{name}.networks")) {
                return;
            }
            let message = match wanted {
                Some(wanted) => format!("instances.{name} is not on the network `{wanted}`"),
                None => format!("instances.{name} is on no network"),
            };
            return self.tell("stack.port.network", path.to_owned(), message, "");
        };
        let Some(network) = self.stack.networks.get(&nic.name) else { return };
        let message = match (network.kind, network.cidr) {
            (NetworkKind::Macvlan, _) => {
                format!("a host cannot reach its own macvlan `{}`", nic.name)
            }
            (NetworkKind::Vlan, None) => {
                format!("the addresses of `{}` are not known, since it has no cidr", nic.name)
            }
            _ => return,
        };
        self.tell("stack.port.network", path.to_owned(), message, "name another network of the instance");
    }

    fn owners(&mut self) {
        let mut owners: Owners<'s> = HashMap::new();
        self.reserved(&mut owners);
        for usage in self.uses() {
            let others = owners.entry((usage.host, usage.protocol, usage.port)).or_default();
            let meets =
                |at: &Option<Ipv4Addr>| at.is_none() || usage.address.is_none() || *at == usage.address;
            let apart = |other: &Option<&Balance>| {
                other.zip(usage.balance).is_some_and(|(a, b)| a.shares(b, usage.port))
            };
            let clash = others.iter().find(|(at, _, other)| meets(at) && !apart(other));
            let clash =
                clash.map(|(_, owner, other)| (owner.clone(), other.is_some() && usage.balance.is_some()));
            others.push((usage.address, usage.owner, usage.balance));
            if let Some((other, both)) = clash {
                let message = format!(
                    "port {}/{} of {} is already used by {other}",
                    usage.port, usage.protocol, usage.host
                );
                let hint = match both {
                    true => {
                        "balancers share a port when both are http, or both tls, and differ in hostname or path"
                    }
                    false => "choose another port, host or address of the host",
                };
                self.tell("stack.port.clash", usage.path, message, hint);
            }
        }
    }

    fn uses(&self) -> Vec<PortUse<'s>> {
        let mut uses = Vec::new();
        for replica in &self.replicas {
            for (i, port) in replica.instance.ports.iter().enumerate() {
                uses.push(PortUse {
                    host: replica.host,
                    protocol: port.protocol,
                    port: port.listen,
                    address: port.address,
                    path: format!("instances.{}.ports.{i}", replica.of),
                    owner: format!("instances.{}", replica.name),
                    balance: None,
                });
            }
        }
        for (name, balance) in &self.stack.balance {
            for (i, &port) in balance.listen.iter().enumerate() {
                uses.push(PortUse {
                    host: &balance.host,
                    protocol: Protocol::Tcp,
                    port,
                    address: balance.address,
                    path: format!("balance.{name}.listen.{i}"),
                    owner: format!("balance.{name}"),
                    balance: Some(balance),
                });
            }
        }
        let s3 = self.stack.store.as_ref().and_then(|store| store.s3.as_ref());
        if let Some((s3, host)) = s3.and_then(|s3| Some((s3, s3.host.as_deref()?))) {
            let path = if s3.port.is_some() { "store.s3.port" } else { "store.s3" };
            uses.push(PortUse {
                host,
                protocol: Protocol::Tcp,
                port: s3.port.unwrap_or(S3_PORT),
                address: None,
                path: path.to_owned(),
                owner: "store.s3".to_owned(),
                balance: None,
            });
        }
        uses
    }

    /// Ports that lsx itself needs on a host: ssh, tunnels if networks cross hosts, and servers that share names.
    fn reserved(&self, owners: &mut Owners<'s>) {
        let first = dns_servers(self.stack).map(|(first, _)| first);
        let tunnel = tunnel_port(self.stack, self.stack.resolved.as_deref());
        for (name, host) in &self.stack.hosts {
            let port = host.ssh.as_deref().and_then(|ssh| ssh.rsplit_once(':')?.1.parse().ok()).unwrap_or(22);
            if !host.local {
                owners.entry((name, Protocol::Tcp, port)).or_default().push((
                    Some(host.address),
                    "ssh".to_owned(),
                    None,
                ));
            }
            let owner = || "the tunnels (tunnel_port)".to_owned();
            owners.entry((name, Protocol::Udp, tunnel)).or_default().push((None, owner(), None));
            if first == Some(name) {
                let owner = "the servers of names (dns.host)".to_owned();
                owners.entry((name, Protocol::Tcp, tunnel)).or_default().push((None, owner, None));
            }
        }
    }
}
