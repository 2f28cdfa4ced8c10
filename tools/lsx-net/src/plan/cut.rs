//! From the resolved stack to the desired state of one host.

use crate::model::{Desired, Leg, Network, Nic, Servers};
use common::stack::resolved::{AllowAt, HostAt, NetworkAt, NetworkKind, Resolved, Selector};
use common::stack::{LinkKind, link_prefix};
use std::collections::BTreeMap;

/// The default port of ssh (RFC 4253).
const SSH: u16 = 22;

/// Every host's part, in one pass over the stack.
pub fn cut(resolved: &Resolved) -> BTreeMap<String, Desired> {
    let mut all: BTreeMap<String, Desired> =
        resolved.hosts.iter().map(|host| (host.name.clone(), empty(resolved, host))).collect();
    for network in resolved.networks.iter().filter(|n| n.kind == NetworkKind::Overlay) {
        for host in &network.hosts {
            if let Some(desired) = all.get_mut(host) {
                desired.networks.extend(at(resolved, network, host));
            }
        }
    }
    for instance in &resolved.instances {
        if let Some(desired) = all.get_mut(&instance.host) {
            desired.nics.extend(instance.nics.iter().map(|nic| Nic {
                instance: instance.name.clone(),
                name: nic.name.clone(),
                network: nic.network.clone(),
                link: nic.link.clone(),
                address: nic.address.addr(),
                mac: nic.mac.clone(),
                default: nic.gateway.is_some(),
                forward: nic.forward,
            }));
        }
    }
    for port in &resolved.ports {
        if let Some(desired) = all.get_mut(&port.host) {
            desired.ports.push(port.clone());
        }
    }
    permissions(resolved, &mut all);
    servers(resolved, &mut all);
    all
}

/// Servers that share names, for each of their hosts.
fn servers(resolved: &Resolved, all: &mut BTreeMap<String, Desired>) {
    let address = |name: &String| {
        let host = resolved.hosts.iter().find(|host| host.name == *name)?;
        Some((name.clone(), host.address))
    };
    let Some(first) = resolved.services.iter().find(|service| !service.hosts.is_empty()) else { return };
    let Some((_, at)) = address(&first.host) else { return };
    let others = first.hosts.iter().filter_map(address).collect();
    let servers = Servers { at, port: first.port, others };
    for host in first.hosts.iter().chain([&first.host]) {
        if let Some(desired) = all.get_mut(host) {
            desired.servers = Some(servers.clone());
        }
    }
}

/// The prefixes of a stack's links, by kind.
pub fn prefixes(stack: &str) -> [String; 5] {
    let kinds = [LinkKind::Bridge, LinkKind::Tunnel, LinkKind::Leg, LinkKind::World, LinkKind::Instance];
    kinds.map(|kind| link_prefix(stack, kind))
}

fn empty(resolved: &Resolved, host: &HostAt) -> Desired {
    Desired {
        stack: resolved.stack.clone(),
        host: host.name.clone(),
        address: host.address,
        tunnel_port: resolved.tunnel_port,
        leg: resolved.leg,
        world_link: host.world_link.clone(),
        prefixes: prefixes(&resolved.stack),
        hosts: resolved.hosts.iter().map(|h| h.address).collect(),
        peers: Vec::new(),
        closed: BTreeMap::new(),
        outward: Vec::new(),
        aside: Vec::new(),
        elsewhere: Vec::new(),
        balanced: Vec::new(),
        firewall: host.firewall.clone(),
        uplink: host.uplink.clone(),
        ssh_port: ssh_port(&host.ssh),
        networks: Vec::new(),
        inside: resolved.networks.iter().filter_map(|n| n.cidr).collect(),
        nics: Vec::new(),
        ports: Vec::new(),
        allow: Vec::new(),
        balance: Vec::new(),
        services: Vec::new(),
        servers: None,
    }
}

/// The port of `[user@]address[:port]`.
fn ssh_port(ssh: &str) -> u16 {
    ssh.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(SSH)
}

/// A host's part of a network; none of one without addresses, which no tool makes yet.
fn at(resolved: &Resolved, network: &NetworkAt, host: &str) -> Option<Network> {
    let mut leased =
        resolved.services.iter().filter(|at| (at.tool.as_str(), at.name.as_str()) == ("dns", "dhcp"));
    let leg = network.legs.iter().find(|leg| leg.host == host);
    Some(Network {
        name: network.name.clone(),
        cidr: network.cidr?,
        vni: network.vni,
        mtu: network.mtu,
        bridge: network.bridge.clone(),
        tunnel: if network.hosts.len() > 1 { network.tunnel.clone() } else { String::new() },
        flood: network.flood,
        gateway: network.gateway.as_deref() == Some(host),
        egress: network.egress,
        dhcp: leased.any(|at| at.networks.contains(&network.name)),
        leg: leg.map(|l| Leg { link: l.link.clone(), address: l.address, mac: l.mac.clone() }),
    })
}

/// A permission belongs to the host that routes for one of its sides; the rules of the stack ensure that both sides have
/// the same host.
fn permissions(resolved: &Resolved, all: &mut BTreeMap<String, Desired>) {
    let gateway: BTreeMap<&str, &str> =
        resolved.networks.iter().filter_map(|n| Some((n.name.as_str(), n.gateway.as_deref()?))).collect();
    for allow in &resolved.allow {
        for (host, desired) in all.iter_mut() {
            if routes_for(resolved, &gateway, allow, host) {
                desired.allow.push(allow.clone());
            }
        }
    }
}

fn routes_for(resolved: &Resolved, gateway: &BTreeMap<&str, &str>, allow: &AllowAt, host: &str) -> bool {
    let routes = |selector: &Selector| match selector {
        Selector::Network(name) => gateway.get(name.as_str()) == Some(&host),
        Selector::Addresses(nets) => resolved.networks.iter().any(|n| {
            n.gateway.as_deref() == Some(host)
                && nets.iter().any(|net| n.cidr.is_some_and(|cidr| cidr.contains(net)))
        }),
        Selector::Host(_) | Selector::World => false,
    };
    routes(&allow.from) || routes(&allow.to)
}
