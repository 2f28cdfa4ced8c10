//! What is asked: every record of the document, in each network that has a name server, by an instance of each host. Pure.

use crate::model::{Config, Data, Driver, Entry};
use crate::query::Answer;
use crate::zone::{Outcome, Tables};
use common::stack::{Resolved, Stack};
use domain::base::Name;
use domain::base::iana::Rtype;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What an instance of a network asks its name server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) network: String,
    /// The host of the name server.
    pub(super) gateway: String,
    pub(super) server: SocketAddrV4,
    /// The first of them that runs asks. All see the same names.
    pub(super) askers: Vec<Asker>,
    pub(super) questions: Vec<Question>,
}

/// An instance.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asker {
    pub(super) name: String,
    /// Its address and hardware address, by which its namespace is found.
    address: Ipv4Addr,
    mac: String,
}

/// A question, with what the document says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) expected: Answer,
    /// Whether records of replicas that are not ready may be missing.
    pub(super) partly: bool,
}

impl Asker {
    pub(super) fn interface(&self) -> (Ipv4Addr, String) {
        (self.address, self.mac.to_lowercase())
    }
}

/// What instances of a host ask. Those of a network that see other names than the rest ask for themselves.
///
/// # Errors
/// A name or a text that DNS does not allow.
pub(super) fn asks(stack: &Stack, resolved: &Resolved, host: &str) -> Result<Vec<Ask>, String> {
    let mut all: BTreeMap<(&str, BTreeSet<String>), Ask> = BTreeMap::new();
    let mut served: BTreeMap<&str, Option<(Config, Tables)>> = BTreeMap::new();
    for at in resolved.instances.iter().filter(|at| at.host == host) {
        for nic in at.nics.iter().filter(|nic| !nic.address.addr().is_unspecified()) {
            let Some(network) = resolved.networks.iter().find(|network| network.name == nic.network) else {
                continue;
            };
            let (Some(gateway), Some(server)) = (&network.gateway, network.gateway_address) else { continue };
            if !served.contains_key(gateway.as_str()) {
                served.insert(gateway, answers(stack, resolved, gateway)?);
            }
            let Some(Some((config, tables))) = served.get(gateway.as_str()) else { continue };
            let address = nic.address.addr();
            let view = config.view(address);
            let reach = view.map(|view| view.reach.iter().map(ToString::to_string).collect());
            let asker = Asker { name: at.name.clone(), address, mac: nic.mac.clone() };
            let key = (nic.network.as_str(), reach.unwrap_or_default());
            if let Some(ask) = all.get_mut(&key) {
                ask.askers.push(asker);
                continue;
            }
            let ask = Ask {
                network: nic.network.clone(),
                gateway: gateway.clone(),
                server: SocketAddrV4::new(server, 53),
                askers: vec![asker],
                questions: questions(config, tables, address)?,
            };
            all.insert(key, ask);
        }
    }
    Ok(all.into_values().collect())
}

/// What a host's server has. Its own name servers are no matter: only names of the document are asked.
fn answers(stack: &Stack, resolved: &Resolved, host: &str) -> Result<Option<(Config, Tables)>, String> {
    let Some(config) = crate::plan::config(stack, resolved, host, &[]) else { return Ok(None) };
    let tables = Tables::new(&config, 0)?;
    Ok(Some((config, tables)))
}

/// Every name with every type that it has for anybody: what a source may not see, it must not get.
fn questions(config: &Config, tables: &Tables, source: Ipv4Addr) -> Result<Vec<Question>, String> {
    let of = |entry: &Entry| (entry.name.clone(), kind(&entry.data));
    let zones = config.zones.iter().map(|zone| (zone.clone(), Rtype::NS));
    let mut all: BTreeSet<(String, Rtype)> = config.records.iter().map(of).chain(zones).collect();
    match config.driver {
        Driver::Embedded => {}
        // It asks the servers of a delegated zone itself.
        Driver::Bind => all.retain(|(name, kind)| *kind != Rtype::NS || config.zones.contains(name)),
        // It has no zones, and so no servers of them.
        Driver::Dnsmasq => all.retain(|(_, kind)| *kind != Rtype::NS),
    }
    let mut questions = Vec::new();
    for (name, kind) in all {
        let asked = Name::vec_from_str(&name).map_err(|e| format!("{name} is not a name: {e}"))?;
        let Outcome::Answer(answer) = tables.answer(source, &asked, kind, false) else { continue };
        let expected = Answer::of(&answer);
        let partly = config.health.is_some() && expected.records.len() > 1;
        questions.push(Question { name, kind: kind.to_string(), expected, partly });
    }
    Ok(questions)
}

fn kind(data: &Data) -> Rtype {
    match data {
        Data::A(_) => Rtype::A,
        Data::Aaaa(_) => Rtype::AAAA,
        Data::Cname(_) => Rtype::CNAME,
        Data::Mx(..) => Rtype::MX,
        Data::Txt(_) => Rtype::TXT,
        Data::Srv(..) => Rtype::SRV,
        Data::Ptr(_) => Rtype::PTR,
        Data::Ns(_) => Rtype::NS,
        Data::Caa(..) => Rtype::CAA,
        Data::Other(kind, _) => Rtype::from_int(*kind),
    }
}
