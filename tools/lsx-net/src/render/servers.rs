//! Servers of names on several hosts: the routers of the others reach the first one's, and nobody else does. Pure.

use super::braces;
use crate::model::{Desired, Servers, WORLD};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The servers, if the first one is on this host.
fn first(d: &Desired) -> Option<&Servers> {
    d.servers.as_ref().filter(|servers| servers.at == d.address)
}

/// All addresses that the hosts of the others may come with.
fn others(d: &Desired, servers: &Servers) -> String {
    let all = servers.others.iter().flat_map(|(host, address)| d.addresses(host, *address, None));
    braces(all.collect::<BTreeSet<Ipv4Addr>>())
}

/// On the host of the first one: from the other hosts into its router. They have the addresses of their hosts, and arrive on the
/// interface of the route back.
pub(super) fn translated(d: &Desired) -> Option<String> {
    let servers = first(d)?;
    let (from, at, port) = (others(d, servers), servers.at, d.tunnel_port);
    let to = format!("{}:{}", d.leg.broadcast(), servers.port);
    Some(format!("ip saddr {from} fib saddr . iif oif exists ip daddr {at} tcp dport {port} dnat ip to {to}"))
}

/// In its router.
pub(super) fn let_in(d: &Desired) -> Option<String> {
    let servers = first(d)?;
    let (from, router) = (others(d, servers), d.leg.broadcast());
    Some(format!("iifname \"{WORLD}\" ip saddr {from} ip daddr {router} tcp dport {} accept", servers.port))
}

/// On the hosts of the others: what they forward for somebody else, such as another stack or a container, would have their address.
pub(super) fn kept_out(d: &Desired) -> Option<String> {
    let servers = d.servers.as_ref().filter(|servers| servers.at != d.address)?;
    let (world, at, port) = (&d.world_link, servers.at, d.tunnel_port);
    Some(format!("iifname != \"{world}\" ip daddr {at} tcp dport {port} drop"))
}
