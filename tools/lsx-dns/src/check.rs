//! The live checks: instances ask their name servers for what they should get and for what they should not, by UDP and TCP,
//! from their own namespaces.

mod spaces;

use crate::ask;
use crate::model::{Config, Data, Entry};
use crate::query::{self, Asked};
use common::host::namespace;
use common::stack::{Resolved, Stack};
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failure, Failures, Kind, fleet};
use domain::base::iana::Rtype;
use domain::rdata::A;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;

/// The number of names that are asked at one server.
const NAMES: usize = 200;

/// What one instance asks its name server.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    /// Instance.
    from: String,
    /// Its address and hardware address, by which its namespace is found.
    address: Ipv4Addr,
    mac: String,
    server: SocketAddrV4,
    /// Names with the addresses that they should have.
    names: Vec<(String, Ipv4Addr)>,
    /// A name that it must not get.
    hidden: Option<String>,
}

/// What it got.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    from: String,
    server: SocketAddrV4,
    asked: usize,
    /// Names without the right answer, and what came.
    wrong: Vec<(String, String)>,
}

/// A verb of lsx-dns itself, on this host.
///
/// # Errors
/// Failures of the verb.
pub(crate) fn call(name: &str, input: Value) -> Result<Value, Failures> {
    if name == "query" {
        return queried(input);
    }
    if name != "ask" {
        return Err(Failure::new(Kind::Bug, "dns.call", format!("no call {name}")).into());
    }
    let asks: Vec<Ask> = serde_json::from_value(input)
        .map_err(|e| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string())))?;
    let spaces = spaces::by_address();
    let mut all = Vec::new();
    for ask in &asks {
        // An instance that does not run here is a finding of lsx-ct.
        let Some(space) = spaces.get(&(ask.address, ask.mac.to_lowercase())) else { continue };
        let told = namespace::inside(space.as_fd(), || told(ask));
        all.extend(told.ok());
    }
    Ok(json!(all))
}

/// Asks one query from an instance of this host.
fn queried(input: Value) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string()));
    let asked: Asked = serde_json::from_value(input).map_err(wrong)?;
    let failed = |message: String| Failure::new(Kind::Failed, "dns.query", message);
    let spaces = spaces::by_address();
    let space = spaces.get(&(asked.address, asked.mac.to_lowercase())).ok_or_else(|| {
        let failure = failed(format!("no instance here has the address {}", asked.address));
        failure.hint("it has to run: lsx-ct up, or lsx-dns query --explain")
    })?;
    let answer = namespace::inside(space.as_fd(), || query::answered(&asked)).and_then(|answer| answer);
    Ok(json!(answer.map_err(|e| failed(format!("{} does not answer: {e}", asked.server)))?))
}

fn told(ask: &Ask) -> Told {
    let mut wrong = Vec::new();
    for (i, (name, address)) in ask.names.iter().enumerate() {
        // One by TCP: both have the same answers.
        match addresses(ask.server, name, i == 0) {
            Ok(addresses) if addresses.contains(address) => {}
            Ok(addresses) => wrong.push((name.clone(), format!("the addresses {addresses:?}"))),
            Err(e) => wrong.push((name.clone(), format!("no answer: {e}"))),
        }
    }
    if let Some(name) = &ask.hidden {
        match addresses(ask.server, name, false) {
            Ok(addresses) if addresses.is_empty() => {}
            Ok(addresses) => wrong.push((name.clone(), format!("{addresses:?}, which it may not reach"))),
            Err(e) => wrong.push((name.clone(), format!("no answer: {e}"))),
        }
    }
    let asked = ask.names.len() + usize::from(ask.hidden.is_some());
    Told { from: ask.from.clone(), server: ask.server, asked, wrong }
}

/// The addresses of a name.
fn addresses(server: SocketAddrV4, name: &str, tcp: bool) -> io::Result<Vec<Ipv4Addr>> {
    let query = ask::query(name, Rtype::A)?;
    let reply = if tcp { ask::by_tcp(server, &query)? } else { ask::by_udp(server, &query)? };
    let records = reply.answer().map_err(|_| io::ErrorKind::InvalidData)?.limit_to::<A>();
    Ok(records.filter_map(|record| Some(record.ok()?.data().addr())).collect())
}

/// Asks from one instance of each network and host, on all hosts in parallel.
///
/// # Errors
/// Hosts that could not be asked.
pub(crate) fn check(input: &PlanInput, each: Each<'_>) -> Result<Checked, Failures> {
    let mut checked = Checked::default();
    let Goal::Up(stack, resolved) = &input.goal else { return Ok(checked) };
    // Of each host: its server runs with its configuration, or the plan has steps.
    input.hosts.iter().for_each(|_| checked.passed());
    if !input.only.section("dns") || stack.dns.is_none() {
        return Ok(checked);
    }
    let asks = |host: &str| asks(stack, resolved, host);
    let asks = input.hosts.iter().map(|host| (host.name.clone(), json!(asks(&host.name)))).collect();
    for (host, answer) in each("ask", asks) {
        let finding = |message: String| Finding {
            code: "dns.unanswered".to_owned(),
            host: host.clone(),
            message,
            hint: Some(format!(
                "the log of each server is /var/lib/lsx/dns/{}/log/{}/log on its host",
                input.stack,
                crate::model::NAMES
            )),
        };
        let told = answer.and_then(|told| Ok(fleet::shape::<Vec<Told>>(told)?));
        match told {
            Err(failures) => checked.found(finding(failures.to_string())),
            Ok(all) => all.into_iter().for_each(|told| {
                (told.wrong.len()..told.asked).for_each(|_| checked.passed());
                let answered = told.asked.saturating_sub(told.wrong.len());
                let (from, server, asked) = (&told.from, told.server, told.asked);
                checked.row(json!({"host": host, "from": from, "server": server, "asked": asked, "answered": answered}));
                for (name, what) in told.wrong.iter().take(told.asked) {
                    checked.found(finding(format!("{from} asks {server} for {name} and gets {what}")));
                }
            }),
        }
    }
    Ok(checked)
}

/// What instances of a host ask: the first of each network that has a name server.
fn asks(stack: &Stack, resolved: &Resolved, host: &str) -> Vec<Ask> {
    let mut networks = BTreeSet::new();
    let mut all = Vec::new();
    for at in resolved.instances.iter().filter(|at| at.host == host) {
        for nic in &at.nics {
            let served = resolved.networks.iter().find(|n| n.name == nic.network && n.gateway.is_some());
            let (Some(gateway), Some(server)) =
                (served.and_then(|n| n.gateway.as_deref()), served.and_then(|n| n.gateway_address))
            else {
                continue;
            };
            if !networks.insert(&nic.network) {
                continue;
            }
            let Some(config) = crate::plan::config(stack, resolved, gateway, &[]) else { continue };
            let (names, hidden) = names(&config, nic.address.addr());
            let (from, address, mac) = (at.name.clone(), nic.address.addr(), nic.mac.clone());
            all.push(Ask { from, address, mac, server: SocketAddrV4::new(server, 53), names, hidden });
        }
    }
    all
}

/// The names with addresses that a source sees, and one that it does not see at all.
fn names(config: &Config, source: Ipv4Addr) -> (Vec<(String, Ipv4Addr)>, Option<String>) {
    let view = config.view(source);
    let address = |entry: &Entry| match entry.data {
        Data::A(address) if !entry.name.starts_with('*') => Some((entry.name.clone(), address)),
        _ => None,
    };
    let seen = |entry: &&Entry| view.is_some_and(|view| crate::zone::sees(view, entry));
    // A replica that is not ready may be left out of the name of all; it has one of its own.
    let probed =
        |at: &Ipv4Addr| config.health.iter().flat_map(|health| &health.replicas).any(|r| r.address == *at);
    let several = |name: &str| config.records.iter().filter(|entry| entry.name == name).count() > 1;
    let all: Vec<_> = config.records.iter().filter(seen).filter_map(address).collect();
    let sure = all.iter().filter(|(name, address)| !probed(address) || !several(name)).cloned();
    let there: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let hidden = config.records.iter().filter_map(address).find(|(name, _)| !there.contains(name.as_str()));
    let hidden = hidden.map(|(name, _)| name);
    (sure.take(NAMES).collect(), hidden)
}
