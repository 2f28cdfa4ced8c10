//! Replicas whose readiness decides whether answers have them: those with a `ready` that can be probed from the router, if there is another
//! one. A program in the instance cannot be probed from there, so such instances count as ready. Pure.

use crate::model::{Data, Entry, Health, Replica, Seen};
use common::stack::resolved::Resolved;
use common::stack::{Dns, Duration, Pace, Ready, Stack};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The default interval of probes in seconds.
const INTERVAL: u64 = 5;
/// The longest TTL of a name with such replicas: clients shall notice.
const TTL: u32 = 10;

/// What the server of a host probes: replicas on networks that its router is on. Others count as ready.
pub(super) fn of(stack: &Stack, resolved: &Resolved, dns: &Dns, host: &str) -> Option<Health> {
    let interval = match dns.health {
        None => INTERVAL,
        Some(Pace(Some(Duration(seconds)))) => seconds,
        Some(Pace(None)) => return None,
    };
    let here = |network: &str| {
        let network = resolved.networks.iter().find(|at| at.name == network);
        network.is_some_and(|at| at.legs.iter().any(|leg| leg.host == host))
    };
    let replicas = replicas(stack, resolved);
    let replicas = replicas.into_iter().filter(|(network, _)| here(network)).map(|(_, replica)| replica);
    let replicas: Vec<Replica> = replicas.collect();
    let interval = u32::try_from(interval).unwrap_or(u32::MAX).max(1);
    (!replicas.is_empty()).then_some(Health { interval, replicas })
}

/// All replicas that can be probed, with their networks.
fn replicas<'a>(stack: &Stack, resolved: &'a Resolved) -> Vec<(&'a str, Replica)> {
    let mut all = Vec::new();
    for at in &resolved.instances {
        let several = resolved.instances.iter().filter(|other| other.of == at.of).count() > 1;
        let ready = stack.instances.get(&at.of).and_then(|instance| instance.ready.as_ref());
        let Some((port, path)) = ready.and_then(probed).filter(|_| several) else { continue };
        for nic in at.nics.iter().filter(|nic| !nic.address.addr().is_unspecified()) {
            let replica = Replica { address: nic.address.addr(), port, path: path.clone() };
            all.push((nic.network.as_str(), replica));
        }
    }
    all
}

/// Port and path. By TLS and with a banner, a connection is enough.
fn probed(ready: &Ready) -> Option<(u16, Option<String>)> {
    let http = ready.http.as_ref().map(|http| (http.port, Some(http.path.clone())));
    let https = ready.https.as_ref().map(|https| (https.port, None));
    let banner = ready.banner.as_ref().map(|banner| (banner.port, None));
    ready.tcp.map(|port| (port, None)).or(http).or(https).or(banner)
}

/// Gives the records of such replicas a short TTL.
pub(super) fn shorten(stack: &Stack, resolved: &Resolved, dns: &Dns, records: &mut [Entry]) {
    if dns.health == Some(Pace(None)) {
        return;
    }
    let usual = dns.ttl.map_or(TTL, |ttl| u32::try_from(ttl.0).unwrap_or(u32::MAX));
    let all = replicas(stack, resolved).into_iter().map(|(_, replica)| replica.address);
    let all: BTreeSet<Ipv4Addr> = all.collect();
    for entry in records.iter_mut().filter(|entry| matches!(entry.data, Data::A(_) | Data::Srv(..))) {
        if let Seen::Reaching(address) = entry.seen
            && all.contains(&address)
        {
            entry.ttl = Some(usual.min(TTL));
        }
    }
}
