//! What tools serve on the routers of hosts: lsx-net opens exactly these.

use crate::stack::model::Stack;
use crate::stack::resolved::ServiceAt;
use crate::stack::value::Protocol;
use std::collections::{BTreeMap, BTreeSet};

/// The networks on which a router has a leg, by network.
type Legs<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

/// All of them, by host, protocol and port.
pub(super) fn services(stack: &Stack, legs: &Legs<'_>) -> Vec<ServiceAt> {
    let mut all = balancers(stack, legs);
    all.sort();
    all
}

/// The networks on which a host has a leg.
fn on(legs: &Legs<'_>, host: &str) -> Vec<String> {
    let here = legs.iter().filter(|(_, hosts)| hosts.contains(host));
    here.map(|(network, _)| (*network).to_owned()).collect()
}

fn balancers(stack: &Stack, legs: &Legs<'_>) -> Vec<ServiceAt> {
    let mut all = Vec::new();
    for (name, balance) in &stack.balance {
        all.extend(balance.listen.iter().map(|&port| ServiceAt {
            host: balance.host.clone(),
            protocol: Protocol::Tcp,
            port,
            name: format!("balance/{name}"),
            tool: "net".to_owned(),
            address: balance.address,
            networks: on(legs, &balance.host),
            world: true,
            from: balance.from.clone(),
        }));
    }
    all
}
