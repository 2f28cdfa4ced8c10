//! Forwarding and neighbour entries of lsx's bridges and tunnels, as sorted lines with one digest per network.

use super::{failure, have, links::mac};
use crate::model::{Forwarding, Object, Weight, unmark};
use crate::netlink::Socket;
use crate::netlink::dump::Link;
use crate::netlink::neigh::{self, Forward, Neighbour, Scope};
use common::Failure;
use common::plan::Have;
use std::collections::{BTreeMap, BTreeSet};

/// The entries of one network, sorted: `flood REMOTE`, `forward MAC REMOTE`, `neighbour ADDRESS MAC`.
pub(crate) type Entries = BTreeSet<String>;

/// The entries of every network of a stack.
fn entries(
    stack: &str,
    links: &[Link],
    socket: &mut Socket,
) -> Result<BTreeMap<String, (Link, Link, Entries)>, Failure> {
    let tunnels: Vec<(&str, &Link)> = links
        .iter()
        .filter_map(|l| {
            let mark = l
                .altnames
                .iter()
                .filter_map(|a| unmark(a))
                .find(|(s, _, role)| *s == stack && *role == "tunnel");
            mark.map(|(_, network, _)| (network, l))
        })
        .collect();
    if tunnels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let forwards = group(neigh::forwards(socket, Scope::All).map_err(failure)?, |f| f.device);
    let neighbours = group(neigh::list(socket, None).map_err(failure)?, |n| n.device);
    let of = |tunnel: &Link| {
        let bridge = links.iter().find(|l| Some(l.index) == tunnel.master)?;
        let rows = forwards.get(&tunnel.index).into_iter().flatten();
        let names = neighbours.get(&bridge.index).into_iter().flatten();
        Some((bridge.clone(), tunnel.clone(), lines(rows, names)))
    };
    Ok(tunnels.into_iter().filter_map(|(network, t)| Some((network.to_owned(), of(t)?))).collect())
}

/// The entries of one network.
///
/// # Errors
/// Errors of the kernel.
pub(crate) fn of_network(socket: &mut Socket, bridge: u32, tunnel: u32) -> Result<Entries, Failure> {
    let rows = neigh::forwards(socket, Scope::Device(tunnel)).map_err(failure)?;
    let names = neigh::list(socket, Some(bridge)).map_err(failure)?;
    Ok(lines(rows.iter(), names.iter()))
}

fn group<T>(all: Vec<T>, key: impl Fn(&T) -> u32) -> BTreeMap<u32, Vec<T>> {
    let mut groups: BTreeMap<u32, Vec<T>> = BTreeMap::new();
    for one in all {
        groups.entry(key(&one)).or_default().push(one);
    }
    groups
}

/// An address counts only if both tables have it: the bridge's, which selects the tunnel, and the tunnel's own, which
/// selects the host. Learned entries change by themselves and do not count.
fn lines<'a>(
    rows: impl Iterator<Item = &'a Forward> + Clone,
    names: impl Iterator<Item = &'a Neighbour>,
) -> Entries {
    let bridged: BTreeSet<_> =
        rows.clone().filter(|f| f.bridge.is_some() && !f.own && f.fixed).map(|f| f.mac).collect();
    let mut entries = Entries::new();
    for row in rows.filter(|f| f.bridge.is_none() && f.fixed) {
        let Some(remote) = row.remote else { continue };
        if row.mac == [0; 6] {
            entries.insert(format!("flood {remote}"));
        } else if bridged.contains(&row.mac) {
            entries.insert(format!("forward {} {remote}", mac(row.mac)));
        }
    }
    for name in names.filter(|n| n.permanent) {
        if let Some(hardware) = name.mac {
            entries.insert(format!("neighbour {} {}", name.address, mac(hardware)));
        }
    }
    entries
}

/// One object per network.
pub(super) fn objects(
    stack: &str,
    links: &[Link],
    socket: &mut Socket,
) -> Result<Vec<Have<Object>>, Failure> {
    let one = |(network, (bridge, tunnel, entries)): (String, (Link, Link, Entries))| {
        let object = Object::Forwarding(Forwarding {
            bridge: bridge.name,
            tunnel: tunnel.name,
            count: entries.len(),
            digest: Weight::of(&entries).digest(),
            network: network.clone(),
        });
        have(&format!("forwarding:{network}"), object, &[&format!("tunnel:{network}")])
    };
    Ok(entries(stack, links, socket)?.into_iter().map(one).collect())
}
