//! From outside: what an `allow` permits from the world, tested by the machine that runs the check, if it is outside the
//! stack and has a route. A host of the stack does not count as the world.

use super::expect::Policy;
use super::source::{Source, one};
use super::tries::Probe;
use crate::netlink::{Socket, addr, route};
use common::log;
use common::stack::resolved::{InstanceAt, NetworkAt, Resolved, Selector};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The routes of this machine.
struct Ways {
    /// Networks and the neighbour that they are reached through.
    routes: Vec<(Ipv4Net, Ipv4Addr)>,
    own: Vec<Ipv4Net>,
}

/// The tests, if an `allow` permits something from outside; or why they cannot be made from here.
pub(super) fn source(resolved: &Resolved, policy: &Policy<'_>, all: &[&InstanceAt]) -> Option<Source> {
    let within =
        |net: &Ipv4Net| resolved.networks.iter().filter_map(|n| n.cidr).any(|cidr| cidr.contains(net));
    let stranger = |selector: &Selector| match selector {
        Selector::World => true,
        Selector::Addresses(nets) => !nets.iter().all(within),
        Selector::Network(_) | Selector::Host(_) => false,
    };
    let spoken = resolved.allow.iter().any(|a| stranger(&a.from) && !matches!(a.to, Selector::World));
    if !spoken {
        return None;
    }
    let source = ways().and_then(|ways| made(resolved, policy, all, &ways));
    if source.is_none() {
        log::note(
            "what allow permits from outside was not tested: this machine is a host of the stack, or has no route to its \
             networks through their gateways' hosts",
        );
    }
    source
}

fn ways() -> Option<Ways> {
    let mut socket = Socket::open().ok()?;
    let routes = route::list(&mut socket).ok()?;
    let own = addr::list(&mut socket).ok()?;
    let by = |r: route::Entry| Some((r.route.destination, r.route.gateway?));
    Some(Ways {
        routes: routes.into_iter().filter_map(by).filter(|(to, _)| to.prefix_len() > 0).collect(),
        own: own.into_iter().map(|a| a.address).collect(),
    })
}

fn made(resolved: &Resolved, policy: &Policy<'_>, all: &[&InstanceAt], ways: &Ways) -> Option<Source> {
    if resolved.hosts.iter().any(|h| ways.own.iter().any(|own| own.addr() == h.address)) {
        return None;
    }
    let mut tries = Vec::new();
    for (to, nic) in all.iter().flat_map(|i| i.nics.iter().map(move |nic| (i, nic))) {
        let network = resolved.networks.iter().find(|n| n.name == nic.network);
        let Some(me) = network.and_then(|n| way(resolved, n, ways)) else { continue };
        let address = nic.address.addr();
        let tcp = policy.routed(me, address).into_iter().filter(|(p, ..)| matches!(p, Probe::Connect { .. }));
        tries.extend(tcp.map(|(probe, open, why)| one(to.name.clone(), true, address, probe, open, &why)));
    }
    (!tries.is_empty()).then(|| Source::outside(tries))
}

/// The source address of this machine for a network, if it is routed through the host of its gateway.
fn way(resolved: &Resolved, network: &NetworkAt, ways: &Ways) -> Option<Ipv4Addr> {
    let host = resolved.hosts.iter().find(|h| Some(&h.name) == network.gateway.as_ref())?;
    let cidr = network.cidr?;
    let leads = |(to, by): &&(Ipv4Net, Ipv4Addr)| to.contains(&cidr) && *by == host.address;
    let (_, by) = ways.routes.iter().find(leads)?;
    ways.own.iter().find(|own| own.contains(by)).map(Ipv4Net::addr)
}
