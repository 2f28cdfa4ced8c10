//! Load balancers: from the document to what a host serves, and the conflicts. Pure.

use super::{Gathered, PlanInput};
use crate::model::{Backend, Balancer, CertificateState, Desired, Facts, Health};
use common::plan::Warning;
use common::stack::resolved::{InstanceAt, NetworkAt, Protocol, Resolved};
use common::stack::{Algorithm, Balance, Instance, Stack, Sticky};
use common::tool::{Goal, Tool};
use common::{Failure, Kind};
use std::collections::BTreeSet;

/// Default idle time of a connection, in milliseconds.
const IDLE: u64 = 60_000;

/// The balancers of a host. One that is not in the document is removed, as a permission is: it opens access and keeps no
/// data. With `--only`, those that are not selected stay as they are.
pub(super) fn of_host(
    input: &PlanInput,
    resolved: &Resolved,
    host: &str,
    kept: Option<&Desired>,
) -> Vec<Balancer> {
    let Goal::Up(stack, _) = &input.goal else { return Vec::new() };
    let named = stack.balance.iter().filter(|(name, one)| one.host == host && input.only.balance(name));
    let mut all: Vec<Balancer> =
        named.map(|(name, one)| balancer(name, one, stack, resolved, &input.gathered)).collect();
    let old = kept.into_iter().flat_map(|kept| &kept.balance);
    all.extend(old.filter(|one| !input.only.balance(&one.name)).cloned());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn balancer(name: &str, one: &Balance, stack: &Stack, resolved: &Resolved, gathered: &Gathered) -> Balancer {
    let secret = one.tls_secret().and_then(|name| gathered.secrets.get(name));
    let instance = stack.instances.get(&one.to);
    let mut listen = one.listen.clone();
    listen.sort_unstable();
    listen.dedup();
    let secure = listen.iter().copied().find(|port| one.ends_tls(*port));
    Balancer {
        name: name.to_owned(),
        address: one.address,
        hostname: one.hostname.clone(),
        path: one.path.clone(),
        mode: one.mode(),
        algorithm: one.algorithm.unwrap_or(Algorithm::RoundRobin),
        sticky: one.sticky,
        tls: one.tls.clone(),
        folder: one.tls_folder(&stack.name),
        digest: secret.map(|found| found.digest.clone()),
        redirect: secure.filter(|_| one.redirect),
        proxy: one.proxy,
        timeout_ms: one.timeout.map_or(IDLE, |time| time.0 * 1000),
        from: one.from.clone(),
        health: health(one, instance),
        backends: backends(one, instance, resolved),
        listen,
    }
}

fn health(one: &Balance, instance: Option<&Instance>) -> Health {
    let Some(ready) = instance.and_then(|instance| instance.ready.as_ref()) else {
        return Health::Tcp(one.port);
    };
    if let Some(http) = ready.http.as_ref().or(ready.https.as_ref()) {
        let (port, path) = (http.port, http.path.clone());
        return Health::Http { port, path, tls: ready.http.is_none() };
    }
    match &ready.banner {
        Some(banner) => Health::Banner { port: banner.port, holds: banner.holds.clone() },
        None => Health::Tcp(ready.tcp.unwrap_or(one.port)),
    }
}

/// The replicas behind a balancer.
pub(crate) fn backends(one: &Balance, instance: Option<&Instance>, resolved: &Resolved) -> Vec<Backend> {
    let first = instance.and_then(|instance| instance.networks.first()).map(|nic| nic.name.as_str());
    let network = one.network.as_deref().or(first);
    let replicas = resolved.instances.iter().filter(|at| at.of == one.to);
    let backend = |at: &InstanceAt| {
        let nic = at.nics.iter().find(|nic| Some(nic.network.as_str()) == network)?;
        let drained = one.drain.contains(&at.name);
        let weight = if drained { 0 } else { one.weight.get(&at.name).copied().unwrap_or(1) };
        Some(Backend { name: at.name.clone(), address: nic.address.addr(), port: one.port, weight })
    };
    replicas.filter_map(backend).collect()
}

/// What keeps a host from serving its balancers.
pub(super) fn failures(desired: &Desired, facts: &Facts) -> Vec<Failure> {
    let Some(first) = desired.balance.first() else { return Vec::new() };
    let mut failures = Vec::new();
    if !facts.haproxy {
        let message = format!("balance.{} needs HAProxy, which is not installed", first.name);
        failures.push(
            Failure::new(Kind::Failed, "net.plan.haproxy", message)
                .at(format!("balance.{}", first.name))
                .hint(
                    "install it on the host (apt-get install haproxy); it need not be enabled as a service",
                ),
        );
    }
    failures.extend(taken(desired, facts));
    failures
}

/// Certificates that cannot be used.
pub(super) fn uncertified(desired: &Desired, facts: &Facts) -> Vec<Warning> {
    let one = |state: &CertificateState| {
        let users = desired.balance.iter().filter(|one| one.folder.as_ref() == Some(&state.folder));
        let names: Vec<&str> = users.map(|one| one.name.as_str()).collect();
        let message = format!("{}: balance.{}", desired.host, state.wrong(&names)?);
        (!names.is_empty()).then(|| Warning { code: "net.balance.certificate".to_owned(), message })
    };
    facts.certificates.iter().filter(|state| state.stack == desired.stack).filter_map(one).collect()
}

/// Sources of `from` that cannot be told apart: instances behind the router of another host come with that host's address.
pub(super) fn hidden(resolved: &Resolved) -> Vec<Warning> {
    let address = |name: &str| resolved.hosts.iter().find(|host| host.name == name).map(|host| host.address);
    let mut warnings = Vec::new();
    for service in resolved.services.iter().filter(|s| s.tool == crate::Net::NAME) {
        let named = |net: &&NetworkAt| {
            net.cidr.is_some_and(|cidr| {
                service.from.iter().any(|from| from.contains(&cidr) || cidr.contains(from))
            })
        };
        for network in resolved.networks.iter().filter(named) {
            let Some(gateway) = network.gateway.as_deref().filter(|host| *host != service.host) else {
                continue;
            };
            let Some(seen) = address(gateway).filter(|at| !service.from.iter().any(|net| net.contains(at)))
            else {
                continue;
            };
            let leg = network.legs.iter().find(|leg| leg.host == service.host && service.address.is_none());
            let only = match leg {
                Some(leg) => format!("they reach it only at {}", leg.address),
                None => format!("they reach it only if `from` has {seen}, too"),
            };
            let message = format!(
                "{}: instances of {} come to {} with the address of {gateway}; {only}",
                service.name, network.name, service.host
            );
            warnings.push(Warning { code: "net.balance.from".to_owned(), message });
        }
    }
    warnings.dedup();
    warnings
}

/// Balancers that choose a replica by the client's address, and clients that have one address together: instances behind the
/// router of another host.
pub(super) fn merged(stack: &Stack, resolved: &Resolved) -> Vec<Warning> {
    let address = |name: &str| resolved.hosts.iter().find(|host| host.name == name).map(|host| host.address);
    let mut warnings = Vec::new();
    for (name, one) in &stack.balance {
        let key = match (one.sticky, one.algorithm) {
            (Some(Sticky::Source), _) => "sticky",
            (_, Some(Algorithm::Source)) => "algorithm",
            _ => continue,
        };
        for network in &resolved.networks {
            let gateway = network.gateway.as_deref().filter(|host| *host != one.host);
            let Some((gateway, seen)) = gateway.and_then(|host| Some((host, address(host)?))) else {
                continue;
            };
            let by_it = |at: &&InstanceAt| {
                at.nics.iter().any(|nic| nic.network == network.name && nic.gateway.is_some())
            };
            let admitted = one.from.is_empty() || one.from.iter().any(|from| from.contains(&seen));
            if !admitted || resolved.instances.iter().filter(by_it).count() < 2 {
                continue;
            }
            let leg = network.legs.iter().find(|leg| leg.host == one.host && one.address.is_none());
            let apart = leg.map(|leg| format!("; at {} each has its own", leg.address)).unwrap_or_default();
            let message = format!(
                "balance/{name}: instances of {} come to {} with the address of {gateway}, {seen}, so that `{key}: source` \
                 gives all of them to one replica{apart}",
                network.name, one.host
            );
            warnings.push(Warning { code: "net.balance.source".to_owned(), message });
        }
    }
    warnings
}

/// Ports that something else on the host uses. A port that is already balanced has been checked before.
fn taken(desired: &Desired, facts: &Facts) -> Vec<Failure> {
    let ports = |d: &Desired| -> BTreeSet<_> {
        d.balance.iter().flat_map(|one| one.listen.iter().map(|port| (one.address, *port))).collect()
    };
    let before = facts.intent.as_ref().map(|intent| ports(&intent.desired)).unwrap_or_default();
    let mut failures = Vec::new();
    for one in &desired.balance {
        for port in one.listen.iter().filter(|port| !before.contains(&(one.address, **port))) {
            let meets = |l: &&crate::model::Listener| {
                (l.protocol, l.port) == (Protocol::Tcp, *port)
                    && l.address.is_none_or(|a| a == desired.address && one.address.is_none_or(|b| b == a))
            };
            let Some(taken) = facts.listeners.iter().find(meets) else { continue };
            let who = match taken.stack.as_str() {
                "" => "a program of the host".to_owned(),
                stack => format!("stack {stack}"),
            };
            failures.push(
                Failure::new(Kind::Data, "net.plan.port", format!("port {port}/tcp is used by {who}"))
                    .at(format!("balance.{}.listen", one.name))
                    .hint("listen on another port, or end what uses this one"),
            );
        }
    }
    failures
}
