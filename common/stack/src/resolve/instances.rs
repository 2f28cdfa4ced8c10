//! Instances with their interfaces, published ports, and names.

use super::allow::Reach;
use super::links::instance_links;
use super::networks::{Members, with_prefix};
use super::place::Replica;
use crate::model::{Nic, Stack};
use crate::resolved::{InstanceAt, NameAt, NetworkAt, NicAt, PortAt, RouteAt};
use crate::value::NetworkKind;
use ipnet::Ipv4Net;
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// Data for the interfaces.
pub(super) struct Parts<'p, 's> {
    pub(super) stack: &'s Stack,
    pub(super) networks: HashMap<&'p str, &'p NetworkAt>,
    pub(super) members: &'p Members,
    pub(super) reach: &'p Reach<'s>,
}

/// The interface with the default route: the one marked so, else the first whose network has a router.
fn default_nic(stack: &Stack, nics: &[Nic]) -> Option<usize> {
    let routed = |nic: &Nic| {
        let network = stack.networks.get(&nic.name);
        network.is_some_and(|network| network.gateway.is_some() || network.gateway_address.is_some())
    };
    nics.iter().position(|nic| nic.default && routed(nic)).or_else(|| nics.iter().position(routed))
}

/// All instances, by name.
pub(super) fn instances(parts: &Parts<'_, '_>, replicas: &[Replica<'_>]) -> Vec<InstanceAt> {
    let nics: Vec<(&str, String)> = replicas
        .iter()
        .flat_map(|replica| {
            (0..replica.instance.networks.len()).map(|i| (replica.name.as_str(), format!("eth{i}")))
        })
        .collect();
    let mut links = instance_links(&parts.stack.name, &nics).into_iter();
    replicas
        .iter()
        .map(|replica| InstanceAt {
            name: replica.name.clone(),
            of: replica.of.to_owned(),
            host: replica.host.to_owned(),
            nics: parts.nics(replica, &mut links),
        })
        .collect()
}

impl Parts<'_, '_> {
    fn nics(&self, replica: &Replica<'_>, links: &mut impl Iterator<Item = String>) -> Vec<NicAt> {
        let nics = &replica.instance.networks;
        let default = default_nic(self.stack, nics);
        // Only one interface has the name servers, since an instance has one resolver.
        let resolving = default.unwrap_or(0);
        // What is reached without a route: its own networks, and networks that the default route's network may reach. A
        // second route to the same place could take precedence and might have fewer permissions.
        let mut reached: Vec<Ipv4Net> =
            nics.iter().filter_map(|nic| self.stack.networks.get(&nic.name)?.cidr).collect();
        if let Some(i) = default.filter(|_| nics.len() > 1) {
            reached.extend(self.joined(replica, &nics[i].name));
        }
        let resolver = self.resolver(replica, nics.get(resolving));
        let mut all = Vec::with_capacity(nics.len());
        for (i, (nic, link)) in nics.iter().zip(links.by_ref().take(nics.len())).enumerate() {
            let Some(network) = self.networks.get(nic.name.as_str()) else { continue };
            let Some(written) = self.stack.networks.get(&nic.name) else { continue };
            let (address, mac) = self.member(&replica.name, &nic.name);
            all.push(NicAt {
                name: format!("eth{i}"),
                network: nic.name.clone(),
                address: with_prefix(written, address),
                mac,
                mtu: network.mtu,
                link,
                gateway: network.gateway_address.filter(|_| default == Some(i)),
                routes: if default == Some(i) {
                    Vec::new()
                } else {
                    self.routes(replica, network, &mut reached)
                },
                resolver: if i == resolving { resolver.clone() } else { Vec::new() },
                search: vec![network.domain.clone()],
                forward: replica.instance.forward,
            });
        }
        all
    }

    /// The name servers of a replica: its own, the default ones, or with the section `dns` the gateway of one interface.
    fn resolver(&self, replica: &Replica<'_>, nic: Option<&Nic>) -> Vec<Ipv4Addr> {
        let named = [&replica.instance.resolver, &self.stack.defaults.resolver];
        if let Some(named) = named.into_iter().find(|named| !named.is_empty()) {
            return named.clone();
        }
        let network =
            nic.filter(|_| self.stack.dns.is_some()).and_then(|nic| self.networks.get(nic.name.as_str()));
        let served = network.filter(|network| network.gateway.is_some());
        served.and_then(|network| network.gateway_address).into_iter().collect()
    }

    fn member(&self, replica: &str, network: &str) -> (Ipv4Addr, String) {
        let found = self.members.get(&(replica.to_owned(), network.to_owned())).cloned();
        found.unwrap_or((Ipv4Addr::UNSPECIFIED, String::new()))
    }

    /// Destinations that a replica may reach through the gateway of one of its networks.
    fn joined(&self, replica: &Replica<'_>, network: &str) -> BTreeSet<Ipv4Net> {
        let both = [self.reach.networks.get(network), self.reach.instances.get(&(replica.of, network))];
        both.into_iter().flatten().flatten().copied().collect()
    }

    /// Destinations that need this network's gateway because the default route is on another network.
    fn routes(&self, replica: &Replica<'_>, network: &NetworkAt, reached: &mut Vec<Ipv4Net>) -> Vec<RouteAt> {
        let Some(via) = network.gateway_address.filter(|_| network.gateway.is_some()) else {
            return Vec::new();
        };
        let mut to = self.joined(replica, &network.name);
        to.retain(|net| !reached.iter().any(|cidr| cidr.contains(net)));
        reached.extend(&to);
        to.into_iter().map(|to| RouteAt { to, via }).collect()
    }

    /// Published ports, by host, protocol and port.
    pub(super) fn ports(&self, replicas: &[Replica<'_>]) -> Vec<PortAt> {
        let mut ports = Vec::new();
        for replica in replicas {
            for port in &replica.instance.ports {
                let Some((_, nic)) = replica.reached(port.network.as_deref()) else { continue };
                ports.push(PortAt {
                    host: replica.host.to_owned(),
                    protocol: port.protocol,
                    listen: port.listen,
                    address: port.address,
                    instance: replica.name.clone(),
                    network: nic.name.clone(),
                    to_address: self.member(&replica.name, &nic.name).0,
                    to_port: port.to,
                    from: port.from.clone(),
                });
            }
        }
        ports.sort_by(|a, b| {
            let key = |p: &PortAt| (p.host.clone(), p.protocol, p.listen, p.address, p.instance.clone());
            key(a).cmp(&key(b))
        });
        ports
    }

    /// Names of instances and hosts, by name; with replicas the common name has all their addresses.
    pub(super) fn names(&self, replicas: &[Replica<'_>]) -> Vec<NameAt> {
        let mut names: BTreeSet<NameAt> = BTreeSet::new();
        for replica in replicas {
            let base = replica.instance.hostname.as_deref().unwrap_or(replica.of);
            for nic in &replica.instance.networks {
                let Some(network) = self.networks.get(nic.name.as_str()) else { continue };
                let (address, _) = self.member(&replica.name, &nic.name);
                if network.kind == NetworkKind::Macvlan && address == Ipv4Addr::UNSPECIFIED {
                    continue;
                }
                names.insert(NameAt { name: format!("{base}.{}", network.domain), address });
                if replica.instance.count.is_some() {
                    names.insert(NameAt {
                        name: format!("{base}-{}.{}", replica.index + 1, network.domain),
                        address,
                    });
                }
            }
        }
        names.into_iter().collect()
    }
}
