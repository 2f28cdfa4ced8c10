//! Networks stay connected to hosts that keep instances which the document no longer names.

use crate::model::Intent;
use common::stack::resolved::{LegAt, NetworkAt, NetworkKind, Resolved};
use common::stack::{LinkKind, link_prefix};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The resolved stack with its networks on all hosts that keep parts of them. `named` lists the document's instances.
pub(super) fn carried<'a>(
    resolved: &Resolved,
    intents: impl Iterator<Item = (&'a str, &'a Intent)>,
    named: impl Fn(&str) -> bool,
) -> Resolved {
    let mut wider = resolved.clone();
    let hosts: BTreeMap<Ipv4Addr, &str> =
        resolved.hosts.iter().map(|h| (h.address, h.name.as_str())).collect();
    for (host, intent) in intents {
        for network in wider.networks.iter_mut().filter(|n| n.kind == NetworkKind::Overlay) {
            let rows = intent.rows.iter().filter(|r| r.network == network.name);
            let kept = rows.filter(|r| !r.owner.starts_with("host/") && !named(&r.owner));
            let homes: Vec<&str> = kept.filter_map(|r| hosts.get(&r.remote).copied()).collect();
            homes.iter().for_each(|home| reach(network, home));
            if homes.contains(&host) {
                stay(network, host, intent, &named);
            }
        }
    }
    for network in wider.networks.iter_mut().filter(|n| n.hosts.len() > 1 && n.tunnel.is_empty()) {
        // The names of a network's bridge and tunnel are equal after the six letters of their kind.
        let tail = network.bridge.get(6..).unwrap_or_default();
        network.tunnel = link_prefix(&resolved.stack, LinkKind::Tunnel) + tail;
    }
    wider
}

fn reach(network: &mut NetworkAt, host: &str) {
    if !network.hosts.iter().any(|h| h == host) {
        network.hosts.push(host.to_owned());
        network.hosts.sort();
    }
}

/// The host may have the smallest MTU, and its leg may publish ports.
fn stay(network: &mut NetworkAt, host: &str, intent: &Intent, named: &impl Fn(&str) -> bool) {
    let Some(old) = intent.desired.networks.iter().find(|n| n.name == network.name) else { return };
    network.mtu = network.mtu.min(old.mtu);
    let published = intent.desired.ports.iter().any(|p| p.network == old.name && !named(&p.instance));
    let absent = !network.legs.iter().any(|leg| leg.host == host);
    if let Some(leg) = old.leg.as_ref().filter(|_| published && absent) {
        network.legs.push(LegAt {
            host: host.to_owned(),
            address: leg.address,
            mac: leg.mac.clone(),
            link: leg.link.clone(),
        });
        network.legs.sort_by(|a, b| a.host.cmp(&b.host));
    }
}
