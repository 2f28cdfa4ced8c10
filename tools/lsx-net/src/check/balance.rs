//! Load balancers: at which ports they answer, what they are asked, and whether their replicas are ready. Pure.

use super::source::{Try, one};
use super::tries::Probe;
use crate::model::ReplicaAt;
use crate::probe::Http;
use common::stack::Balance;
use common::stack::resolved::{InstanceAt, NicAt, Resolved, ServiceAt};
use common::tool::{Checked, Finding, Tool};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Time limit of a request, in milliseconds: HAProxy itself waits five seconds for a replica.
pub(super) const TIMEOUT_MS: u64 = 15_000;

/// What is wrong with the replicas of load balancers, by balancer and replica.
pub(super) type Faults = BTreeMap<String, BTreeMap<String, String>>;

/// The ports of load balancers.
fn ports(resolved: &Resolved) -> impl Iterator<Item = &ServiceAt> {
    resolved.services.iter().filter(|service| service.tool == crate::Net::NAME)
}

/// The hosts that have a load balancer.
pub(super) fn hosts<'a>(resolved: &'a Resolved, taking_part: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    ports(resolved).map(|service| service.host.as_str()).filter(|host| taking_part.contains(host)).collect()
}

/// The ports of hosts, each with the load balancers that share it.
fn doors(resolved: &Resolved) -> Vec<Vec<&ServiceAt>> {
    let mut doors: BTreeMap<_, Vec<&ServiceAt>> = BTreeMap::new();
    for service in ports(resolved) {
        doors.entry((&service.host, service.address, service.port)).or_default().push(service);
    }
    doors.into_values().collect()
}

/// A test of a port.
fn at(service: &ServiceAt, address: Ipv4Addr, open: bool) -> Try {
    let probe = Probe::Connect { port: service.port };
    let why = match open {
        true => format!("{} has the load balancer", service.host),
        false => "`from` does not name it".to_owned(),
    };
    // A refusal is no answer of the load balancer.
    let serves = Some(service.port);
    Try { serves, ..one(service.name.clone(), false, address, probe, open, &why) }
}

/// The address of the document at which a port is tried.
fn asked(resolved: &Resolved, service: &ServiceAt) -> Option<Ipv4Addr> {
    let host = resolved.hosts.iter().find(|host| host.name == service.host)?;
    Some(service.address.unwrap_or(host.address))
}

/// Whether one of the balancers of a port is for all of these sources.
pub(super) fn admits(door: &[&ServiceAt], sources: &[Ipv4Addr]) -> bool {
    let named = |from: &[Ipv4Net], source: &Ipv4Addr| from.iter().any(|net| net.contains(source));
    door.iter().any(|one| one.from.is_empty() || sources.iter().all(|source| named(&one.from, source)))
}

/// From a host: each port at the address of its host.
pub(super) fn by_host(resolved: &Resolved, from: &str) -> Vec<Try> {
    let Some(me) = resolved.hosts.iter().find(|host| host.name == from) else { return Vec::new() };
    let one = |door: &Vec<&ServiceAt>| {
        let service = door.first()?;
        // On its own host the source is another address.
        let known = service.host != from || door.iter().any(|one| one.from.is_empty());
        known.then_some(at(service, asked(resolved, service)?, admits(door, &[me.address])))
    };
    doors(resolved).iter().filter_map(one).collect()
}

/// From an instance: each port at the address of its host, through the router of the default route; and at the addresses of
/// that host on the instance's own networks.
pub(super) fn by_instance(resolved: &Resolved, from: &InstanceAt) -> Vec<Try> {
    let network = |nic: &NicAt| resolved.networks.iter().find(|n| n.name == nic.network);
    let default = from.nics.iter().find(|nic| nic.gateway.is_some());
    let router = default.and_then(network).and_then(|n| n.gateway.as_deref());
    let router = router.and_then(|name| resolved.hosts.iter().find(|host| host.name == name));
    let mut tries = Vec::new();
    for door in doors(resolved) {
        let Some(service) = door.first() else { continue };
        if let (Some(nic), Some(router), Some(to)) = (default, router, asked(resolved, service)) {
            // Another host sees the address of the router's host.
            let seen = (router.name != service.host).then_some(router.address);
            let sources: Vec<Ipv4Addr> = std::iter::once(nic.address.addr()).chain(seen).collect();
            tries.push(at(service, to, admits(&door, &sources)));
        }
        for nic in from.nics.iter().filter(|_| service.address.is_none()) {
            let legs = network(nic).into_iter().flat_map(|n| &n.legs);
            let here = legs.filter(|leg| leg.host == service.host);
            tries.extend(here.map(|leg| at(service, leg.address, admits(&door, &[nic.address.addr()]))));
        }
    }
    tries
}

/// A name that a balancer is for.
fn named(one: &Balance) -> Option<String> {
    let first = one.hostname.first()?;
    Some(first.strip_prefix('*').map_or_else(|| first.clone(), |below| format!("check{below}")))
}

/// The request that a balancer, or a replica behind it, gets.
pub(super) fn request(one: &Balance, port: u16, tls: bool, leaf: Option<String>) -> Http {
    let path = one.path.clone().unwrap_or_else(|| "/".to_owned());
    let name = named(one);
    let server_name = name.clone().filter(|_| tls);
    Http { tls, server_name, host: name, ca: leaf.filter(|_| tls), ..Http::new(port, path) }
}

/// Checks what hosts report about the replicas behind their load balancers.
pub(super) fn judge(resolved: &Resolved, said: &BTreeMap<String, Vec<ReplicaAt>>, checked: &mut Checked) {
    let mut seen = BTreeSet::new();
    for service in ports(resolved) {
        let Some(all) = said.get(&service.host).filter(|_| seen.insert(&service.name)) else { continue };
        let name = service.name.trim_start_matches("balance/");
        let own: Vec<&ReplicaAt> = all.iter().filter(|replica| replica.balancer == name).collect();
        if own.is_empty() {
            checked.found(finding(resolved, service, "HAProxy does not report it".to_owned(), ""));
        }
        for replica in own {
            match replica.state.as_str() {
                "up" | "drain" => checked.passed(),
                state => {
                    let why = replica.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                    let what = format!(
                        "{} is {state}{why}{}",
                        replica.instance,
                        at_host(resolved, &replica.instance)
                    );
                    let first = "start it, or see in its log why it is not ready; ";
                    checked.found(finding(resolved, service, what, first));
                }
            }
        }
    }
}

/// Where a replica is.
pub(super) fn at_host(resolved: &Resolved, replica: &str) -> String {
    let instance = resolved.instances.iter().find(|one| one.name == replica);
    instance.map(|one| format!(" (on {})", one.host)).unwrap_or_default()
}

fn finding(resolved: &Resolved, service: &ServiceAt, what: String, first: &str) -> Finding {
    let log = format!("/var/lib/lsx/net/{}/log/{}/log", resolved.stack, crate::model::BALANCE);
    Finding {
        code: "net.check.balance".to_owned(),
        host: service.host.clone(),
        message: format!("{}: {what}", service.name),
        hint: Some(format!("{first}see the log of HAProxy on {}: {log}", service.host)),
    }
}
