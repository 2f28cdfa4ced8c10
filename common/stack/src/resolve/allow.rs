//! Permissions, normalised, and the routes that result from them.

use super::networks::Members;
use super::place::Replica;
use crate::model::{Allow, Stack};
use crate::resolved::{AllowAt, Selector};
use crate::value::Select;
use ipnet::Ipv4Net;
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// The permissions as pairs, and the destinations that need routes.
pub(super) struct Reach<'s> {
    pub(super) allow: Vec<AllowAt>,
    /// Destinations that all members of a network may reach through its gateway.
    pub(super) networks: HashMap<&'s str, BTreeSet<Ipv4Net>>,
    /// The same for one instance on one of its networks.
    pub(super) instances: HashMap<(&'s str, &'s str), BTreeSet<Ipv4Net>>,
}

/// One end of a permission: the selector, and its networks.
#[derive(Clone)]
struct End<'s> {
    selector: Selector,
    feet: Vec<Foot<'s>>,
}

/// Where an end is: a whole network, or an instance on it, and its addresses.
#[derive(Clone)]
struct Foot<'s> {
    network: &'s str,
    instance: Option<&'s str>,
    to: Vec<Ipv4Net>,
}

/// Normalises all permissions.
pub(super) fn reach<'s>(stack: &'s Stack, replicas: &[Replica<'s>], members: &Members) -> Reach<'s> {
    let mut by_key: HashMap<&str, Vec<&Replica<'s>>> = HashMap::new();
    for replica in replicas {
        by_key.entry(replica.of).or_default().push(replica);
    }
    let mut reach = Reach { allow: Vec::new(), networks: HashMap::new(), instances: HashMap::new() };
    for allow in &stack.allow {
        let ends = |selects: &'s [Select]| -> Vec<End<'s>> {
            selects.iter().flat_map(|select| ends(stack, select, &by_key, members)).collect()
        };
        for from in ends(&allow.from) {
            for to in ends(&allow.to) {
                reach.pair(stack, allow, &from, &to);
            }
        }
    }
    reach.allow.sort();
    reach.allow.dedup();
    reach
}

fn ends<'s>(
    stack: &'s Stack,
    select: &'s Select,
    replicas: &HashMap<&str, Vec<&Replica<'s>>>,
    members: &Members,
) -> Vec<End<'s>> {
    let network = |name: &'s str| End {
        selector: Selector::Network(name.to_owned()),
        feet: vec![Foot {
            network: name,
            instance: None,
            to: stack.networks.get(name).and_then(|network| network.cidr).into_iter().collect(),
        }],
    };
    let bare = |selector| vec![End { selector, feet: Vec::new() }];
    match select {
        // Networks without a router cannot be reached; `*` means those with one.
        Select::Every => stack
            .networks
            .iter()
            .filter(|(_, net)| net.gateway.is_some())
            .map(|(name, _)| network(name))
            .collect(),
        Select::Network(name) => vec![network(name)],
        Select::World => bare(Selector::World),
        Select::Host(name) => bare(Selector::Host(name.clone())),
        Select::Cidr(net) => bare(Selector::Addresses(vec![*net])),
        Select::Instance(name) => {
            vec![instance(name, replicas.get(name.as_str()).map_or(&[], Vec::as_slice), members)]
        }
    }
}

fn instance<'s>(name: &'s str, replicas: &[&Replica<'s>], members: &Members) -> End<'s> {
    let mut feet: Vec<Foot<'s>> = Vec::new();
    for replica in replicas {
        for nic in &replica.instance.networks {
            let Some((address, _)) = members.get(&(replica.name.clone(), nic.name.clone())) else { continue };
            if *address == Ipv4Addr::UNSPECIFIED {
                continue;
            }
            let to = Ipv4Net::from(*address);
            match feet.iter_mut().find(|foot| foot.network == nic.name) {
                Some(foot) => foot.to.push(to),
                None => feet.push(Foot { network: &nic.name, instance: Some(name), to: vec![to] }),
            }
        }
    }
    let addresses: BTreeSet<Ipv4Net> = feet.iter().flat_map(|foot| foot.to.iter().copied()).collect();
    End { selector: Selector::Addresses(addresses.into_iter().collect()), feet }
}

impl<'s> Reach<'s> {
    fn pair(&mut self, stack: &Stack, allow: &Allow, from: &End<'s>, to: &End<'s>) {
        if from.selector == to.selector {
            return;
        }
        self.allow.push(AllowAt {
            from: from.selector.clone(),
            to: to.selector.clone(),
            ports: ports(allow),
        });
        let router = |name: &str| stack.networks.get(name).and_then(|network| network.gateway.as_deref());
        for (a, b) in from.feet.iter().flat_map(|a| to.feet.iter().map(move |b| (a, b))) {
            if a.network != b.network && router(a.network).is_some() && router(a.network) == router(b.network)
            {
                self.route(a, &b.to);
                self.route(b, &a.to);
            }
        }
    }

    fn route(&mut self, foot: &Foot<'s>, to: &[Ipv4Net]) {
        match foot.instance {
            None => self.networks.entry(foot.network).or_default().extend(to),
            Some(instance) => self.instances.entry((instance, foot.network)).or_default().extend(to),
        }
    }
}

fn ports(allow: &Allow) -> Vec<crate::PortSpec> {
    let mut ports = allow.ports.clone();
    ports.sort();
    ports.dedup();
    ports
}
