//! The plan: one server for each host whose router is a gateway of the stack. Pure.

mod able;
mod balancers;
pub mod dhcp;
mod health;
pub(crate) mod meta;
mod names;
mod ports;
mod reverse;
mod updates;
mod views;

pub(crate) use updates::servers;

use crate::Dns;
use crate::model::{BOOT, Boot, Config, DHCP, Driver, Intent, Key, META, NAMES, rate};
use crate::render;
use common::plan::{Definition, Have, Kept, Program, Runs, diff};
use common::stack::{Dns as Section, DnsDriver, Resolved, Stack};
use common::tool::{Draft, Goal, Keeps, ObservedOf, PlanInput};
use common::{Failure, Failures, Kind, document};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The port of DNS (RFC 1035 4.2).
const PORT: u16 = 53;
/// That of TFTP (RFC 1350 4).
pub(crate) const TFTP: u16 = 69;
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
    let selected = |service: &str| input.only.section(if service == META { "meta" } else { "dns" });
    if ![NAMES, META].into_iter().any(selected) {
        return Ok(draft);
    }
    if let Goal::Up(stack, resolved) = &input.goal
        && let Some(dns) = &stack.dns
    {
        updates::whole(dns, resolved, observed)?;
    }
    for (host, seen) in observed {
        let intent = match &input.goal {
            Goal::Up(stack, resolved) => {
                let intent = intent_of(stack, resolved, host, &seen.seen.resolvers);
                able(stack, resolved, intent.as_ref().and_then(|intent| intent.config.as_ref()))?;
                intent.map(|intent| with_secrets(intent, &input.gathered))
            }
            Goal::Boot(kept) => Some(booted(kept)?),
            Goal::Down => None,
        };
        let services = intent.as_ref().map(services).transpose()?.unwrap_or_default();
        for service in services.values().filter(|service| !service.secrets.is_empty()) {
            draft.data.keys.insert(document::digest_of(service)?, keys(service, &input.gathered));
        }
        let keeps = Keeps {
            intent: intent.as_ref(),
            program: &seen.seen.program,
            services,
            // Updates and leases outlive the stack.
            data: intent.as_ref().is_some_and(Intent::has_data),
        };
        let wants = draft.keep(&Dns, input, (host, seen), keeps)?;
        let mut steps = diff(host, &wants, &seen.objects);
        steps.retain(|step| match step.after.as_ref().or(step.before.as_ref()) {
            Some(Kept::Service { name, .. }) => selected(name),
            _ => true,
        });
        draft.steps.extend(steps);
    }
    draft.prune_texts();
    Ok(draft)
}

/// Refuses what the driver cannot do.
pub(crate) fn able(stack: &Stack, resolved: &Resolved, config: Option<&Config>) -> Result<(), Failures> {
    let refused = stack.dns.as_ref().zip(config).map(|(dns, config)| able::refused(dns, config));
    let boot = dhcp::refused(stack, resolved);
    Failures(refused.unwrap_or_default().into_iter().chain(boot).collect()).verdict()
}

/// What a host keeps of a stack, without secrets; none if its router is no gateway, or the document has neither `dns` nor `meta`.
pub fn intent_of(stack: &Stack, resolved: &Resolved, host: &str, resolvers: &[Ipv4Addr]) -> Option<Intent> {
    let config = config(stack, resolved, host, resolvers);
    let meta = meta::of(stack, resolved, host);
    if config.is_none() && meta.is_none() {
        return None;
    }
    let (schema, secrets) = (document::schema("dns", "intent"), BTreeMap::new());
    let dhcp = dhcp::of(stack, resolved, host);
    Some(Intent { schema, stack: stack.name.clone(), config, secrets, dhcp, meta })
}

/// What is kept running on a host.
///
/// # Errors
/// None that an intent gives.
pub fn services(intent: &Intent) -> Result<BTreeMap<String, Definition>, Failure> {
    let mut all = BTreeMap::new();
    let secrets = |names: BTreeSet<&str>| {
        let own = intent.secrets.iter().filter(|(name, _)| names.contains(name.as_str()));
        own.map(|(name, digest)| (name.clone(), digest.clone())).collect()
    };
    if let Some(config) = &intent.config {
        let own = secrets(config.keys().into_iter().map(|(_, secret)| secret).collect());
        let here = config.leased.iter().any(|network| !network.elsewhere);
        let leased = here.then(|| render::database(&intent.stack));
        let reads = leased.into_iter().collect();
        all.insert(NAMES.to_owned(), Definition { secrets: own, reads, ..definition(config)? });
    }
    all.extend(intent.dhcp.as_ref().map(|dhcp| (DHCP.to_owned(), program(render::leasing(dhcp)))));
    if let Some(boot) = intent.dhcp.as_ref().and_then(|dhcp| dhcp.boot.as_ref()) {
        all.insert(BOOT.to_owned(), files(boot)?);
    }
    if let Some(meta) = &intent.meta {
        let runs = Runs::Server { listen: meta.listen.clone(), config: json(meta)? };
        let own = secrets(meta.secrets().collect());
        let service = Definition { router: true, unprivileged: true, secrets: own, ..Definition::of(runs) };
        all.insert(META.to_owned(), service);
    }
    Ok(all)
}

/// The server of boot files.
fn files(boot: &Boot) -> Result<Definition, Failure> {
    let at = |address, port| SocketAddrV4::new(address, port);
    let both = |address| [at(address, TFTP), at(address, boot.http)];
    let listen = boot.networks.iter().flat_map(|network| both(network.address)).collect();
    let (runs, seen) = (Runs::Server { listen, config: json(boot)? }, Some(boot.folder.clone()));
    Ok(Definition { router: true, unprivileged: true, seen, data: boot.once, ..Definition::of(runs) })
}

/// A configuration, as a definition has it.
fn json<T: serde::Serialize>(config: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(config).map_err(|e| Failure::new(Kind::Bug, "dns.plan.contents", e.to_string()))
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
    let runs = Runs::Server { listen, config: json(config)? };
    Ok(Definition { router: true, unprivileged: true, data, ..Definition::of(runs) })
}

fn program(program: Program) -> Definition {
    Definition { router: true, ..Definition::of(Runs::Program(program)) }
}

/// With the digests of the secrets that its servers need, and what follows from them.
fn with_secrets(intent: Intent, gathered: &BTreeMap<String, Key>) -> Intent {
    let of = |secret: &str| Some((secret.to_owned(), gathered.get(secret)?.digest.clone()));
    let keys = intent.config.iter().flat_map(Config::keys).map(|(_, secret)| secret);
    let files = intent.meta.iter().flat_map(|meta| meta.secrets());
    let secrets = keys.chain(files).filter_map(of).collect();
    Intent { secrets, meta: intent.meta.map(|meta| meta::identified(meta, gathered)), ..intent }
}

/// The secrets that a server needs. After a reboot they are on the host.
fn keys(service: &Definition, gathered: &BTreeMap<String, Key>) -> BTreeMap<String, Key> {
    let kept = |digest: &String| Key { digest: digest.clone(), place: None };
    let of = |(name, digest): (&String, &String)| {
        (name.clone(), gathered.get(name).cloned().unwrap_or_else(|| kept(digest)))
    };
    service.secrets.iter().map(of).collect()
}

/// The digest of an intent; stack and schema do not matter.
pub fn key(intent: &Intent) -> String {
    let secrets = (!intent.secrets.is_empty()).then_some(&intent.secrets);
    let config = &intent.config;
    match (secrets, &intent.dhcp, &intent.meta) {
        (Some(secrets), None, None) => document::digest_of(&(config, "intent", secrets)),
        (None, None, None) => document::digest_of(&(config, "intent")),
        (secrets, dhcp, None) => document::digest_of(&(config, "intent", secrets, dhcp)),
        (secrets, dhcp, meta) => document::digest_of(&(config, "intent", secrets, dhcp, meta)),
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
    updates::share(resolved, host, &mut config);
    if config.driver == Driver::Embedded {
        config.leased = dhcp::named(stack, resolved, (host, config.changes()), config.ttl);
    }
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
