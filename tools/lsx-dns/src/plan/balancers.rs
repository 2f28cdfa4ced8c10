//! Names of load balancers: `NAME.balance.DOMAIN`, and the host names that they answer for, if they are in a zone of the stack.
//! An instance gets the address at which it reaches the balancer: on its own network, if the balancer's host is on it, else that of the
//! host. Pure.

use crate::model::{Data, Entry, Seen};
use common::stack::resolved::{NetworkAt, Resolved};
use common::stack::{Balance, Stack};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// All records of balancers; `written` are names that have records already, which count.
pub(super) fn records(
    stack: &Stack,
    resolved: &Resolved,
    zones: &BTreeSet<String>,
    written: &BTreeSet<String>,
) -> Vec<Entry> {
    let ours = |name: &str| {
        let below = |zone: &String| name == zone || name.ends_with(&format!(".{zone}"));
        zones.iter().any(below) && !written.contains(name)
    };
    let mut all = Vec::new();
    for (key, balance) in &stack.balance {
        let own = format!("{key}.balance.{}", stack.domain);
        let hosts = balance.hostname.iter().cloned();
        let addresses = addresses(balance, resolved);
        for name in hosts.chain([own]).filter(|name| ours(name)) {
            all.extend(addresses.iter().map(|(address, networks)| Entry {
                name: name.clone(),
                data: Data::A(*address),
                ttl: None,
                seen: Seen::Networks(networks.clone()),
                of: format!("balance.{key}"),
            }));
        }
    }
    all
}

/// Addresses of a balancer, and the networks whose instances use them.
fn addresses(balance: &Balance, resolved: &Resolved) -> Vec<(Ipv4Addr, Vec<String>)> {
    let host = resolved.hosts.iter().find(|host| host.name == balance.host).map(|host| host.address);
    let mut all: Vec<(Ipv4Addr, Vec<String>)> = Vec::new();
    for network in resolved.networks.iter().filter(|network| lets_in(balance, network)) {
        let leg = network.legs.iter().find(|leg| leg.host == balance.host).map(|leg| leg.address);
        let Some(address) = balance.address.or(leg).or(host) else { continue };
        match all.iter_mut().find(|(known, _)| *known == address) {
            Some((_, networks)) => networks.push(network.name.clone()),
            None => all.push((address, vec![network.name.clone()])),
        }
    }
    all
}

/// Whether the balancer takes some instances of a network.
fn lets_in(balance: &Balance, network: &NetworkAt) -> bool {
    let Some(cidr) = network.cidr else { return balance.from.is_empty() };
    let overlaps = |from: &ipnet::Ipv4Net| from.contains(&cidr) || cidr.contains(from);
    balance.from.is_empty() || balance.from.iter().any(overlaps)
}
