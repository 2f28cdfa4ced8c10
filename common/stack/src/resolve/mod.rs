//! Derives all values of a stack. A pure function: the same stack gives the same values everywhere.

mod addresses;
mod allow;
mod claim;
mod hash;
mod instances;
mod kept;
mod links;
mod networks;
mod place;
mod services;

pub(crate) use addresses::{Pool, gateway_address};
pub use links::{LinkKind, link_prefix};
pub(crate) use networks::MTU;
pub(crate) use place::{Replica, hosts, legs, replicas};
pub(crate) use services::S3_PORT;

use super::model::{Host, Stack};
use super::resolved::{HostAt, Resolved};
use crate::Failures;
use hash::Hash;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The range of derived tunnel ports: above common services, below the kernel's ephemeral ports (from 32768).
const TUNNEL_PORTS: (u16, u16) = (20_000, 32_000);

/// Third octets of 169.254.0.0/16 that are not used for legs: RFC 3927 reserves the first and the last, and clouds serve
/// metadata at 169.254.169.254.
const LEG_AVOIDS: [u8; 3] = [0, 169, 255];

/// Derives every value of a stack that has passed `read`. Values of the stack's lock are kept where they are still valid.
///
/// # Errors
/// A network without room for its addresses; everything else was reported by `read`.
pub fn resolve(stack: &Stack) -> Result<Resolved, Failures> {
    let lock = stack.resolved.as_deref().filter(|lock| lock.stack == stack.name);
    let replicas = replicas(stack);
    let legs = legs(stack, &replicas);
    let nets = networks::networks(stack, &replicas, &legs, lock);
    Failures(nets.failures).verdict()?;
    let reach = allow::reach(stack, &replicas, &nets.members);
    let parts = instances::Parts {
        stack,
        networks: nets.networks.iter().map(|network| (network.name.as_str(), network)).collect(),
        members: &nets.members,
        reach: &reach,
    };
    let (instances, ports, names) =
        (instances::instances(&parts, &replicas), parts.ports(&replicas), parts.names(&replicas));
    Ok(Resolved {
        stack: stack.name.clone(),
        tunnel_port: tunnel_port(stack, lock),
        leg: leg(&stack.name, lock),
        hosts: stack.hosts.iter().map(|(name, host)| host_at(stack, name, host)).collect(),
        networks: nets.networks,
        instances,
        ports,
        allow: reach.allow,
        names,
        services: services::services(stack, &legs),
        volumes: kept::volumes(stack, &replicas),
        certificates: kept::certificates(stack, &replicas),
    })
}

/// The port of the tunnels: written, kept, or derived.
pub(crate) fn tunnel_port(stack: &Stack, lock: Option<&Resolved>) -> u16 {
    let (first, last) = TUNNEL_PORTS;
    let derived = || Hash::of(&["tunnel port", &stack.name]).below(u32::from(last - first) + 1);
    stack
        .tunnel_port
        .or(lock.map(|lock| lock.tunnel_port).filter(|&port| port > 0))
        .unwrap_or_else(|| first + u16::try_from(derived()).unwrap_or_default())
}

/// The /31 between host and router. It is the same on every host, since both ends are on the host.
fn leg(stack: &str, lock: Option<&Resolved>) -> Ipv4Net {
    let good = |net: &Ipv4Net| {
        let [a, b, c, _] = net.network().octets();
        net.prefix_len() == 31 && (a, b) == (169, 254) && !LEG_AVOIDS.contains(&c)
    };
    if let Some(kept) = lock.map(|lock| lock.leg.trunc()).filter(good) {
        return kept;
    }
    let slot = Hash::of(&["leg", stack]).below(1 << 15);
    let base = u32::from(Ipv4Addr::new(169, 254, 0, 0));
    let nth = |step: u32| {
        Ipv4Net::new(Ipv4Addr::from(base + (slot + step) % (1 << 15) * 2), 31).unwrap_or_default()
    };
    (0..1 << 15).map(nth).find(good).unwrap_or_default()
}

fn host_at(stack: &Stack, name: &str, host: &Host) -> HostAt {
    HostAt {
        name: name.to_owned(),
        fqdn: format!("{name}.host.{}", stack.domain),
        address: host.address,
        ssh: host.ssh.clone().unwrap_or_else(|| host.address.to_string()),
        key: host.key.clone(),
        offline: host.offline,
        local: host.local,
        uplink: host.uplink.clone(),
        mtu: host.mtu.unwrap_or(MTU),
        firewall: host.firewall.clone(),
        world_link: link_prefix(&stack.name, LinkKind::World),
    }
}
