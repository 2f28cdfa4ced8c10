//! Views: which addresses a source may reach, and so which names it sees. Pure.

use crate::model::View;
use common::stack::Selector;
use common::stack::resolved::{InstanceAt, Resolved};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// The networks that a source is on, and the addresses that it may reach.
type Sight = (BTreeSet<String>, BTreeSet<Ipv4Net>);

/// One view for each set of addresses. A network is a source; an instance is one of its own if it is on several networks, or
/// an `allow` names it.
pub(super) fn views(resolved: &Resolved) -> Vec<View> {
    let mut all: BTreeMap<Sight, BTreeSet<Ipv4Net>> = BTreeMap::new();
    let mut plain: BTreeMap<&str, Sight> = BTreeMap::new();
    for network in &resolved.networks {
        let Some(cidr) = network.cidr else { continue };
        let sight = sight(resolved, &BTreeSet::from([network.name.clone()]), &[]);
        plain.insert(&network.name, sight.clone());
        all.entry(sight).or_default().insert(cidr.trunc());
    }
    for at in &resolved.instances {
        let own = own(at);
        let sight = sight(resolved, &at.nics.iter().map(|nic| nic.network.clone()).collect(), &own);
        let nics =
            at.nics.iter().zip(&own).filter(|(nic, _)| plain.get(nic.network.as_str()) != Some(&sight));
        let sources: Vec<Ipv4Net> =
            nics.map(|(_, source)| *source).filter(|net| net.addr().octets() != [0; 4]).collect();
        if !sources.is_empty() {
            all.entry(sight).or_default().extend(sources);
        }
    }
    let view = |((networks, reach), from): (Sight, BTreeSet<Ipv4Net>)| View {
        from: from.into_iter().collect(),
        networks: networks.into_iter().collect(),
        reach: reach.into_iter().collect(),
    };
    all.into_iter().map(view).collect()
}

/// The addresses of an instance, as /32.
fn own(at: &InstanceAt) -> Vec<Ipv4Net> {
    at.nics.iter().map(|nic| Ipv4Net::from(nic.address.addr())).collect()
}

/// What is reached from these networks, and with these addresses.
fn sight(resolved: &Resolved, networks: &BTreeSet<String>, addresses: &[Ipv4Net]) -> Sight {
    let cidr = |name: &String| resolved.networks.iter().find(|n| n.name == *name).and_then(|n| n.cidr);
    let mut reach: BTreeSet<Ipv4Net> = networks.iter().filter_map(cidr).map(|net| net.trunc()).collect();
    let begins = |from: &Selector| match from {
        Selector::Network(name) => networks.contains(name),
        Selector::Addresses(all) => all.iter().any(|net| addresses.iter().any(|own| net.contains(own))),
        Selector::Host(_) | Selector::World => false,
    };
    for allow in resolved.allow.iter().filter(|allow| begins(&allow.from)) {
        match &allow.to {
            Selector::Network(name) => reach.extend(cidr(name).map(|net| net.trunc())),
            Selector::Addresses(all) => reach.extend(all),
            Selector::Host(_) | Selector::World => {}
        }
    }
    (networks.clone(), reach)
}
