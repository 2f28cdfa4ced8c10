//! The verbs `zone`, `hosts` and `render`: names as texts for other programs; no host is contacted.

use crate::model::{Config, Driver, View};
use crate::{plan, render};
use common::plan::Runs;
use common::stack::resolved::NetworkAt;
use common::stack::{Resolved, Stack, hint};
use common::verb::{self, StackArgs};
use common::{Failure, Failures, Kind, document};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

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

/// What the server of a host is given: its program with arguments, and its files.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rendered {
    /// `lsx.dns.render/1`.
    schema: String,
    /// The stack.
    stack: String,
    /// The host.
    host: String,
    /// The program that answers.
    driver: Driver,
    /// Program and arguments; `%FOLDER%` stands for the folder of its files. lsx-dns has none: it is handed its configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    argv: Vec<String>,
    /// Texts of files, by name.
    files: BTreeMap<String, String>,
}

/// What the server of a host is given; by default that of the first one.
///
/// # Errors
/// Mistakes of the document; an unknown host; what the driver cannot do.
pub(crate) fn render(from: &StackArgs, host: Option<&str>) -> Result<Rendered, Failures> {
    let (stack, resolved) = verb::read_stack(from)?;
    let all: Vec<&str> = resolved.hosts.iter().map(|at| at.name.as_str()).collect();
    if let Some(host) = host.filter(|host| !all.contains(host)) {
        let message = format!("stack {} has no host {host}", stack.name);
        return Err(Failure::new(Kind::Usage, "usage.host", message).hint(hint(host, all)).into());
    }
    let mut named = all.into_iter().filter(|at| host.is_none_or(|host| host == *at));
    // Of the host's own name servers the document knows nothing.
    let found = named.find_map(|at| Some((at, plan::config(&stack, &resolved, at, &[])?)));
    let (host, config) = found.ok_or_else(|| {
        let message = match host {
            Some(host) => format!("{host} serves no names"),
            None => format!("the stack {} serves no names", stack.name),
        };
        Failure::new(Kind::Failed, "dns.query", message).hint("gateways serve names; write `dns: {}`, too")
    })?;
    plan::able(&stack, &resolved, Some(&config)).map_err(|failures| verb::located(failures, from))?;
    let (argv, files) = match plan::definition(&config)?.runs {
        Runs::Program(program) => (program.argv, program.files.into_iter().chain(program.fixed).collect()),
        Runs::Server { config, .. } => (Vec::new(), [("names.json".to_owned(), config.to_string())].into()),
    };
    let schema = document::schema("dns", "render");
    Ok(Rendered { schema, stack: stack.name, host: host.to_owned(), driver: config.driver, argv, files })
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
