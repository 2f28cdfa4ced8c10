//! Published ports and balancers: one owner for every port of a host.

use super::Check;
use crate::stack::model::Balance;
use crate::stack::resolve::tunnel_port;
use crate::stack::value::{NetworkKind, Protocol};
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A port of a host, and who has it on which of the host's addresses.
type Owners<'s> = HashMap<(&'s str, Protocol, u16), Vec<(Option<Ipv4Addr>, String)>>;

/// A port that somebody wants to listen on.
struct Wish<'s> {
    host: &'s str,
    protocol: Protocol,
    port: u16,
    address: Option<Ipv4Addr>,
    /// Where it is written.
    path: String,
    /// Who wants it, for the other's message.
    owner: String,
}

impl<'s> Check<'s> {
    pub(super) fn ports(&mut self) {
        for (name, instance) in &self.stack.instances {
            for (i, port) in instance.ports.iter().enumerate() {
                self.reachable(name, port.network.as_deref(), &format!("instances.{name}.ports.{i}"));
            }
        }
        for (name, balance) in &self.stack.balance {
            self.balance(name, balance);
        }
        self.owners();
    }

    /// The network by which an instance is reached must be one of its own, and one that has legs.
    fn reachable(&mut self, name: &str, wanted: Option<&str>, path: &str) {
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
                format!("a host cannot reach `{}`, a macvlan, from itself", nic.name)
            }
            (NetworkKind::Vlan, None) => {
                format!("nobody knows the addresses of `{}`, which has no cidr", nic.name)
            }
            _ => return,
        };
        self.tell("stack.port.network", path.to_owned(), message, "name another network of the instance");
    }

    fn balance(&mut self, name: &str, balance: &'s Balance) {
        let path = |key: &str| format!("balance.{name}.{key}");
        // What is empty has been told by the decoder as missing.
        if !balance.host.is_empty() {
            self.host(&balance.host, || path("host"));
        }
        if !balance.to.is_empty() && self.instance(&balance.to, || path("to")).is_some() {
            self.reachable(&balance.to, balance.network.as_deref(), &path("network"));
        }
        let known = self.stack.carried.get("pki").and_then(|pki| pki.get("certificates")?.as_object());
        if let (Some(known), Some(tls)) = (known, &balance.tls)
            && !known.contains_key(tls)
        {
            let hint = crate::stack::decode::hint(tls, known.keys().map(String::as_str));
            self.tell(
                "stack.certificate.unknown",
                path("tls"),
                format!("there is no certificate `{tls}`"),
                hint,
            );
        }
    }

    fn owners(&mut self) {
        let mut owners: Owners<'s> = HashMap::new();
        self.reserved(&mut owners);
        for wish in self.wishes() {
            let others = owners.entry((wish.host, wish.protocol, wish.port)).or_default();
            let meets = |at: &Option<Ipv4Addr>| at.is_none() || wish.address.is_none() || *at == wish.address;
            let clash = others.iter().find(|(at, other)| meets(at) && !shared(other, &wish.owner));
            let clash = clash.map(|(_, other)| other.clone());
            others.push((wish.address, wish.owner));
            if let Some(other) = clash {
                let message =
                    format!("port {}/{} of {} belongs to {other}", wish.port, wish.protocol, wish.host);
                let hint = "another port, another host, or another address of the host";
                self.tell("stack.port.clash", wish.path, message, hint);
            }
        }
    }

    fn wishes(&self) -> Vec<Wish<'s>> {
        let mut wishes = Vec::new();
        for replica in &self.replicas {
            for (i, port) in replica.instance.ports.iter().enumerate() {
                wishes.push(Wish {
                    host: replica.host,
                    protocol: port.protocol,
                    port: port.listen,
                    address: port.address,
                    path: format!("instances.{}.ports.{i}", replica.of),
                    owner: format!("instances.{}", replica.name),
                });
            }
        }
        for (name, balance) in &self.stack.balance {
            for (i, &port) in balance.listen.iter().enumerate() {
                wishes.push(Wish {
                    host: &balance.host,
                    protocol: Protocol::Tcp,
                    port,
                    address: balance.address,
                    path: format!("balance.{name}.listen.{i}"),
                    owner: balancer(name, balance),
                });
            }
        }
        wishes
    }

    /// Ports that lsx itself needs on a host: ssh by which it comes, tunnels where networks cross hosts.
    fn reserved(&self, owners: &mut Owners<'s>) {
        let tunnel = tunnel_port(self.stack, self.stack.resolved.as_deref());
        for (name, host) in &self.stack.hosts {
            let port = host.ssh.as_deref().and_then(|ssh| ssh.rsplit_once(':')?.1.parse().ok()).unwrap_or(22);
            if !host.local {
                owners
                    .entry((name, Protocol::Tcp, port))
                    .or_default()
                    .push((Some(host.address), "ssh".to_owned()));
            }
            let owner = || "the tunnels (tunnel_port)".to_owned();
            owners.entry((name, Protocol::Udp, tunnel)).or_default().push((None, owner()));
        }
    }
}

/// Balancers share a port when requests tell them apart by name.
fn balancer(name: &str, balance: &Balance) -> String {
    match balance.hostname.is_empty() {
        true => format!("balance.{name}"),
        false => format!("balance.{name} ({})", balance.hostname.join(", ")),
    }
}

fn shared(a: &str, b: &str) -> bool {
    let names = |owner: &str| -> Vec<String> {
        let inner =
            owner.strip_prefix("balance.").and_then(|rest| rest.split_once(" (")).map(|(_, names)| names);
        inner
            .map(|names| names.trim_end_matches(')').split(", ").map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let (a, b) = (names(a), names(b));
    !a.is_empty() && !b.is_empty() && !a.iter().any(|name| b.contains(name))
}
