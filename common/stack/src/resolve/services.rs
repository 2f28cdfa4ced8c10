//! Services of tools on the routers of hosts: lsx-net opens exactly these ports.

use crate::model::Stack;
use crate::resolved::ServiceAt;
use crate::section::{S3Driver, dns_servers};
use crate::value::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The hosts whose routers have a leg on each network.
type Legs<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

/// The address of metadata services in clouds.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The first port that its server may have at the router's own addresses.
const INNER: u16 = 16_925;
/// The port of TFTP, that of HTTP, and the first one that boot files have otherwise.
const TFTP: u16 = 69;
const HTTP: u16 = 80;
const FURTHER: u16 = 8080;
/// Default port of S3.
pub(crate) const S3_PORT: u16 = 9000;

/// All services, by host, protocol and port.
pub(super) fn services(stack: &Stack, legs: &Legs<'_>) -> Vec<ServiceAt> {
    let mut all = balancers(stack, legs);
    all.extend(names(stack));
    all.extend(objects(stack));
    let files = files(stack, &all);
    all.extend(files);
    let metadata = metadata(stack, &all);
    all.extend(metadata);
    all.sort();
    all
}

fn service(host: &str, (name, tool): (&str, &str), protocol: Protocol, port: u16) -> ServiceAt {
    ServiceAt {
        host: host.to_owned(),
        protocol,
        port,
        name: name.to_owned(),
        tool: tool.to_owned(),
        address: None,
        inner: None,
        networks: Vec::new(),
        world: false,
        hosts: Vec::new(),
        from: Vec::new(),
    }
}

/// Networks by the host of their gateway: the given ones, or all.
fn routed(stack: &Stack, named: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, network) in &stack.networks {
        let Some(gateway) = &network.gateway else { continue };
        if named.is_empty() || named.contains(name) {
            all.entry(gateway.clone()).or_default().push(name.clone());
        }
    }
    all
}

fn balancers(stack: &Stack, legs: &Legs<'_>) -> Vec<ServiceAt> {
    let mut all = Vec::new();
    for (name, balance) in &stack.balance {
        let name = format!("balance/{name}");
        let here = legs.iter().filter(|(_, hosts)| hosts.contains(balance.host.as_str()));
        let networks: Vec<String> = here.map(|(network, _)| (*network).to_owned()).collect();
        all.extend(balance.listen.iter().map(|&port| ServiceAt {
            address: balance.address,
            networks: networks.clone(),
            world: true,
            from: balance.from.clone(),
            ..service(&balance.host, (&name, "net"), Protocol::Tcp, port)
        }));
    }
    all
}

/// DNS at every gateway; DHCP for networks that have it.
fn names(stack: &Stack) -> Vec<ServiceAt> {
    let Some(dns) = &stack.dns else { return Vec::new() };
    let mut all = Vec::new();
    for (host, networks) in routed(stack, &[]) {
        let leased: Vec<String> =
            networks.iter().filter(|network| dns.dhcp.contains_key(*network)).cloned().collect();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            all.push(ServiceAt {
                networks: networks.clone(),
                ..service(&host, ("dns", "dns"), protocol, 53)
            });
        }
        if leased.is_empty() {
            continue;
        }
        all.push(ServiceAt { networks: leased, ..service(&host, ("dhcp", "dns"), Protocol::Udp, 67) });
    }
    if let Some((host, others)) = dns_servers(stack) {
        let hosts = others.into_iter().map(str::to_owned).collect();
        all.push(ServiceAt { hosts, ..service(host, ("servers", "dns"), Protocol::Tcp, 53) });
    }
    all
}

/// Boot files by TFTP, and by HTTP at a port that no other service of the router has.
fn files(stack: &Stack, others: &[ServiceAt]) -> Vec<ServiceAt> {
    let Some(dns) = stack.dns.as_ref().filter(|dns| dns.boot.is_some() && !dns.dhcp.is_empty()) else {
        return Vec::new();
    };
    let leased: Vec<String> = dns.dhcp.keys().cloned().collect();
    let served = |(host, networks): (String, Vec<String>)| {
        let free = |port: &u16| others.iter().all(|at| at.host != host || at.port != *port);
        let http = std::iter::once(HTTP).chain(FURTHER..).find(free);
        let ports = [Some((Protocol::Udp, TFTP)), http.map(|port| (Protocol::Tcp, port))];
        let one = |(protocol, port)| ServiceAt {
            networks: networks.clone(),
            ..service(&host, ("boot", "dns"), protocol, port)
        };
        ports.into_iter().flatten().map(one).collect::<Vec<_>>()
    };
    routed(stack, &leased).into_iter().flat_map(served).collect()
}

/// Metadata, at a port that no other service of the router has.
fn metadata(stack: &Stack, others: &[ServiceAt]) -> Vec<ServiceAt> {
    let Some(meta) = &stack.meta else { return Vec::new() };
    let free = |port: &u16| others.iter().all(|at| at.port != *port);
    let served = |(host, networks): (String, Vec<String>)| ServiceAt {
        address: Some(METADATA),
        inner: (INNER..).find(free),
        networks,
        ..service(&host, ("meta", "dns"), Protocol::Tcp, 80)
    };
    routed(stack, &meta.networks).into_iter().map(served).collect()
}

/// S3, if the stack serves it, for networks that have its host as gateway.
fn objects(stack: &Stack) -> Vec<ServiceAt> {
    let s3 = stack.store.as_ref().and_then(|store| store.s3.as_ref());
    let Some(s3) = s3.filter(|s3| s3.driver == S3Driver::Embedded) else { return Vec::new() };
    let Some(host) = &s3.host else { return Vec::new() };
    let networks = routed(stack, &s3.networks).remove(host).unwrap_or_default();
    let port = s3.port.unwrap_or(S3_PORT);
    vec![ServiceAt { networks, ..service(host, ("s3", "store"), Protocol::Tcp, port) }]
}
