//! The plan: one server for each host whose router is a gateway of the stack. Pure.

mod able;
mod balancers;
pub mod dhcp;
mod health;
mod names;
mod ports;
mod reverse;
mod updates;
mod views;

use crate::Dns;
use crate::model::{Config, DHCP, Driver, Intent, Key, NAMES, rate};
use crate::render;
use common::plan::{Definition, Have, Kept, Program, Runs, diff};
use common::stack::{Dns as Section, DnsDriver, Resolved, Stack};
use common::tool::{Draft, Goal, Keeps, ObservedOf, PlanInput};
use common::{Failure, Failures, Kind, document};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The port of DNS (RFC 1035 4.2).
const PORT: u16 = 53;
/// Default TTL in seconds.
const TTL: u32 = 60;
/// Default TTL of negative answers in seconds.
const NEGATIVE_TTL: u32 = 10;
/// Default number of kept answers of other servers.
const CACHE: u32 = 10_000;

/// Makes the plan.
///
/// # Errors
/// What a driver cannot do, or an intent that cannot be read.
pub fn plan(
    input: &PlanInput<BTreeMap<String, Key>>,
    observed: &BTreeMap<String, ObservedOf<Dns>>,
) -> Result<Draft<Dns>, Failures> {
    let mut draft = Draft::default();
    if !input.only.section("dns") {
        return Ok(draft);
    }
    for (host, seen) in observed {
        let intent = match &input.goal {
            Goal::Up(stack, resolved) => {
                let intent = intent_of(stack, resolved, host, &seen.seen.resolvers);
                able(stack, resolved, intent.as_ref().map(|intent| &intent.config))?;
                intent.map(|intent| with_keys(intent, &input.gathered))
            }
            Goal::Boot(kept) => Some(booted(kept)?),
            Goal::Down => None,
        };
        let services = intent.as_ref().map(services).transpose()?.unwrap_or_default();
        if let (Some(service), Some(intent)) = (services.get(NAMES), &intent) {
            let keys = keys(intent, &input.gathered);
            draft.data.keys.extend((!keys.is_empty()).then_some((document::digest_of(service)?, keys)));
        }
        let keeps = Keeps {
            intent: intent.as_ref(),
            program: &seen.seen.program,
            services,
            // Updates and leases outlive the stack.
            data: intent.as_ref().is_some_and(|intent| intent.config.changes() || intent.dhcp.is_some()),
        };
        let wants = draft.keep(&Dns, input, (host, seen), keeps)?;
        draft.steps.extend(diff(host, &wants, &seen.objects));
    }
    draft.prune_texts();
    Ok(draft)
}

/// Refuses what the driver cannot do.
pub(crate) fn able(stack: &Stack, resolved: &Resolved, config: Option<&Config>) -> Result<(), Failures> {
    if let Some(dns) = &stack.dns {
        updates::alone(dns, resolved)?;
    }
    let refused = stack.dns.as_ref().zip(config).map(|(dns, config)| able::refused(dns, config));
    Failures(refused.unwrap_or_default()).verdict()
}

/// What a host keeps of a stack, without secrets; none if its router is no gateway, or the document has no section `dns`.
pub fn intent_of(stack: &Stack, resolved: &Resolved, host: &str, resolvers: &[Ipv4Addr]) -> Option<Intent> {
    let names = config(stack, resolved, host, resolvers)?;
    Some(Intent { dhcp: dhcp::of(stack, resolved, host), ..intent(&stack.name, names) })
}

/// What is kept running on a host.
///
/// # Errors
/// None that an intent gives.
pub fn services(intent: &Intent) -> Result<BTreeMap<String, Definition>, Failure> {
    let mut all = BTreeMap::from([(NAMES.to_owned(), defined(intent)?)]);
    all.extend(intent.dhcp.as_ref().map(|dhcp| (DHCP.to_owned(), program(render::leasing(dhcp)))));
    Ok(all)
}

/// The server of names: in the router, and without root; other programs give up root by themselves.
///
/// # Errors
/// None that a configuration gives.
pub fn definition(config: &Config) -> Result<Definition, Failure> {
    match config.driver {
        Driver::Embedded => {}
        Driver::Bind => return Ok(program(render::bind(config))),
        Driver::Dnsmasq => return Ok(program(render::dnsmasq(config))),
    }
    let (listen, data) = (config.listen.clone(), config.changes());
    let config = serde_json::to_value(config)
        .map_err(|e| Failure::new(Kind::Bug, "dns.plan.contents", e.to_string()))?;
    let runs = Runs::Server { listen, config };
    Ok(Definition { router: true, unprivileged: true, data, ..Definition::of(runs) })
}

fn program(program: Program) -> Definition {
    Definition { router: true, ..Definition::of(Runs::Program(program)) }
}

/// The server of names with its secrets.
fn defined(intent: &Intent) -> Result<Definition, Failure> {
    Ok(Definition { secrets: intent.secrets.clone(), ..definition(&intent.config)? })
}

/// With the digests of the keys that its server needs.
fn with_keys(intent: Intent, gathered: &BTreeMap<String, Key>) -> Intent {
    let of = |(_, secret): (&str, &str)| Some((secret.to_owned(), gathered.get(secret)?.digest.clone()));
    let secrets = intent.config.keys().into_iter().filter_map(of).collect();
    Intent { secrets, ..intent }
}

/// The keys that a server needs. After a reboot they are on the host.
fn keys(intent: &Intent, gathered: &BTreeMap<String, Key>) -> BTreeMap<String, Key> {
    let kept = |digest: &String| Key { digest: digest.clone(), place: None };
    let of = |(name, digest): (&String, &String)| {
        (name.clone(), gathered.get(name).cloned().unwrap_or_else(|| kept(digest)))
    };
    intent.secrets.iter().map(of).collect()
}

/// What a host keeps of a stack.
pub fn intent(stack: &str, config: Config) -> Intent {
    let (schema, secrets) = (document::schema("dns", "intent"), BTreeMap::new());
    Intent { schema, stack: stack.to_owned(), config, secrets, dhcp: None }
}

/// The digest of an intent; stack and schema do not matter.
pub fn key(intent: &Intent) -> String {
    let secrets = (!intent.secrets.is_empty()).then_some(&intent.secrets);
    match (secrets, &intent.dhcp) {
        (Some(secrets), None) => document::digest_of(&(&intent.config, "intent", secrets)),
        (None, None) => document::digest_of(&(&intent.config, "intent")),
        (secrets, dhcp) => document::digest_of(&(&intent.config, "intent", secrets, dhcp)),
    }
    .unwrap_or_default()
}

fn booted(kept: &serde_json::Value) -> Result<Intent, Failure> {
    serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "dns.intent", format!("the intent of this host cannot be read: {e}"))
            .hint("run `lsx-dns up` with the stack's document")
    })
}

/// The configuration of a host's server; none if its router is no gateway, or the document has no section `dns`.
/// `resolvers` are the host's own name servers.
pub fn config(stack: &Stack, resolved: &Resolved, host: &str, resolvers: &[Ipv4Addr]) -> Option<Config> {
    let dns = stack.dns.as_ref()?;
    let listen = listen(resolved, host);
    if listen.is_empty() {
        return None;
    }
    let seconds = |time: Option<common::stack::Duration>, default: u32| {
        time.map_or(default, |time| u32::try_from(time.0).unwrap_or(u32::MAX))
    };
    let mut zones = names::zones(stack, resolved);
    let mut records = names::records(stack, resolved, dns);
    let written = records.iter().map(|entry| entry.name.clone()).collect();
    records.extend(dhcp::records(resolved, dns, &written));
    records.extend(ports::records(stack, resolved, &written));
    health::shorten(stack, resolved, dns, &mut records);
    records.extend(balancers::records(stack, resolved, &zones, &written));
    zones.extend(reverse::zones(resolved));
    records.extend(reverse::records(resolved));
    records.sort();
    // Two parts of the document may give the same record; the first one counts.
    records.dedup_by(|a, b| (&a.name, &a.data, a.ttl, &a.seen) == (&b.name, &b.data, b.ttl, &b.seen));
    let mut config = Config {
        driver: match dns.driver {
            DnsDriver::Embedded => Driver::Embedded,
            DnsDriver::Dnsmasq => Driver::Dnsmasq,
            DnsDriver::Bind => Driver::Bind,
        },
        listen,
        domain: stack.domain.clone(),
        ttl: seconds(dns.ttl, TTL),
        negative_ttl: seconds(dns.negative_ttl, NEGATIVE_TTL),
        zones: zones.into_iter().collect(),
        records,
        views: views::views(resolved),
        forward: forward(dns, resolvers),
        beyond: dns.zones.clone(),
        cache: dns.cache.unwrap_or(CACHE),
        rate: dns.rate.unwrap_or_else(rate),
        log: dns.log,
        health: health::of(stack, resolved, dns, host),
        ..Config::default()
    };
    updates::add(stack, dns, &mut config);
    Some(config)
}

/// The addresses of a host's router at which the router accepts queries.
fn listen(resolved: &Resolved, host: &str) -> Vec<SocketAddrV4> {
    let served = resolved.services.iter().filter(|at| at.host == host && at.tool == "dns" && at.port == PORT);
    let networks: BTreeSet<&String> = served.flat_map(|at| &at.networks).collect();
    let of = |network: &&common::stack::resolved::NetworkAt| networks.contains(&network.name);
    let addresses = resolved.networks.iter().filter(of).filter_map(|network| network.gateway_address);
    let mut all: Vec<SocketAddrV4> = addresses.map(|address| SocketAddrV4::new(address, PORT)).collect();
    all.sort();
    all
}

/// The servers of the document, else those of the host.
fn forward(dns: &Section, resolvers: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
    dns.forward.clone().unwrap_or_else(|| resolvers.to_vec())
}

/// What a plan depends on: lsx's objects, and the host's name servers.
pub fn base(objects: &[Have<Kept>], resolvers: &[Ipv4Addr]) -> String {
    document::digest_of(&(objects, resolvers)).unwrap_or_default()
}
