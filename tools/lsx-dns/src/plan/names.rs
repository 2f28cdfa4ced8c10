//! Names of instances, hosts, services and records. Pure.

use crate::model::{Data, Entry, Seen};
use common::stack::resolved::{InstanceAt, NicAt, Resolved};
use common::stack::{Dns, DnsService, Protocol, Record, Stack, dns_name, dns_target};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The zones of names: the domain, and networks whose domain is not below it.
pub(super) fn zones(stack: &Stack, resolved: &Resolved) -> BTreeSet<String> {
    let below = |name: &str| name == stack.domain || name.ends_with(&format!(".{}", stack.domain));
    let others = resolved.networks.iter().filter(|network| !below(&network.domain));
    others.map(|network| network.domain.clone()).chain([stack.domain.clone()]).collect()
}

/// All records of names.
pub(super) fn records(stack: &Stack, resolved: &Resolved, dns: &Dns) -> Vec<Entry> {
    let mut all = Vec::new();
    let address = |name: &str, address: Ipv4Addr, seen: Seen, of: String| Entry {
        name: name.to_owned(),
        data: Data::A(address),
        ttl: None,
        seen,
        of,
    };
    let owners = owners(resolved);
    let of = |at: Ipv4Addr| owners.get(&at).map(|of| format!("instances.{of}")).unwrap_or_default();
    let names = resolved.names.iter();
    all.extend(names.map(|at| address(&at.name, at.address, Seen::Reaching(at.address), of(at.address))));
    let hosts = resolved.hosts.iter();
    all.extend(hosts.map(|at| address(&at.fqdn, at.address, Seen::All, format!("hosts.{}", at.name))));
    for (name, service) in &dns.services {
        all.extend(services(stack, resolved, name, service));
    }
    let mut written = BTreeSet::new();
    for (key, record) in &dns.records {
        written.insert(dns_name(stack, key));
        all.extend(record_of(stack, key, record));
    }
    let server = server(&stack.domain);
    if !written.contains(&server) {
        let gateways = resolved.networks.iter().filter(|network| network.gateway.is_some());
        all.extend(gateways.filter_map(|network| {
            let gateway = network.gateway_address?;
            let of = format!("networks.{}.gateway", network.name);
            Some(address(&server, gateway, Seen::Reaching(gateway), of))
        }));
    }
    all
}

/// The name of the servers, in SOA and NS records.
pub(crate) fn server(domain: &str) -> String {
    format!("ns.{domain}")
}

/// The name of all replicas of an instance, without a domain.
pub(super) fn base_of<'s>(stack: &'s Stack, at: &'s InstanceAt) -> &'s str {
    let instance = stack.instances.get(&at.of);
    instance.and_then(|instance| instance.hostname.as_deref()).unwrap_or(&at.of)
}

/// The name of an instance on one of its networks.
pub(super) fn name_on(stack: &Stack, resolved: &Resolved, at: &InstanceAt, nic: &NicAt) -> Option<String> {
    let domain = resolved.networks.iter().find(|network| network.name == nic.network)?.domain.as_str();
    let number = at.name.strip_prefix(&at.of).unwrap_or_default(); // `-1` of a replica
    Some(format!("{}{number}.{domain}", base_of(stack, at)))
}

/// A service on each network of its instances, and once below the domain, by the first network of each instance (RFC 2782).
fn services(stack: &Stack, resolved: &Resolved, name: &str, service: &DnsService) -> Vec<Entry> {
    let protocol = match service.protocol {
        Some(Protocol::Udp) => "udp",
        _ => "tcp",
    };
    let mut all = Vec::new();
    for at in resolved.instances.iter().filter(|at| at.of == service.to) {
        for (i, nic) in at.nics.iter().enumerate() {
            let address = nic.address.addr();
            let Some(target) = name_on(stack, resolved, at, nic).filter(|_| !address.is_unspecified()) else {
                continue;
            };
            let domain = stack.network_domain(&nic.network);
            let first = (i == 0).then(|| stack.domain.clone());
            all.extend([domain].into_iter().chain(first).map(|domain| Entry {
                name: format!("_{name}._{protocol}.{domain}"),
                data: Data::Srv(0, 0, service.port, target.clone()),
                ttl: None,
                seen: Seen::Reaching(address),
                of: format!("dns.services.{name}"),
            }));
        }
    }
    all
}

/// The records of one name of the document, whose texts have been validated.
fn record_of(stack: &Stack, key: &str, record: &Record) -> Vec<Entry> {
    let target = |name: &str| dns_target(stack, name);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let number = |words: &[String], i: usize| words.get(i).and_then(|word| word.parse().ok()).unwrap_or(0);
    let last = |words: &[String]| target(words.last().map(String::as_str).unwrap_or_default());
    let mut data: Vec<Data> = Vec::new();
    data.extend(record.a.iter().map(|address| Data::A(*address)));
    data.extend(record.aaaa.iter().map(|address| Data::Aaaa(*address)));
    data.extend(record.cname.iter().map(|name| Data::Cname(target(name))));
    data.extend(record.txt.iter().map(|text| Data::Txt(text.clone())));
    data.extend(record.ptr.iter().map(|name| Data::Ptr(target(name))));
    data.extend(record.ns.iter().map(|name| Data::Ns(target(name))));
    data.extend(record.mx.iter().map(|text| words(text)).map(|w| Data::Mx(number(&w, 0), last(&w))));
    let srv = |w: Vec<String>| Data::Srv(number(&w, 0), number(&w, 1), number(&w, 2), last(&w));
    data.extend(record.srv.iter().map(|text| srv(words(text))));
    data.extend(record.caa.iter().map(|text| {
        let mut parts = text.splitn(3, ' ');
        let flags = parts.next().and_then(|flags| flags.parse().ok()).unwrap_or(0);
        let mut part = || parts.next().unwrap_or_default().to_owned();
        Data::Caa(flags, part(), part())
    }));
    let seen = match record.networks.as_slice() {
        [] => Seen::All,
        some => Seen::Networks(some.to_vec()),
    };
    let ttl = record.ttl.map(|ttl| u32::try_from(ttl.0).unwrap_or(u32::MAX));
    let entry = |data| Entry {
        name: dns_name(stack, key),
        data,
        ttl,
        seen: seen.clone(),
        of: format!("dns.records.{key}"),
    };
    data.into_iter().map(entry).collect()
}

/// The instance that has an address.
pub(super) fn owners(resolved: &Resolved) -> BTreeMap<Ipv4Addr, &str> {
    let nics = resolved.instances.iter().flat_map(|at| at.nics.iter().map(move |nic| (at, nic)));
    nics.map(|(at, nic)| (nic.address.addr(), at.of.as_str())).collect()
}

/// The names of each address that no other address has; the longest is that of one replica.
pub(super) fn own_names(resolved: &Resolved) -> BTreeMap<Ipv4Addr, &str> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    resolved.names.iter().for_each(|at| *count.entry(&at.name).or_default() += 1);
    let mut names: BTreeMap<Ipv4Addr, &str> = BTreeMap::new();
    for at in &resolved.names {
        let rank = |name: &str| (count.get(name) == Some(&1), name.len());
        let name = names.entry(at.address).or_insert(&at.name);
        if rank(&at.name) > rank(name) {
            *name = &at.name;
        }
    }
    names
}
