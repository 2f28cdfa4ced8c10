//! Published ports: tested by every host at each address that it can reach, and by instances whose router publishes them.
//! Pure.

use super::source::{Source, Try, one};
use super::tries::Probe;
use common::stack::resolved::{HostAt, InstanceAt, NetworkAt, PortAt, Protocol, Resolved};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The addresses of hosts, by host, as observed.
pub(super) type Addresses = BTreeMap<String, Vec<Ipv4Net>>;

/// The further addresses of a host that no other host has.
pub(super) fn further<'a>(host: &'a HostAt, all: &'a Addresses) -> impl Iterator<Item = &'a Ipv4Net> {
    let shared = |net: &Ipv4Net| {
        all.iter().any(|(name, nets)| *name != host.name && nets.iter().any(|n| n.addr() == net.addr()))
    };
    let own = all.get(&host.name).into_iter().flatten();
    own.filter(move |net| net.addr() != host.address && !shared(net))
}

fn tcp(resolved: &Resolved) -> impl Iterator<Item = (&PortAt, &HostAt)> {
    let ports = resolved.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
    ports.filter_map(|p| Some((p, resolved.hosts.iter().find(|h| h.name == p.host)?)))
}

fn to(port: &PortAt, host: &HostAt, address: Ipv4Addr, welcome: bool) -> Try {
    let why = format!("{} publishes it for {}", host.name, port.instance);
    let probe = Probe::Connect { port: port.listen };
    Try { serves: Some(port.to_port), ..one(port.instance.clone(), true, address, probe, welcome, &why) }
}

/// From a host: at the address of the document, and at each that it reaches without a router.
pub(super) fn by_host(resolved: &Resolved, from: &str, all: &Addresses) -> Vec<Try> {
    let Some(me) = resolved.hosts.iter().find(|h| h.name == from) else { return Vec::new() };
    let near = |net: &&Ipv4Net| near(from, net, all);
    let mut tries = Vec::new();
    for (port, host) in tcp(resolved) {
        let welcome = port.from.is_empty() || port.from.iter().any(|net| net.contains(&me.address));
        tries.push(to(port, host, port.address.unwrap_or(host.address), welcome));
        // From another host the source may be any of its addresses, so only ports open to all can be tested.
        let plain = port.address.is_none() && port.from.is_empty();
        let nets = further(host, all).filter(|_| plain).filter(|net| host.name == from || near(net));
        tries.extend(nets.map(|net| to(port, host, net.addr(), true)));
    }
    tries
}

/// Whether a host reaches an address without a router.
fn near(from: &str, net: &Ipv4Net, all: &Addresses) -> bool {
    all.get(from).into_iter().flatten().any(|mine| mine.contains(&net.addr()))
}

/// From an instance, through the router of its default route: at every address of every host that its router's host
/// reaches.
pub(super) fn by_instance(
    resolved: &Resolved,
    networks: &BTreeMap<&str, &NetworkAt>,
    from: &InstanceAt,
    all: &Addresses,
) -> Vec<Try> {
    let Some(nic) = from.nics.iter().find(|nic| nic.gateway.is_some()) else { return Vec::new() };
    let Some(router) = networks.get(nic.network.as_str()).and_then(|n| n.gateway.as_deref()) else {
        return Vec::new();
    };
    let mut tries = Vec::new();
    for (port, host) in tcp(resolved) {
        // A router with an interface in the network of the port's instance keeps the client's address. Otherwise the packets have
        // the address of the router's host, so that clients cannot be distinguished, and only a port without `from` is open.
        let foot =
            networks.get(port.network.as_str()).is_some_and(|n| n.legs.iter().any(|leg| leg.host == router));
        let named = |net: &Ipv4Net| net.contains(&nic.address.addr());
        let welcome = port.from.is_empty() || (foot || host.name == router) && port.from.iter().any(named);
        tries.push(to(port, host, port.address.unwrap_or(host.address), welcome));
        let plain = port.address.is_none() && port.from.is_empty();
        let nets = further(host, all).filter(|_| plain);
        let nets = nets.filter(|net| host.name == router || near(router, net, all));
        tries.extend(nets.map(|net| to(port, host, net.addr(), true)));
    }
    tries
}

/// Tests in an instance whether it serves what is published for it.
pub(super) fn serves(resolved: &Resolved, instance: &InstanceAt) -> Vec<(Ipv4Addr, u16)> {
    let own = tcp(resolved).filter(|(port, _)| port.instance == instance.name);
    own.map(|(port, _)| (port.to_address, port.to_port)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Published ports that nobody serves inside: there, the instance itself refuses.
pub(super) fn idle(sources: &[Source], answers: &[super::Answer]) -> BTreeSet<(String, u16)> {
    let mut idle = BTreeSet::new();
    for (source, answer) in sources.iter().zip(answers) {
        let states = answer.states.iter().skip(source.tries.len());
        let refused = source.serves.iter().zip(states).filter(|(_, state)| *state == "refused");
        idle.extend(refused.map(|((_, port), _)| (source.name.clone(), *port)));
    }
    idle
}
