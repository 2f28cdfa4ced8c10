//! Clients that may change names, and servers that may transfer zones. Pure.

use crate::model::{Client, Config, Holder, SERVERS_SECRET, Servers, Transfer};
use common::stack::resolved::ServiceAt;
use common::stack::{Dns, Resolved, Stack, UpdateOwner, dns_name};
use common::tool::ObservedOf;
use common::{Failure, Kind};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// The domain of reverse names.
const REVERSE: &str = "in-addr.arpa";

/// The key of the section with the host that keeps names.
const HOST: &str = "host";

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

/// Where the servers of several hosts have their names from, for one of these hosts; none if all are on one.
pub(crate) fn servers(resolved: &Resolved, host: &str) -> Option<Servers> {
    let first = first(resolved)?;
    let there = resolved.hosts.iter().find(|at| at.name == first.host && at.name != host);
    let at = there.map(|there| SocketAddrV4::new(there.address, resolved.tunnel_port));
    Some(Servers { host: first.host.clone(), at, key: SERVERS_SECRET.to_owned() })
}

fn first(resolved: &Resolved) -> Option<&ServiceAt> {
    resolved.services.iter().find(|at| at.tool == "dns" && !at.hosts.is_empty())
}

/// The same in a configuration. The one that keeps the names listens for the others.
pub(super) fn share(resolved: &Resolved, host: &str, config: &mut Config) {
    config.servers = servers(resolved, host);
    let keeps = config.servers.as_ref().is_some_and(|servers| servers.at.is_none());
    if let Some(first) = first(resolved).filter(|_| keeps) {
        config.listen.push(SocketAddrV4::new(resolved.leg.broadcast(), first.port));
        config.listen.sort();
    }
}

/// The host whose server keeps the names that clients change.
fn keeper<'r>(dns: &Dns, resolved: &'r Resolved) -> Option<&'r str> {
    if dns.update.is_empty() && dns.transfer.is_none() {
        return None;
    }
    let mut services = resolved
        .services
        .iter()
        .filter(|at| at.tool == "dns" && ["dns", "servers"].contains(&at.name.as_str()));
    let shared = services.clone().find(|at| !at.hosts.is_empty());
    shared.or_else(|| services.next()).map(|at| at.host.as_str())
}

/// Refuses to give the names to a host that does not have all of them.
///
/// # Errors
/// They are kept by another host now, or another one has newer ones.
pub(super) fn whole(
    dns: &Dns,
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<crate::Dns>>,
) -> Result<(), Failure> {
    let Some((keeper, own)) = keeper(dns, resolved).and_then(|host| Some((host, observed.get(host)?))) else {
        return Ok(());
    };
    let of =
        |seen: &ObservedOf<crate::Dns>| seen.seen.journals.get(&resolved.stack).cloned().unwrap_or_default();
    let own = of(own);
    if own.keeper.as_deref() == Some(keeper) {
        return Ok(());
    }
    let refused = |message: String, hint: String| {
        Err(Failure::new(Kind::Data, "dns.plan.update", message).at(format!("dns.{HOST}")).hint(hint))
    };
    let stack = &resolved.stack;
    for (host, seen) in observed {
        let journal = of(seen);
        if let Some(now) = journal.keeper.as_deref().filter(|now| *now != keeper) {
            let message =
                format!("the names that clients change are kept by {now}, and would be by {keeper}");
            let hint = format!(
                "write host: {now} in dns; or, to move them, run `lsx-dns down`, which keeps them, and then `lsx-dns up`"
            );
            return refused(message, hint);
        }
        if journal.serial > own.serial {
            let (theirs, ours) = (journal.serial, own.serial);
            let message = format!(
                "{host} has newer names of clients (serial {theirs}) than {keeper}, which would keep them (serial {ours})"
            );
            let hint = format!(
                "write host: {host} in dns, if it is the host of a gateway; or run `lsx-dns down` and copy \
                 /var/lib/lsx/dns/{stack}/data/names/journal from {host} to {keeper}"
            );
            return refused(message, hint);
        }
    }
    Ok(())
}
