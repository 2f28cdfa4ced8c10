//! Which instance runs on which host, and where hosts have legs.

use crate::model::{Instance, Nic, Stack};
use crate::value::NetworkKind;
use std::collections::{BTreeMap, BTreeSet};

/// One replica of an instance, or the instance itself when it has no `count`.
pub(crate) struct Replica<'s> {
    pub(crate) name: String,
    pub(crate) of: &'s str,
    pub(crate) index: usize,
    pub(crate) host: &'s str,
    pub(crate) instance: &'s Instance,
}

/// The hosts of an instance in the order of its replicas: `hosts`, `host`, its volume's host, the only host, the default.
pub(crate) fn hosts<'s>(stack: &'s Stack, instance: &'s Instance) -> Vec<&'s str> {
    if !instance.hosts.is_empty() {
        return instance.hosts.iter().map(String::as_str).collect();
    }
    let only = || stack.hosts.keys().next().filter(|_| stack.hosts.len() == 1).map(String::as_str);
    let host = instance
        .host
        .as_deref()
        .or_else(|| instance.volumes.keys().find_map(|volume| stack.volume_host(volume)))
        .or_else(only)
        .or(stack.defaults.host.as_deref());
    host.into_iter().collect()
}

/// All replicas, by name. Instances without a host are left out; the rules have reported them.
pub(crate) fn replicas(stack: &Stack) -> Vec<Replica<'_>> {
    let mut all = Vec::with_capacity(stack.instances.len());
    for (of, instance) in &stack.instances {
        let hosts = hosts(stack, instance);
        for (index, name) in instance.replicas(of).into_iter().enumerate() {
            let Some(host) = hosts.get(index % hosts.len().max(1)) else { continue };
            all.push(Replica { name, of, index, host, instance });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

impl<'s> Replica<'s> {
    /// The interface that ports and balancers use: the one they name, else the first.
    pub(crate) fn reached(&self, network: Option<&str>) -> Option<(usize, &'s Nic)> {
        let mut nics = self.instance.networks.iter().enumerate();
        nics.find(|(_, nic)| network.is_none_or(|name| nic.name == name))
    }

    /// The address written for an interface of this replica.
    pub(crate) fn written(&self, nic: &Nic) -> Option<std::net::Ipv4Addr> {
        nic.address.get(self.index).copied()
    }
}

/// The hosts that have a leg on each network: its gateway, and every host that publishes or balances a port onto it.
pub(crate) fn legs<'s>(stack: &'s Stack, replicas: &[Replica<'s>]) -> BTreeMap<&'s str, BTreeSet<&'s str>> {
    let mut legs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, network) in &stack.networks {
        legs.entry(name).or_default().extend(network.gateway.as_deref());
    }
    for replica in replicas {
        for port in &replica.instance.ports {
            if let Some((_, nic)) = replica.reached(port.network.as_deref()) {
                legs.entry(&nic.name).or_default().insert(replica.host);
            }
        }
    }
    for balance in stack.balance.values() {
        let Some(instance) = stack.instances.get(&balance.to) else { continue };
        let network = balance.network.as_ref().or_else(|| instance.networks.first().map(|nic| &nic.name));
        if let Some(network) = network {
            legs.entry(network).or_default().insert(&balance.host);
        }
    }
    // A macvlan's parent cannot communicate with its children (drivers/net/macvlan.c, bridge mode), so there is no leg.
    legs.retain(|name, _| {
        stack.networks.get(*name).is_some_and(|network| network.kind != NetworkKind::Macvlan)
    });
    legs
}
