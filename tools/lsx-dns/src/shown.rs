//! The verbs `zone` and `hosts`: names as texts for other programs; no host is contacted.

use crate::model::{Config, View};
use crate::{plan, render};
use common::stack::resolved::NetworkAt;
use common::stack::{Resolved, Stack, hint};
use common::verb::{self, StackArgs};
use common::{Failure, Failures, Kind};

/// The configuration of a network's name server, and what its instances see.
struct Seen {
    config: Config,
    view: View,
    network: NetworkAt,
    stack: String,
}

/// A zone file, as a network sees the zone; by default that of the domain.
///
/// # Errors
/// Mistakes of the document; an unknown network or zone.
pub(crate) fn zone(
    stack: &StackArgs,
    zone: Option<&str>,
    from: Option<&str>,
    serial: u32,
) -> Result<String, Failures> {
    let (stack, resolved) = verb::read_stack(stack)?;
    let seen = seen(&stack, &resolved, from)?;
    let zone = zone.unwrap_or(&seen.config.domain).trim_end_matches('.');
    let text = render::zone(&seen.config, &seen.view, zone, serial).ok_or_else(|| {
        let zones = seen.config.zones.iter().map(String::as_str);
        let message = format!("stack {} has no zone {zone}", seen.stack);
        Failure::new(Kind::Usage, "usage.zone", message).hint(hint(zone, zones))
    })?;
    let network = &seen.network.name;
    Ok(format!("; zone {zone} of stack {} for network {network}, made by lsx-dns zone\n{text}", seen.stack))
}

/// A hosts file for the instances of a network.
///
/// # Errors
/// Mistakes of the document; an unknown network.
pub(crate) fn hosts(stack: &StackArgs, network: Option<&str>) -> Result<String, Failures> {
    let (stack, resolved) = verb::read_stack(stack)?;
    let seen = seen(&stack, &resolved, network)?;
    let text = render::hosts(&seen.config, &seen.view, &seen.network.domain);
    let network = &seen.network.name;
    Ok(format!("# hosts of stack {} for network {network}, made by lsx-dns hosts\n{text}", seen.stack))
}

/// Of the network that is named, or of the first one with a name server.
fn seen(stack: &Stack, resolved: &Resolved, name: Option<&str>) -> Result<Seen, Failure> {
    let usage = |message: String| Failure::new(Kind::Usage, "usage.from", message);
    if let Some(name) = name.filter(|name| resolved.networks.iter().all(|at| at.name != *name)) {
        let known = resolved.networks.iter().map(|at| at.name.as_str());
        return Err(usage(format!("stack {} has no network {name}", stack.name)).hint(hint(name, known)));
    }
    let fits = |at: &&NetworkAt| name.map_or(at.gateway.is_some(), |name| name == at.name);
    let network = resolved.networks.iter().find(fits);
    let served = network.and_then(|at| Some((at, at.gateway.as_deref()?, at.gateway_address?)));
    let Some((network, gateway, address)) = served else {
        let message = format!("{} has no name server", name.unwrap_or("the stack"));
        return Err(usage(message).hint("name servers are gateways: give the network a gateway"));
    };
    // Of the host's own name servers a zone has nothing.
    let config = plan::config(stack, resolved, gateway, &[]).ok_or_else(|| {
        let message = format!("the stack {} serves no names", stack.name);
        Failure::new(Kind::Failed, "dns.query", message).hint("write `dns: {}` in the stack file")
    })?;
    let view = config.view(address).cloned().unwrap_or_default();
    Ok(Seen { config, view, network: network.clone(), stack: stack.name.clone() })
}
