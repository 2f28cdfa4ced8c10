//! Clients that may change names, and servers that may transfer zones. Pure.

use crate::model::{Client, Config, Holder, Transfer};
use common::stack::{Dns, Resolved, Stack, UpdateOwner, dns_name};
use common::{Failure, Kind};
use std::collections::BTreeSet;

/// The domain of reverse names.
const REVERSE: &str = "in-addr.arpa";

/// Fills them in.
pub(super) fn add(stack: &Stack, dns: &Dns, config: &mut Config) {
    let name = |pattern: &String| match pattern.strip_suffix(REVERSE) {
        Some(rest) if rest.is_empty() || rest.ends_with('.') => pattern.clone(),
        _ => dns_name(stack, pattern),
    };
    for (client, update) in &dns.update {
        let types = update.types.iter().map(|kind| kind.text().to_owned()).collect();
        let owner = match update.owner {
            UpdateOwner::Reservation => Holder::Reservation,
            UpdateOwner::Lease => Holder::Lease,
            UpdateOwner::Service => Holder::Service,
            UpdateOwner::Acme => Holder::Acme,
        };
        let names = update.names.iter().map(name).collect();
        config.update.insert(client.clone(), Client { key: update.key.clone(), names, types, owner });
    }
    let transfer = dns.transfer.as_ref();
    config.transfer = transfer.map(|all| Transfer { to: all.to.clone(), key: all.key.clone() });
}

/// Refuses several servers: names that clients change are those of one.
///
/// # Errors
/// More than one host whose router is a gateway.
pub(super) fn alone(dns: &Dns, resolved: &Resolved) -> Result<(), Failure> {
    let key = if dns.update.is_empty() { "transfer" } else { "update" };
    if dns.update.is_empty() && dns.transfer.is_none() {
        return Ok(());
    }
    let hosts: BTreeSet<&str> = resolved
        .networks
        .iter()
        .filter(|network| network.gateway_address.is_some())
        .filter_map(|network| network.gateway.as_deref())
        .collect();
    if hosts.len() < 2 {
        return Ok(());
    }
    let all: Vec<&str> = hosts.into_iter().collect();
    let message = format!("dns.{key} needs one server, and {} are gateways", all.join(" and "));
    Err(Failure::new(Kind::Data, "dns.plan.update", message)
        .at(format!("dns.{key}"))
        .hint("give all networks the same gateway; several servers do not share updates yet"))
}
