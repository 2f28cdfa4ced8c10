//! What a host needs to know of the others: peers whose tunnel packets it accepts, their addresses, and their published
//! ports.

use super::wants;
use crate::Net;
use crate::model::{BalancedAt, Balancer, Desired, Elsewhere, Facts, Nic, Row};
use common::stack::resolved::{HostAt, PortAt, Resolved};
use common::tool::{ObservedOf, Tool};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Adds it for every host, after the desired state of each is known.
pub(super) fn fill(
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<Net>>,
    table: &BTreeMap<String, Vec<Row>>,
    goals: &mut BTreeMap<String, Desired>,
) {
    let published: Vec<Elsewhere> =
        resolved.hosts.iter().flat_map(|h| published(resolved, h, goals)).collect();
    let balanced: Vec<BalancedAt> =
        resolved.hosts.iter().flat_map(|h| balanced(resolved, h, goals)).collect();
    let nics = goals.values().flat_map(|d| &d.nics).filter(|n| !n.default);
    let others: BTreeSet<(String, Ipv4Addr)> = nics.map(|n| (n.network.clone(), n.address)).collect();
    for (host, desired) in goals {
        desired.peers = peers(desired, table);
        if !desired.networks.iter().any(|n| n.gateway) {
            continue;
        }
        let before = observed.get(host).and_then(|o| o.seen.intent.as_ref()).map(|i| &i.desired.closed);
        desired.closed = resolved
            .hosts
            .iter()
            .filter_map(|other| {
                let found = match observed.get(&other.name) {
                    Some(seen) => further(&seen.seen, other.address),
                    None => before?.get(&other.name)?.clone(),
                };
                (!found.is_empty()).then(|| (other.name.clone(), found))
            })
            .collect();
        let open: BTreeSet<Ipv4Net> = desired.let_in().into_iter().flat_map(|(_, nets)| nets).collect();
        if let Some(seen) = observed.get(host).filter(|_| !open.is_empty()) {
            let names: BTreeSet<&str> = wants::outward(desired, &seen.seen).collect();
            let outward = names.into_iter().map(str::to_owned).collect();
            desired.outward = outward;
            let aside = |(network, address): &&(String, Ipv4Addr)| {
                desired.networks.iter().any(|n| n.gateway && n.name == *network)
                    && open.iter().any(|net| net.contains(address))
            };
            desired.aside = others.iter().filter(aside).map(|(_, address)| *address).collect();
        }
        desired.elsewhere = published.iter().filter(|p| p.port.host != *host).cloned().collect();
        // The other host sees the address of this one, so that must be a source, too.
        let admits = |one: &&BalancedAt| {
            one.from.is_empty() || one.from.iter().any(|net| net.contains(&desired.address))
        };
        let others = balanced.iter().filter(|one| one.host != *host);
        let all: BTreeSet<BalancedAt> = others.filter(admits).cloned().collect();
        desired.balanced = all.into_iter().collect();
    }
}

/// The other ends of a host's tunnels. A host that shares no network with this one is no peer: nothing there would prevent
/// packets with its address.
fn peers(desired: &Desired, table: &BTreeMap<String, Vec<Row>>) -> Vec<Ipv4Addr> {
    let networks = desired.networks.iter().filter(|n| !n.tunnel.is_empty());
    let remotes = networks.filter_map(|n| table.get(&n.name)).flatten().map(|row| row.remote);
    let others: BTreeSet<Ipv4Addr> = remotes.filter(|remote| *remote != desired.address).collect();
    others.into_iter().collect()
}

/// Addresses in addition to the one in the document; loopback and link-local ones are different on every host.
pub(super) fn further(seen: &Facts, first: Ipv4Addr) -> Vec<Ipv4Addr> {
    let all = seen.addresses.iter().map(|(address, _)| *address);
    let meant = all.filter(|a| *a != first && !a.is_loopback() && !a.is_link_local());
    meant.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The published ports of a host, with the address used by others. For a host that was not observed, from the document.
fn published(resolved: &Resolved, host: &HostAt, goals: &BTreeMap<String, Desired>) -> Vec<Elsewhere> {
    let told = |port: &PortAt, default| Elsewhere { port: port.clone(), at: host.address, default };
    if let Some(desired) = goals.get(&host.name) {
        let is = |nic: &&Nic, port: &PortAt| nic.instance == port.instance && nic.network == port.network;
        let default =
            |port: &PortAt| desired.nics.iter().find(|nic| is(nic, port)).is_some_and(|nic| nic.default);
        return desired.ports.iter().map(|port| told(port, default(port))).collect();
    }
    let default = |port: &PortAt| {
        let instance = resolved.instances.iter().find(|i| i.name == port.instance);
        let nic = instance.and_then(|i| i.nics.iter().find(|nic| nic.network == port.network));
        nic.is_some_and(|nic| nic.gateway.is_some())
    };
    resolved.ports.iter().filter(|p| p.host == host.name).map(|port| told(port, default(port))).collect()
}

/// The load balancers of a host, by port. For a host that was not observed, from the document.
fn balanced(resolved: &Resolved, host: &HostAt, goals: &BTreeMap<String, Desired>) -> Vec<BalancedAt> {
    let one = |address: Option<Ipv4Addr>, port: u16, from: &[Ipv4Net]| BalancedAt {
        host: host.name.clone(),
        at: host.address,
        address,
        port,
        from: from.to_vec(),
    };
    if let Some(desired) = goals.get(&host.name) {
        let ports =
            |b: &Balancer| b.listen.iter().map(|port| one(b.address, *port, &b.from)).collect::<Vec<_>>();
        return desired.balance.iter().flat_map(ports).collect();
    }
    let own = resolved.services.iter().filter(|s| s.tool == Net::NAME && s.host == host.name);
    own.map(|s| one(s.address, s.port, &s.from)).collect()
}
