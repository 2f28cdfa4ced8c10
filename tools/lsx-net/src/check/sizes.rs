//! Packets of the maximum size, and one byte larger: within networks, and on the underlay. Pure.

use super::source::{Source, Try, one};
use super::tries::{Answer, Probe};
use common::stack::resolved::{HostAt, InstanceAt, Resolved};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Between each two hosts of a network one packet of its MTU, and one a byte larger, unfragmented.
pub(super) fn full(resolved: &Resolved, all: &[&InstanceAt], sources: &mut [Source]) {
    for network in &resolved.networks {
        let mut first: BTreeMap<&str, (&str, Ipv4Addr)> = BTreeMap::new();
        for instance in all {
            if let Some(nic) = instance.nics.iter().find(|n| n.network == network.name) {
                first.entry(&instance.host).or_insert((&instance.name, nic.address.addr()));
            }
        }
        for (host, (from, _)) in &first {
            let Some(source) = sources.iter_mut().find(|s| s.name == *from) else { continue };
            for (_, (to, address)) in first.iter().filter(|(other, _)| other != &host) {
                let why = format!("the MTU of {} is {}", network.name, network.mtu);
                let size = |bytes, open| {
                    one((*to).to_owned(), true, *address, Probe::Full { bytes, search: false }, open, &why)
                };
                source.tries.extend([size(network.mtu, true), size(network.mtu + 1, false)]);
            }
        }
    }
}

/// Between two hosts, the size that passes in both directions: some links receive more than they send.
pub(super) fn both_ways(sources: &[Source], answers: &mut [Answer]) {
    let pair = |from: &str, to: &str| {
        if from < to { (from.to_owned(), to.to_owned()) } else { (to.to_owned(), from.to_owned()) }
    };
    let mut least: BTreeMap<(String, String), u32> = BTreeMap::new();
    for (source, answer) in sources.iter().zip(answers.iter()) {
        for (i, bytes) in &answer.most {
            let Some(one) = source.tries.get(*i) else { continue };
            let least = least.entry(pair(&source.name, &one.to)).or_insert(*bytes);
            *least = (*least).min(*bytes);
        }
    }
    for (source, answer) in sources.iter().zip(answers) {
        for (i, bytes) in &mut answer.most {
            let known = source.tries.get(*i).and_then(|one| least.get(&pair(&source.name, &one.to)));
            *bytes = known.copied().unwrap_or(*bytes);
        }
    }
}

/// What to do about a size that does not pass: the `mtu` of a host to write, if it is large enough for tunnels.
pub(super) fn hint(bytes: u32, one: &Try) -> String {
    let host = one.to.strip_prefix("host/").unwrap_or(&one.to);
    let least = *common::stack::HOST_MTU.start();
    if bytes >= least {
        return format!("{bytes} bytes pass: write hosts.{host}.mtu: {bytes}");
    }
    format!("only {bytes} bytes pass, but tunnels need {least}: increase the MTU between the hosts")
}

/// The underlay must carry the documented size, or tunnel packets are fragmented.
pub(super) fn underlay(resolved: &Resolved, from: &str) -> Vec<Try> {
    let hosts = &resolved.hosts;
    let Some(me) = hosts.iter().find(|h| h.name == from) else { return Vec::new() };
    let meets = |h: &&HostAt| {
        let both = |hosts: &[String]| hosts.contains(&h.name) && hosts.contains(&me.name);
        h.name != from && resolved.networks.iter().any(|n| both(&n.hosts))
    };
    let full = |h: &HostAt| {
        let bytes = me.mtu.min(h.mtu);
        let probe = Probe::Full { bytes, search: true };
        one(format!("host/{}", h.name), false, h.address, probe, true, &format!("hosts.*.mtu says {bytes}"))
    };
    hosts.iter().filter(|h| !h.offline).filter(meets).map(full).collect()
}
