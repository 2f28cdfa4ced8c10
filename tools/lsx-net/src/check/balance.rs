//! Load balancers: whether each answers, and whether its replicas are ready. Pure.

use super::source::{Try, one};
use super::tries::Probe;
use crate::model::ReplicaAt;
use common::stack::resolved::{Resolved, ServiceAt};
use common::tool::{Checked, Finding, Tool};
use std::collections::{BTreeMap, BTreeSet};

/// The ports of load balancers.
fn ports(resolved: &Resolved) -> impl Iterator<Item = &ServiceAt> {
    resolved.services.iter().filter(|service| service.tool == crate::Net::NAME)
}

/// The hosts that have a load balancer.
pub(super) fn hosts<'a>(resolved: &'a Resolved, taking_part: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    ports(resolved).map(|service| service.host.as_str()).filter(|host| taking_part.contains(host)).collect()
}

/// From a host: each port at the address of its host.
pub(super) fn by_host(resolved: &Resolved, from: &str) -> Vec<Try> {
    let me = resolved.hosts.iter().find(|host| host.name == from).map(|host| host.address);
    let one = |service: &ServiceAt| {
        let address = resolved.hosts.iter().find(|host| host.name == service.host)?.address;
        // On its own host the source is another address.
        let named = |me: std::net::Ipv4Addr| service.from.iter().any(|net| net.contains(&me));
        let open = service.from.is_empty() || me.is_some_and(named);
        let known = service.host != from || service.from.is_empty();
        let probe = Probe::Connect { port: service.port };
        let why = format!("{} has the load balancer", service.host);
        let address = service.address.unwrap_or(address);
        // A refusal is no answer of the load balancer.
        let serves = Some(service.port);
        known.then(|| Try { serves, ..one(service.name.clone(), false, address, probe, open, &why) })
    };
    // Balancers that share a port are one.
    let mut seen = BTreeSet::new();
    ports(resolved).filter(|s| seen.insert((&s.host, s.address, s.port))).filter_map(one).collect()
}

/// What the hosts say of the replicas behind their load balancers.
pub(super) fn judge(resolved: &Resolved, said: &BTreeMap<String, Vec<ReplicaAt>>, checked: &mut Checked) {
    let mut seen = BTreeSet::new();
    for service in ports(resolved) {
        let Some(all) = said.get(&service.host).filter(|_| seen.insert(&service.name)) else { continue };
        let name = service.name.trim_start_matches("balance/");
        let own: Vec<&ReplicaAt> = all.iter().filter(|replica| replica.balancer == name).collect();
        if own.is_empty() {
            checked.found(finding(resolved, service, "HAProxy does not say anything of it".to_owned()));
        }
        for replica in own {
            match replica.state.as_str() {
                "up" | "drain" => checked.passed(),
                state => {
                    checked.found(finding(resolved, service, format!("{} is {state}", replica.instance)))
                }
            }
        }
    }
}

fn finding(resolved: &Resolved, service: &ServiceAt, what: String) -> Finding {
    Finding {
        code: "net.check.balance".to_owned(),
        host: service.host.clone(),
        message: format!("{}: {what}", service.name),
        hint: Some(format!(
            "see the log of HAProxy on the host: /var/lib/lsx/net/{}/{}/log",
            resolved.stack,
            crate::model::BALANCE
        )),
    }
}
