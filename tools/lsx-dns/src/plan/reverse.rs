//! Reverse zones: names for the addresses of networks and hosts (RFC 1035 3.5). Pure.

use super::names::{own_names, owners};
use crate::model::{Data, Entry, Seen};
use common::stack::resolved::Resolved;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The zones of all networks, and one for each host's address. A zone begins at a dot, so a network may have several: those
/// that have no address of anybody else.
pub(super) fn zones(resolved: &Resolved) -> BTreeSet<String> {
    let networks = resolved.networks.iter().filter_map(|network| network.cidr).map(|cidr| cidr.trunc());
    let hosts = resolved.hosts.iter().map(|host| Ipv4Net::from(host.address));
    networks.chain(hosts).flat_map(of_range).collect()
}

fn of_range(range: Ipv4Net) -> Vec<String> {
    let octets = match range.prefix_len() {
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        25..=32 => 4,
        _ => return Vec::new(),
    };
    let zone = |part: Ipv4Net| apex(part.network(), usize::from(octets));
    range.subnets(octets * 8).map(|parts| parts.map(zone).collect()).unwrap_or_default()
}

/// The name of the first octets of an address.
fn apex(address: Ipv4Addr, octets: usize) -> String {
    let mut labels: Vec<String> = address.octets()[..octets].iter().map(u8::to_string).collect();
    labels.reverse();
    format!("{}.in-addr.arpa", labels.join("."))
}

/// A name for every address of an instance and of a host.
pub(super) fn records(resolved: &Resolved) -> Vec<Entry> {
    let entry = |address: Ipv4Addr, name: &str, seen: Seen, of: String| Entry {
        name: apex(address, 4),
        data: Data::Ptr(name.to_owned()),
        ttl: None,
        seen,
        of,
    };
    let owners = owners(resolved);
    let of = |at: Ipv4Addr| owners.get(&at).map(|of| format!("instances.{of}")).unwrap_or_default();
    let names = own_names(resolved).into_iter();
    let mut all: Vec<Entry> = names.map(|(at, name)| entry(at, name, Seen::Reaching(at), of(at))).collect();
    let hosts = resolved.hosts.iter();
    all.extend(hosts.map(|at| entry(at.address, &at.fqdn, Seen::All, format!("hosts.{}", at.name))));
    all
}
