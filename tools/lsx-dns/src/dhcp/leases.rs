//! Leases: what dnsmasq records, for people.

use super::database::{self, Line};
use crate::Dns;
use crate::model::Dhcp;
use crate::plan;
use crate::render::database;
use common::cli::Global;
use common::host::{file, limit};
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind, document, fleet, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

/// The most bytes of the leases that are read.
pub(crate) const MOST: u64 = 64 * 1024 * 1024;

/// The leases of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Leases {
    /// `lsx.dns.leases/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The leases, by host and address.
    pub leases: Vec<Lease>,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The host that gave it.
    #[serde(default)]
    pub host: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Hardware address of the client.
    pub mac: String,
    /// Its network; absent if the server no longer has one with this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What the client calls itself, or its name in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends.
    pub until_at: String,
    /// Whether the document reserves this address for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reserved: bool,
}

/// Asks the hosts of a stack that serve DHCP for their leases.
///
/// # Errors
/// Mistakes of the document, or a host that does not answer.
pub(crate) fn asked(stack: &StackArgs, scope: &ScopeArgs, global: &Global) -> Result<Leases, Failures> {
    let (stack, resolved, _, mut hosts) = verb::host_set_of(&Dns, stack, scope, global)?;
    let config = |name: &String| Some((name.clone(), json!(plan::dhcp::of(&stack, &resolved, name)?)));
    let asks: BTreeMap<String, Value> =
        resolved.hosts.iter().map(|host| &host.name).filter_map(config).collect();
    if asks.is_empty() {
        let message = format!("the stack {} has no network with DHCP", stack.name);
        return Err(Failure::new(Kind::Failed, "dns.lease", message).hint("write dns.dhcp").into());
    }
    let mut leases = Vec::new();
    for (host, answer) in hosts.call("leases", asks) {
        let held = fleet::shape::<Vec<Lease>>(answer?)?;
        leases.extend(held.into_iter().map(|lease| Lease { host: host.clone(), ..lease }));
    }
    leases.sort();
    Ok(Leases { schema: document::schema("dns", "leases"), stack: stack.name.clone(), leases })
}

/// The leases of this host, for a configuration of its server.
///
/// # Errors
/// A configuration that cannot be read.
pub(crate) fn answered(config: Value) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string()));
    let config: Dhcp = serde_json::from_value(config).map_err(wrong)?;
    Ok(json!(held(&config)?))
}

/// The leases that dnsmasq has recorded and that are not over.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn held(config: &Dhcp) -> Result<Vec<Lease>, Failure> {
    let bytes = file::read_at_most(Path::new(&database(&config.stack)), MOST)?.unwrap_or_default();
    let now = log::since("1970-01-01T00:00:00Z").unwrap_or_default().as_secs();
    let text = String::from_utf8_lossy(&bytes);
    let mut all: Vec<Lease> = database::lines(&text, now).map(|line| lease(config, line)).collect();
    all.sort();
    Ok(all)
}

/// One of them, for people.
fn lease(config: &Dhcp, Line { end, mac, address, name }: Line<'_>) -> Lease {
    let network = config.networks.iter().find(|network| network.cidr.contains(&address));
    let reserved = network.is_some_and(|network| network.reserved.iter().any(|one| one.address == address));
    Lease {
        host: String::new(),
        address,
        mac: limit::text(mac),
        network: network.map(|network| network.name.clone()),
        name,
        until_at: log::at(end),
        reserved,
    }
}

#[cfg(test)]
mod tests;
