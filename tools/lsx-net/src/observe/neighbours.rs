//! Neighbour entries of attached interfaces and gateways for the addresses in the host's intent. Each address is queried
//! separately: a dump would walk the table of all namespaces, once for each namespace.

use super::{failure, mac, spaces};
use crate::model::{Intent, Known, Row, Weight, router, unmark};
use crate::netlink::dump::Link;
use crate::netlink::{Socket, namespace, neigh};
use crate::plan::{self, ROUTER};
use common::Failure;
use std::collections::BTreeMap;

/// All interfaces whose namespace can be entered.
pub(super) fn known(stack: &str, links: &[Link], intent: &Intent) -> Result<Vec<Known>, Failure> {
    let rows = plan::by_network(&intent.rows);
    let networks: BTreeMap<String, &str> = intent
        .desired
        .nics
        .iter()
        .map(|n| (format!("{}.{}", n.instance, n.name), n.network.as_str()))
        .collect();
    let mut found = Vec::new();
    let ports: Vec<&Link> = links.iter().filter(|l| nic(stack, l).is_some()).collect();
    spaces::behind(&ports, |port, inside, socket| {
        let named = nic(stack, port).and_then(|name| Some((name, networks.get(name)?)));
        let Some((name, network)) = named else { return Ok(()) };
        let rows = rows.get(*network).map(Vec::as_slice).unwrap_or_default();
        found.push(look(socket, inside.index, network, name, rows)?);
        Ok(())
    })?;
    found.extend(legs(stack, intent, &rows)?);
    found.sort_by(|a, b| (&a.network, &a.at).cmp(&(&b.network, &b.at)));
    Ok(found)
}

/// Instance and interface of a port.
fn nic<'a>(stack: &str, link: &'a Link) -> Option<&'a str> {
    let mut marks = link.altnames.iter().filter_map(|a| unmark(a));
    marks.find(|(s, _, role)| *s == stack && *role == "nic").map(|(_, name, _)| name)
}

fn legs(stack: &str, intent: &Intent, rows: &BTreeMap<String, Vec<Row>>) -> Result<Vec<Known>, Failure> {
    let entered = namespace::enter(namespace::NamespaceRef::Name(&router(stack)), Socket::open);
    let Ok((_, Ok(mut socket))) = entered else { return Ok(Vec::new()) };
    let inside = crate::netlink::dump::links(&mut socket).map_err(failure)?;
    let mut found = Vec::new();
    for network in &intent.desired.networks {
        let leg = network.leg.as_ref().and_then(|leg| inside.iter().find(|l| l.name == leg.link));
        if let Some(leg) = leg {
            let rows = rows.get(&network.name).map(Vec::as_slice).unwrap_or_default();
            found.push(look(&mut socket, leg.index, &network.name, ROUTER, rows)?);
        }
    }
    Ok(found)
}

fn look(socket: &mut Socket, device: u32, network: &str, at: &str, rows: &[Row]) -> Result<Known, Failure> {
    let mut weight = Weight::default();
    for row in rows {
        let there = neigh::permanent(socket, device, row.address).map_err(failure)?;
        if let Some(hardware) = there {
            weight.add(&format!("neighbour {} {}", row.address, mac(hardware)));
        }
    }
    let (count, digest) = (weight.count, weight.digest());
    Ok(Known { network: network.to_owned(), at: at.to_owned(), count, digest })
}
