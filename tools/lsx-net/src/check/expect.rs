//! Derives from the stack what should be reachable from where, independent of the generated rules. Pure.

use super::balance;
use super::published::{self, Addresses};
use super::sizes;
use super::source::{NOBODY, Source, Try, one};
use super::tries::Probe;
use common::stack::Only;
use common::stack::resolved::{AllowAt, InstanceAt, NetworkAt, NicAt, Protocol, Resolved, Selector};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// All sources on the hosts that take part, with their tests.
pub(super) fn sources(
    resolved: &Resolved,
    only: &Only,
    hosts: &BTreeSet<&str>,
    addresses: &Addresses,
) -> Vec<Source> {
    let policy = Policy::new(resolved, addresses);
    let here = |i: &&InstanceAt| hosts.contains(i.host.as_str()) && only.instance(&i.of, &i.name);
    let instances: Vec<&InstanceAt> = resolved.instances.iter().filter(here).collect();
    let mut sources: Vec<Source> = instances
        .iter()
        .map(|from| Source {
            name: from.name.clone(),
            host: from.host.clone(),
            macs: from.nics.iter().map(|n| n.mac.clone()).collect(),
            tries: policy.instance_tries(from, &instances),
            serves: published::serves(resolved, from),
        })
        .collect();
    sizes::full(resolved, &instances, &mut sources);
    sources.extend(resolved.hosts.iter().filter(|h| hosts.contains(h.name.as_str())).map(|host| Source {
        name: format!("host/{}", host.name),
        host: host.name.clone(),
        macs: Vec::new(),
        tries: policy.host_tries(&host.name, &instances),
        serves: Vec::new(),
    }));
    sources
}

pub(super) struct Policy<'a> {
    resolved: &'a Resolved,
    networks: BTreeMap<&'a str, &'a NetworkAt>,
    addresses: &'a Addresses,
}

impl<'a> Policy<'a> {
    pub(super) fn new(resolved: &'a Resolved, addresses: &'a Addresses) -> Self {
        let networks = resolved.networks.iter().map(|n| (n.name.as_str(), n)).collect();
        Policy { resolved, networks, addresses }
    }

    fn instance_tries(&self, from: &InstanceAt, all: &[&InstanceAt]) -> Vec<Try> {
        let mut tries = Vec::new();
        for to in all.iter().filter(|to| to.name != from.name) {
            for nic in &to.nics {
                tries.extend(self.to_nic(from, to, nic));
            }
        }
        for nic in &from.nics {
            let network = self.networks.get(nic.network.as_str());
            if let Some(gateway) = network.and_then(|n| n.gateway_address) {
                let to = format!("gateway/{}", nic.network);
                tries.push(one(to, false, gateway, Probe::Echo, true, "the gateway of its own network"));
            }
        }
        tries.extend(self.to_gateways(from));
        tries.extend(self.to_hosts(from));
        tries.extend(published::by_instance(self.resolved, &self.networks, from, self.addresses));
        tries.extend(balance::by_instance(self.resolved, from));
        tries
    }

    /// A gateway answers echo requests of another network only if an `allow` permits that.
    fn to_gateways(&self, from: &InstanceAt) -> Vec<Try> {
        let foreign = self.networks.values().filter(|n| !from.nics.iter().any(|nic| nic.network == n.name));
        let one = |network: &NetworkAt| {
            let gateway = network.gateway_address?;
            let routed = self.routed(source_address(from, gateway)?, gateway);
            let (_, open, why) = routed.into_iter().find(|(probe, ..)| *probe == Probe::Echo)?;
            Some(one(format!("gateway/{}", network.name), false, gateway, Probe::Echo, open, &why))
        };
        foreign.filter_map(|network| one(network)).collect()
    }

    /// To an interface of another instance. If both are on one network, that network is tested; other interfaces of the
    /// target would be reached and answered on different paths.
    fn to_nic(&self, from: &InstanceAt, to: &InstanceAt, nic: &NicAt) -> Vec<Try> {
        let address = nic.address.addr();
        let try_it = |probe, open, why: &str| one(to.name.clone(), true, address, probe, open, why);
        let shared = |n: &NicAt| from.nics.iter().any(|f| f.network == n.network);
        if shared(nic) {
            let why = format!("both are on {}", nic.network);
            return vec![
                try_it(Probe::Echo, true, &why),
                try_it(Probe::Connect { port: NOBODY }, true, &why),
            ];
        }
        if to.nics.iter().any(shared) {
            return Vec::new();
        }
        let Some(source) = source_address(from, address) else {
            return vec![try_it(Probe::Echo, false, "no route leads there")];
        };
        self.routed(source, address).into_iter().map(|(probe, open, why)| try_it(probe, open, &why)).collect()
    }

    /// What an `allow` says about two addresses.
    pub(super) fn routed(&self, from: Ipv4Addr, to: Ipv4Addr) -> Vec<(Probe, bool, String)> {
        let matching: Vec<&AllowAt> =
            self.resolved.allow.iter().filter(|a| self.is(&a.from, from) && self.is(&a.to, to)).collect();
        if matching.is_empty() {
            let why = "no allow names them".to_owned();
            return vec![(Probe::Echo, false, why.clone()), (Probe::Connect { port: NOBODY }, false, why)];
        }
        let all = matching.iter().any(|a| a.ports.is_empty());
        let specs: BTreeSet<_> =
            matching.iter().flat_map(|a| &a.ports).filter(|p| p.protocol == Protocol::Tcp).collect();
        let mut tries = vec![(Probe::Echo, true, "an allow includes ICMP echo".to_owned())];
        tries.extend(
            specs
                .iter()
                .map(|p| (Probe::Connect { port: p.first }, true, "an allow names the port".to_owned())),
        );
        let opened = all || specs.iter().any(|p| (p.first..=p.last).contains(&NOBODY));
        let why = if opened { "an allow opens every port" } else { "no allow names the port" };
        tries.push((Probe::Connect { port: NOBODY }, opened, why.to_owned()));
        tries
    }

    fn is(&self, selector: &Selector, address: Ipv4Addr) -> bool {
        match selector {
            Selector::Network(name) => self.networks.get(name.as_str()).is_some_and(|n| n.contains(address)),
            Selector::Addresses(nets) => nets.iter().any(|net| net.contains(&address)),
            Selector::Host(name) => {
                self.resolved.hosts.iter().any(|h| h.name == *name && h.address == address)
            }
            Selector::World => {
                !self.networks.values().any(|n| n.contains(address))
                    && !self.resolved.hosts.iter().any(|h| h.address == address)
            }
        }
    }

    /// Hosts cannot be reached from instances, except for what an `allow` permits.
    fn to_hosts(&self, from: &InstanceAt) -> Vec<Try> {
        let mut tries = Vec::new();
        for host in &self.resolved.hosts {
            let to = format!("host/{}", host.name);
            let Some(source) = source_address(from, host.address) else { continue };
            let named =
                self.resolved.allow.iter().any(|a| self.is(&a.from, source) && self.is(&a.to, host.address));
            if !named {
                let published = self.resolved.ports.iter().any(|p| p.host == host.name && p.listen == 22);
                let served = self.resolved.services.iter().any(|s| s.host == host.name && s.port == 22);
                let port = if published || served { NOBODY } else { 22 };
                let closed = |to: String, address| {
                    one(to, false, address, Probe::Connect { port }, false, "instances cannot reach hosts")
                };
                tries.push(closed(to.clone(), host.address));
                let further = published::further(host, self.addresses).map(|net| net.addr());
                tries.extend(further.map(|address| closed(format!("{to}/{address}"), address)));
            }
        }
        tries
    }

    /// From a host: instances cannot be reached, published ports of every host can.
    fn host_tries(&self, from: &str, all: &[&InstanceAt]) -> Vec<Try> {
        let mut tries = published::by_host(self.resolved, from, self.addresses);
        tries.extend(balance::by_host(self.resolved, from));
        tries.extend(sizes::underlay(self.resolved, from));
        let me = self.resolved.hosts.iter().find(|h| h.name == from).map(|h| h.address);
        // A host permitted by its address needs a route, which lsx does not create.
        let named = |to: Ipv4Addr| {
            let by_address = |a: &&AllowAt| matches!(a.from, Selector::Addresses(_)) && self.is(&a.to, to);
            self.resolved.allow.iter().filter(by_address).any(|a| me.is_some_and(|me| self.is(&a.from, me)))
        };
        for to in all {
            for nic in to.nics.iter().filter(|nic| !named(nic.address.addr())) {
                let opened =
                    self.resolved.allow.iter().any(|a| {
                        a.from == Selector::Host(from.to_owned()) && self.is(&a.to, nic.address.addr())
                    });
                let why = if opened { "an allow names the host" } else { "no allow names the host" };
                tries.push(one(to.name.clone(), true, nic.address.addr(), Probe::Echo, opened, why));
            }
        }
        tries
    }
}

/// The source address of an instance: by a specific route, or by its default route.
fn source_address(from: &InstanceAt, to: Ipv4Addr) -> Option<Ipv4Addr> {
    let direct = from.nics.iter().find(|n| n.address.contains(&to));
    let routed = || from.nics.iter().find(|n| n.routes.iter().any(|r| r.to.contains(&to)));
    let default = || from.nics.iter().find(|n| n.gateway.is_some());
    direct.or_else(routed).or_else(default).map(|n| n.address.addr())
}
