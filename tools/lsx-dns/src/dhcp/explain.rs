//! Which parts of the document give a client of DHCP its address and options; nobody is asked.

use crate::model::{Boot, Leased};
use crate::plan;
use crate::query::Source;
use crate::render::option_name;
use common::stack::{Dhcp, Resolved, Stack, hint};
use common::verb::{self, StackArgs};
use common::{Failure, Failures, Kind, document};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What the document gives a client of DHCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Offer {
    /// `lsx.dns.offer/1`.
    schema: String,
    /// The stack.
    stack: String,
    /// Hardware address of the client.
    mac: String,
    /// The network in which it asks.
    network: String,
    /// The host of the server.
    host: String,
    /// The address of the server.
    server: Ipv4Addr,
    /// The address that is reserved for the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Ipv4Addr>,
    /// Without a reserved address: the first and the last address of those of which it gets one.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Its name, if an address is reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Time of the lease in seconds.
    lease: u32,
    /// Values of options by their number; a client gets those that it asks for.
    options: BTreeMap<u8, Vec<String>>,
    /// What it boots by the network, by the architecture of its firmware.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    boot: Vec<Booting>,
    /// The parts of the document that give this, and other addresses that are reserved for the client.
    sources: Vec<Source>,
}

/// What a client boots by the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Booting {
    /// The kind of client in the document: `bios`, `uefi`, `uefi32`, `arm64` or `ipxe`.
    kind: &'static str,
    /// The number of the architecture (RFC 4578); absent for iPXE, which says so by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<u16>,
    /// `tftp` or `http`.
    by: &'static str,
    /// The name of the file for TFTP, or its URL.
    file: String,
}

/// A hardware address in lower case; none if the text has not the form of one.
///
/// # Errors
/// Six groups that are not bytes.
pub(crate) fn mac(text: &str) -> Result<Option<String>, Failure> {
    let groups: Vec<&str> = text.split([':', '-']).collect();
    let formed = groups.len() == 6 && groups.iter().all(|group| (1..=2).contains(&group.len()));
    if !formed || (text.contains('-') && text.contains(':')) {
        return Ok(None);
    }
    let bytes: Option<Vec<u8>> = groups.iter().map(|group| u8::from_str_radix(group, 16).ok()).collect();
    let bytes = bytes.filter(|_| !text.contains('+')).ok_or_else(|| {
        let message = format!("{text} is not a hardware address");
        Failure::new(Kind::Usage, "usage.mac", message)
            .hint("six bytes in hexadecimal, such as 02:00:5e:00:53:01")
    })?;
    Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")))
}

/// What a client gets in a network; by default in the one that has an address for it, else in the first one with DHCP.
///
/// # Errors
/// Mistakes of the document; a network without DHCP.
pub(crate) fn explain(mac: &str, network: Option<&str>, from: &StackArgs) -> Result<Offer, Failures> {
    let (stack, resolved) = verb::read_stack(from)?;
    let mut offer = offer(&stack, &resolved, mac, network)?;
    let paths = offer.sources.iter().map(|source| source.path.clone()).collect();
    let places = verb::places(paths, from);
    offer.sources.iter_mut().zip(places).for_each(|(source, place)| source.at = place);
    Ok(offer)
}

fn offer(stack: &Stack, resolved: &Resolved, mac: &str, network: Option<&str>) -> Result<Offer, Failure> {
    let of = |host: &str| plan::dhcp::of(stack, resolved, host).unwrap_or_default();
    let all: Vec<(&str, Leased)> = resolved
        .hosts
        .iter()
        .flat_map(|host| of(&host.name).networks.into_iter().map(|network| (host.name.as_str(), network)))
        .collect();
    let fits = |leased: &Leased| match network {
        Some(network) => leased.name == network,
        None => leased.reserved.iter().any(|one| one.mac == mac),
    };
    let first = all.first().filter(|_| network.is_none());
    let (host, leased) = all.iter().find(|(_, leased)| fits(leased)).or(first).ok_or_else(|| {
        if all.is_empty() {
            let message = format!("the stack {} has no network with DHCP", stack.name);
            return Failure::new(Kind::Failed, "dns.lease", message).hint("write dns.dhcp");
        }
        let network = network.unwrap_or_default();
        let message = format!("the stack {} has no DHCP in a network {network}", stack.name);
        let known = all.iter().map(|(_, leased)| leased.name.as_str());
        Failure::new(Kind::Usage, "usage.from", message).hint(hint(network, known))
    })?;
    let own = leased.reserved.iter().find(|one| one.mac == mac);
    let section = stack.dns.as_ref().and_then(|dns| dns.dhcp.get(&leased.name));
    let mut sources = address(stack, resolved, leased, mac);
    sources.push(lease(leased, section));
    sources.extend(leased.options.iter().map(|(number, values)| option(leased, section, *number, values)));
    let boot = of(host).boot.map(|boot| booting(&boot, &leased.name)).unwrap_or_default();
    sources.extend(boot.iter().map(boot_file));
    sources.extend(elsewhere(stack, resolved, &all, leased, mac));
    let at = resolved.networks.iter().find(|at| at.name == leased.name);
    Ok(Offer {
        schema: document::schema("dns", "offer"),
        stack: stack.name.clone(),
        mac: mac.to_owned(),
        network: leased.name.clone(),
        host: (*host).to_owned(),
        server: at.and_then(|at| at.gateway_address).unwrap_or(Ipv4Addr::UNSPECIFIED),
        address: own.map(|one| one.address),
        range: own.is_none().then_some(leased.range),
        name: own.map(|one| one.name.clone()),
        lease: leased.lease,
        options: leased.options.clone(),
        boot,
        sources,
    })
}

fn source(record: String, path: String) -> Source {
    Source { record, path, at: None, why: None }
}

/// Where the address of a client is from, and its name.
fn address(stack: &Stack, resolved: &Resolved, leased: &Leased, mac: &str) -> Vec<Source> {
    let Some(own) = leased.reserved.iter().find(|one| one.mac == mac) else {
        let (first, last) = leased.range;
        let path = format!("networks.{}.dhcp_range", leased.name);
        return vec![source(format!("an address from {first} to {last}"), path)];
    };
    let path = reserved_at(stack, resolved, &leased.name, &own.name);
    vec![source(format!("address {}", own.address), path.clone()), source(format!("name {}", own.name), path)]
}

/// The part of the document that reserves an address.
fn reserved_at(stack: &Stack, resolved: &Resolved, network: &str, name: &str) -> String {
    let section = stack.dns.as_ref().and_then(|dns| dns.dhcp.get(network));
    if section.is_some_and(|dhcp| dhcp.reserve.contains_key(name)) {
        return format!("dns.dhcp.{network}.reserve.{name}");
    }
    let instance = resolved.instances.iter().find(|at| at.name == name);
    format!("instances.{}", instance.map_or(name, |at| at.of.as_str()))
}

fn lease(leased: &Leased, section: Option<&Dhcp>) -> Source {
    let path = format!("dns.dhcp.{}", leased.name);
    let record = format!("lease of {} seconds", leased.lease);
    if section.is_some_and(|dhcp| dhcp.lease.is_some()) {
        return source(record, format!("{path}.lease"));
    }
    Source { why: Some("the default".to_owned()), ..source(record, path) }
}

/// An option: one of the document, or what follows from the network.
fn option(leased: &Leased, section: Option<&Dhcp>, number: u8, values: &[String]) -> Source {
    let name = option_name(number).map(|name| format!(", {name}")).unwrap_or_default();
    let record = format!("option {number}{name}: {}", values.join(","));
    let mut written = section.iter().flat_map(|dhcp| dhcp.options.keys());
    match written.find(|key| plan::dhcp::number(key) == Some(number)) {
        Some(key) => source(record, format!("dns.dhcp.{}.options.{key}", leased.name)),
        None => Source {
            why: Some("follows from the network".to_owned()),
            ..source(record, format!("networks.{}", leased.name))
        },
    }
}

fn booting(boot: &Boot, network: &str) -> Vec<Booting> {
    let of = boot.networks.iter().filter(|served| served.name == network);
    let told = of.flat_map(|served| boot.told(served));
    let one = |(kind, architecture, http, file)| Booting {
        kind,
        architecture,
        by: if http { "http" } else { "tftp" },
        file,
    };
    told.map(one).collect()
}

fn boot_file(one: &Booting) -> Source {
    let of = one.architecture.map_or_else(|| "iPXE".to_owned(), |number| format!("architecture {number}"));
    source(format!("boot file of {of}: {}", one.file), format!("dns.boot.files.{}", one.kind))
}

/// Addresses that are reserved for the client in other networks.
fn elsewhere(
    stack: &Stack,
    resolved: &Resolved,
    all: &[(&str, Leased)],
    here: &Leased,
    mac: &str,
) -> Vec<Source> {
    let others = all.iter().filter(|(_, leased)| leased.name != here.name);
    let own = others.flat_map(|(_, leased)| {
        let own = leased.reserved.iter().filter(|one| one.mac == mac);
        own.map(move |one| Source {
            why: Some(format!("only if it asks in the network {}", leased.name)),
            ..source(
                format!("address {}", one.address),
                reserved_at(stack, resolved, &leased.name, &one.name),
            )
        })
    });
    own.collect()
}
