//! Forwarding and neighbour entries: only differences are sent, with many messages in flight.

use super::Changer;
use super::ask::{index, parse_mac};
use crate::model::{Forwarding, Weight};
use crate::netlink::dump;
use crate::netlink::neigh;
use crate::netlink::{Device, Request, Socket};
use crate::observe::{failure, of_network};
use crate::plan;
use common::{Failure, Kind};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::PoisonError;

impl Changer {
    /// Sets a network's entries to those that the digest names. A tunnel that was observed has entries, even if it has none, so a
    /// new one is not read: for each, the kernel would go through the neighbours of all namespaces.
    pub(super) fn forward(&self, socket: &mut Socket, new: bool, wanted: &Forwarding) -> Result<(), Failure> {
        let (bridge, tunnel) = (index(socket, &wanted.bridge)?, index(socket, &wanted.tunnel)?);
        let there = if new { BTreeSet::new() } else { of_network(socket, bridge, tunnel)? };
        let entries = self.entries(socket, wanted)?;
        self.change_entries(socket, (bridge, tunnel), there, &entries)
    }

    /// Removes a network's entries.
    pub(super) fn clear(&self, socket: &mut Socket, gone: &Forwarding) -> Result<(), Failure> {
        // Without its devices its entries are gone.
        let (Ok(bridge), Ok(tunnel)) = (index(socket, &gone.bridge), index(socket, &gone.tunnel)) else {
            return Ok(());
        };
        let there = of_network(socket, bridge, tunnel)?;
        self.change_entries(socket, (bridge, tunnel), there, &BTreeSet::new())
    }

    /// The entries of a digest: from the plan's rows, or those that this run has replaced.
    fn entries(&self, socket: &mut Socket, wanted: &Forwarding) -> Result<BTreeSet<String>, Failure> {
        let rows = self.plan.data.rows.get(&wanted.network).map(Vec::as_slice).unwrap_or_default();
        let me = local(socket, &wanted.tunnel)?;
        for flood in [false, true] {
            let lines = plan::lines(rows, me, flood);
            if Weight::of(&lines).digest() == wanted.digest {
                return Ok(lines);
            }
        }
        let replaced = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let message = format!("the plan lacks the forwarding entries of network {}", wanted.network);
        replaced
            .get(&wanted.digest)
            .cloned()
            .ok_or_else(|| Failure::new(Kind::Data, "net.plan.rows", message))
    }

    pub(super) fn change_entries(
        &self,
        socket: &mut Socket,
        (bridge, tunnel): (u32, u32),
        there: BTreeSet<String>,
        wanted: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        let mut requests = Vec::new();
        for line in there.difference(wanted) {
            requests.extend(taken(line, bridge, tunnel)?);
        }
        let removals = requests.len();
        for line in wanted.difference(&there) {
            requests.push(given(line, bridge, tunnel)?);
        }
        let digest = Weight::of(&there).digest();
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, there);
        for (i, verdict) in socket.batch(&requests).into_iter().enumerate() {
            match verdict {
                Err(error) if i < removals && error.missing() => {}
                Err(error) => return Err(failure(error)),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

fn local(socket: &mut Socket, tunnel: &str) -> Result<Ipv4Addr, Failure> {
    let link = dump::link(socket, Device::Name(tunnel)).map_err(failure)?;
    match link.and_then(|l| l.vxlan).and_then(|v| v.local) {
        Some(IpAddr::V4(local)) => Ok(local),
        _ => Err(Failure::new(Kind::Failed, "net.gone", format!("the tunnel {tunnel} is missing"))),
    }
}

/// The message that adds an entry.
fn given(line: &str, bridge: u32, tunnel: u32) -> Result<Request<'static>, Failure> {
    Ok(match line.split(' ').collect::<Vec<_>>().as_slice() {
        ["flood", remote] => neigh::flood_to(tunnel, IpAddr::V4(address(remote)?)),
        ["forward", mac, remote] => neigh::forward(tunnel, parse_mac(mac)?, IpAddr::V4(address(remote)?)),
        ["neighbour", ip, mac] => neigh::replace(bridge, address(ip)?, parse_mac(mac)?),
        _ => return Err(unknown(line)),
    })
}

/// The messages that remove an entry.
fn taken(line: &str, bridge: u32, tunnel: u32) -> Result<Vec<Request<'static>>, Failure> {
    Ok(match line.split(' ').collect::<Vec<_>>().as_slice() {
        ["flood", remote] => vec![neigh::delete_flood_to(tunnel, IpAddr::V4(address(remote)?))],
        ["forward", mac, remote] => {
            neigh::delete_forward(tunnel, parse_mac(mac)?, IpAddr::V4(address(remote)?)).into()
        }
        ["neighbour", ip, _] => vec![neigh::delete(bridge, address(ip)?)],
        _ => return Err(unknown(line)),
    })
}

fn address(text: &str) -> Result<Ipv4Addr, Failure> {
    text.parse().map_err(|_| unknown(text))
}

fn unknown(text: &str) -> Failure {
    Failure::new(Kind::Bug, "net.entry", format!("{text} is not a forwarding entry"))
}
