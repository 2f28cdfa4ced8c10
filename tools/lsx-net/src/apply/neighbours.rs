//! Permanent neighbour entries in instances and the router; only differences are sent.

use super::Changer;
use super::ask::parse_mac;
use crate::model::{Neighbours, Row, mark, router, unmark};
use crate::netlink::dump::{self, Link};
use crate::netlink::{Device, Socket, namespace, neigh};
use crate::observe::{failure, kept_intent, mac, spaces};
use crate::plan::{self, ROUTER};
use common::Failure;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

impl Changer {
    /// Sets the entries of a network's interfaces to those of the plan, or for undo to those of the host's intent.
    pub(super) fn acquaint(&self, socket: &mut Socket, wanted: &Neighbours) -> Result<(), Failure> {
        let links = dump::links(socket).map_err(failure)?;
        let kept = kept_intent(&self.stack).map(|i| plan::by_network(&i.rows)).unwrap_or_default();
        let old = kept.get(&wanted.network).map(Vec::as_slice).unwrap_or_default();
        let planned = self.plan.data.rows.get(&wanted.network).map(Vec::as_slice).unwrap_or_default();
        let rows = if plan::digest_of(planned) == wanted.digest { planned } else { old };
        let bridge = mark(&self.stack, &wanted.network, "bridge");
        let Some(bridge) = links.iter().find(|l| l.altnames.contains(&bridge)) else { return Ok(()) };
        let nic = |l: &&Link| {
            l.master == Some(bridge.index)
                && l.altnames.iter().filter_map(|a| unmark(a)).any(|(.., role)| role == "nic")
        };
        let ports: Vec<&Link> = links.iter().filter(nic).collect();
        spaces::behind(&ports, |_, inside, socket| introduce(socket, inside, "", (old, rows), wanted.peers))?;
        let leg = mark(&self.stack, &wanted.network, "leg");
        let Some(leg) = links.iter().find(|l| l.altnames.contains(&leg)) else { return Ok(()) };
        let Ok(space) = namespace::open(namespace::NamespaceRef::Name(&router(&self.stack))) else {
            return Ok(());
        };
        let Ok(mut inner) = Socket::open_in(space.as_fd()) else { return Ok(()) };
        let inside = dump::links(&mut inner).map_err(failure)?;
        match inside.iter().find(|l| Some(l.index) == leg.lower) {
            Some(inside) => introduce(&mut inner, inside, ROUTER, (old, rows), true),
            None => Ok(()),
        }
    }

    /// The initial entries of a new leg.
    pub(super) fn introduce_leg(&self, inner: &mut Socket, link: &str, network: &str) -> Result<(), Failure> {
        let rows = self.plan.data.rows.get(network).map(Vec::as_slice).unwrap_or_default();
        match dump::link(inner, Device::Name(link)).map_err(failure)? {
            Some(inside) => introduce(inner, &inside, ROUTER, (&[], rows), true),
            None => Ok(()),
        }
    }
}

/// Sets the entries of an interface: `old` are those it may have, `rows` those it should have.
pub(crate) fn introduce(
    socket: &mut Socket,
    inside: &Link,
    at: &str,
    (old, rows): (&[Row], &[Row]),
    peers: bool,
) -> Result<(), Failure> {
    let own = inside.mac.map(mac).unwrap_or_default();
    let wanted: BTreeMap<Ipv4Addr, &str> = plan::entries(rows, at, &own, peers).collect();
    let gone = old.iter().map(|row| row.address).filter(|address| !wanted.contains_key(address));
    let mut requests = Vec::new();
    for address in gone {
        if neigh::permanent(socket, inside.index, address).map_err(failure)?.is_some() {
            requests.push(neigh::delete(inside.index, address));
        }
    }
    for (address, hardware) in wanted {
        requests.push(neigh::replace(inside.index, address, parse_mac(hardware)?));
    }
    for verdict in socket.batch(&requests) {
        match verdict {
            Err(error) if !error.missing() => return Err(failure(error)),
            _ => {}
        }
    }
    Ok(())
}
