//! The verb `query`: what an instance gets for a name, what the document says about it, and whether both are the same.

mod answer;
mod source;

pub(crate) use answer::{Answer, Asked, Queried, Source, asked};

use crate::model::Config;
use crate::zone::{Outcome, Tables};
use crate::{Dns, plan, zone};
use common::stack::resolved::{InstanceAt, NetworkAt};
use common::stack::{Resolved, Stack, hint};
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind, document, fleet};
use domain::base::Name;
use domain::base::iana::Rtype;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// What is asked, by flags.
pub(crate) struct Order<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    /// A network or an instance.
    pub(crate) from: Option<&'a str>,
    pub(crate) tcp: bool,
}

/// Who asks: an instance on one of its networks, by the gateway there.
pub(crate) struct Asker<'a> {
    pub(crate) instance: &'a InstanceAt,
    network: &'a NetworkAt,
    gateway: &'a str,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: &'a str,
    pub(crate) server: SocketAddrV4,
}

impl Asker<'_> {
    /// Its host is not asked.
    pub(crate) fn left_out(&self) -> Failure {
        let InstanceAt { host, name, .. } = self.instance;
        let failure =
            usage("usage.host", format!("{host} takes no part, and {name}, which asks, runs there"));
        failure.hint("name another instance with --from, or leave out --offline and --only")
    }
}

/// Asks, and compares with the document.
///
/// # Errors
/// Mistakes of the document and of flags; a host or a server that does not answer.
pub(crate) fn run(
    order: &Order<'_>,
    stack: &StackArgs,
    scope: &ScopeArgs,
    global: &common::cli::Global,
) -> Result<Queried, Failures> {
    let (name, kind) = (name(order.name)?, kind(order.kind)?);
    let (stack, resolved, _, mut hosts) = verb::host_set_of(&Dns, stack, scope, global)?;
    let asker = asker(&resolved, order.from)?;
    if !hosts.has(&asker.instance.host) {
        return Err(asker.left_out().into());
    }
    let mut queried = explained(&stack, &resolved, &asker, &name, kind)?;
    let asked = Asked {
        address: asker.address,
        mac: asker.mac.to_owned(),
        server: asker.server,
        name,
        kind: kind.to_string(),
        tcp: order.tcp,
    };
    let host = asker.instance.host.clone();
    let answers = hosts.call("query", BTreeMap::from([(host, json!(asked))]));
    let answer = answers.into_values().next().unwrap_or_else(|| Err(asker.left_out().into()));
    queried.compare(fleet::shape::<Answer>(answer?)?);
    Ok(queried)
}

/// What the document says, and which parts of it; nobody is asked.
///
/// # Errors
/// Mistakes of the document and of flags.
pub(crate) fn explain(order: &Order<'_>, from: &StackArgs) -> Result<Queried, Failures> {
    let (name, kind) = (name(order.name)?, kind(order.kind)?);
    let (stack, resolved) = verb::read_stack(from)?;
    let asker = asker(&resolved, order.from)?;
    let mut told = explained(&stack, &resolved, &asker, &name, kind)?;
    let config = config(&stack, &resolved, &asker)?;
    told.schema = document::schema("dns", "explain");
    told.sources = source::sources(&config, asker.address, (&name, &told.kind), &told.expected);
    if told.sources.is_empty() {
        told.sources.push(source::none(&told, &config.beyond));
    }
    let paths = told.sources.iter().map(|source| source.path.clone()).collect();
    let places = verb::places(paths, from);
    told.sources.iter_mut().zip(places).for_each(|(source, place)| source.at = place);
    Ok(told)
}

/// A type of records.
fn kind(text: &str) -> Result<Rtype, Failure> {
    text.to_ascii_uppercase().parse().map_err(|_| {
        let message = format!("{text} is not a type of records");
        usage("usage.type", message).hint("such as A, SRV, PTR, MX, TXT, or TYPE65")
    })
}

/// What the asker's server has. Of the host's own name servers the document knows nothing.
fn config(stack: &Stack, resolved: &Resolved, asker: &Asker<'_>) -> Result<Config, Failure> {
    plan::config(stack, resolved, asker.gateway, &[Ipv4Addr::UNSPECIFIED]).ok_or_else(|| {
        let message = format!("the stack {} serves no names", stack.name);
        Failure::new(Kind::Failed, "dns.query", message).hint("write `dns: {}` in the stack file")
    })
}

/// A name as DNS has it; an address becomes its reverse name.
fn name(text: &str) -> Result<String, Failure> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        let [a, b, c, d] = address.octets();
        return Ok(format!("{d}.{c}.{b}.{a}.in-addr.arpa"));
    }
    let name = Name::<Vec<u8>>::vec_from_str(text);
    let name = name.map_err(|e| usage("usage.name", format!("{text} is not a name: {e}")))?;
    Ok(name.to_string())
}

fn usage(code: &str, message: String) -> Failure {
    Failure::new(Kind::Usage, code, message)
}

/// The instance that is named, the first one of the network that is named, or the first one at all. It has a name server.
///
/// # Errors
/// An unknown name; no name server.
pub(crate) fn asker<'a>(resolved: &'a Resolved, from: Option<&str>) -> Result<Asker<'a>, Failure> {
    let mut known: Vec<&str> = resolved.networks.iter().map(|network| network.name.as_str()).collect();
    known.extend(resolved.instances.iter().map(|at| at.name.as_str()));
    if let Some(from) = from.filter(|from| !known.contains(from)) {
        let message = format!("the stack has no network and no instance {from}");
        return Err(usage("usage.from", message).hint(hint(from, known)));
    }
    let fits = |at: &InstanceAt, network: &str| from.is_none_or(|from| from == at.name || from == network);
    for at in &resolved.instances {
        for nic in at.nics.iter().filter(|nic| fits(at, &nic.network)) {
            let served = resolved.networks.iter().find(|network| network.name == nic.network);
            let Some(network) = served else { continue };
            if let (Some(gateway), Some(server)) = (&network.gateway, network.gateway_address) {
                return Ok(Asker {
                    instance: at,
                    network,
                    gateway,
                    address: nic.address.addr(),
                    mac: &nic.mac,
                    server: SocketAddrV4::new(server, 53),
                });
            }
        }
    }
    let message = format!("no instance of {} has a name server", from.unwrap_or("the stack"));
    Err(usage("usage.from", message).hint("name servers are gateways: give its network a gateway"))
}

/// What the document says.
fn explained(
    stack: &Stack,
    resolved: &Resolved,
    asker: &Asker<'_>,
    name: &str,
    kind: Rtype,
) -> Result<Queried, Failure> {
    let config = config(stack, resolved, asker)?;
    let wrong = |why: String| Failure::new(Kind::Data, "dns.query", why);
    let tables = Tables::new(&config, 0).map_err(wrong)?;
    let asked = Name::vec_from_str(name).map_err(|e| wrong(e.to_string()))?;
    let outcome = tables.answer(asker.address, &asked, kind, true);
    let (expected, forward) = match outcome {
        Outcome::Answer(answer) => (Answer::of(&answer), None),
        Outcome::Forward { before, servers, .. } => {
            let servers: Vec<String> = servers
                .into_iter()
                .map(|at| if at.is_unspecified() { "those of the host".to_owned() } else { at.to_string() })
                .collect();
            (Answer::records(&before), Some(servers))
        }
    };
    let view = config.view(asker.address);
    Ok(Queried {
        schema: document::schema("dns", "query"),
        stack: stack.name.clone(),
        name: name.to_owned(),
        kind: kind.to_string(),
        from: asker.instance.name.clone(),
        network: asker.network.name.clone(),
        source: asker.address,
        server: asker.server,
        view: view.map(|view| view.networks.clone()).unwrap_or_default(),
        zone: zone(&config, name).filter(|_| forward.is_none()),
        forward: forward.unwrap_or_default(),
        expected,
        sources: Vec::new(),
        partly: config.health.is_some(),
        told: told(&config, name),
        answer: None,
        same: None,
    })
}

/// Whether a name is one that a client of DHCP may tell: in the domain of its network, or that of an address there.
fn told(config: &Config, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let address = zone::name(&name).ok().and_then(|name| zone::reversed(&name));
    config.leased.iter().any(|network| {
        let label = name.strip_suffix(&network.domain).and_then(|rest| rest.strip_suffix('.'));
        label.is_some_and(|label| !label.contains('.'))
            || address.is_some_and(|at| network.cidr.contains(&at))
    })
}

/// The zone of the asker's server that a name is in.
///
/// # Errors
/// None; no server.
pub(crate) fn zone_of(
    stack: &Stack,
    resolved: &Resolved,
    asker: &Asker<'_>,
    name: &str,
) -> Result<String, Failure> {
    let config = config(stack, resolved, asker)?;
    zone(&config, name).ok_or_else(|| {
        let zones = config.zones.join(", ");
        usage("usage.zone", format!("{name} is in no zone of the stack")).hint(format!("its zones: {zones}"))
    })
}

/// The zone that a name is in.
fn zone(config: &Config, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let within = |zone: &&String| name == **zone || name.ends_with(&format!(".{zone}"));
    config.zones.iter().filter(within).max_by_key(|zone| zone.len()).cloned()
}
