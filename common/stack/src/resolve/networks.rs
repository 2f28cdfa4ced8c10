//! Networks with their derived values: identifiers, members, legs, MTU.

use super::addresses::{Kept, Member, Pool, addresses, gateway_address, macs};
use super::claim::{Claim, settle};
use super::hash::Hash;
use super::links::{LinkKind, link_prefix, network_tails};
use super::place::Replica;
use crate::model::{Network, Stack};
use crate::resolved::{LegAt, NetworkAt, Resolved};
use crate::value::NetworkKind;
use crate::{Failure, Kind};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// Default MTU of a host: that of Ethernet.
pub(crate) const MTU: u32 = 1500;

/// Addresses and MACs of replicas, by replica's name and network.
pub(super) type Members = HashMap<(String, String), (Ipv4Addr, String)>;

/// What is derived for all networks.
pub(super) struct Nets {
    pub(super) networks: Vec<NetworkAt>,
    pub(super) members: Members,
    pub(super) failures: Vec<Failure>,
}

/// Derives all networks.
pub(super) fn networks(
    stack: &Stack,
    replicas: &[Replica<'_>],
    legs: &BTreeMap<&str, BTreeSet<&str>>,
    lock: Option<&Resolved>,
) -> Nets {
    let names: Vec<&str> = stack.networks.keys().map(String::as_str).collect();
    let (tails, vnis) = (network_tails(&stack.name, &names), vnis(stack, lock));
    let mut members = by_network(stack, replicas);
    let kept = kept(lock);
    let mut nets = Nets { networks: Vec::new(), members: Members::new(), failures: Vec::new() };
    for (((name, network), tail), vni) in stack.networks.iter().zip(&tails).zip(vnis) {
        let own = members.remove(name.as_str()).unwrap_or_default();
        let hosts = legs.get(name.as_str()).cloned().unwrap_or_default();
        let site = Site { stack, name, network, tail, vni, hosts };
        site.settle(own, &kept, &mut nets);
    }
    nets
}

fn by_network<'s>(
    stack: &'s Stack,
    replicas: &[Replica<'s>],
) -> HashMap<&'s str, Vec<(Member<'s>, &'s str)>> {
    let mut members: HashMap<&str, Vec<(Member<'s>, &'s str)>> = HashMap::new();
    for replica in replicas {
        for nic in &replica.instance.networks {
            let Some((network, _)) = stack.networks.get_key_value(&nic.name) else { continue };
            let member = Member { id: replica.name.clone(), network, written: replica.written(nic) };
            members.entry(network).or_default().push((member, replica.host));
        }
    }
    members
}

/// One identifier for each network: written, kept, or 24 bits of hash; 0 is not used (RFC 7348).
fn vnis(stack: &Stack, lock: Option<&Resolved>) -> Vec<u32> {
    let before: HashMap<&str, u32> =
        lock.into_iter().flat_map(|lock| &lock.networks).map(|net| (net.name.as_str(), net.vni)).collect();
    let claims: Vec<Claim<u32>> = stack
        .networks
        .iter()
        .map(|(name, network)| Claim { fixed: network.vni, kept: before.get(name.as_str()).copied() })
        .collect();
    let names: Vec<&String> = stack.networks.keys().collect();
    let open = |&vni: &u32| (1..1 << 24).contains(&vni);
    let vni = |i: usize, n: u32| Some(Hash::again(&["vni", &stack.name, names[i]], n).below(1 << 24));
    settle(&claims, open, vni).into_iter().map(Option::unwrap_or_default).collect()
}

fn kept(lock: Option<&Resolved>) -> Kept {
    let mut kept = Kept::default();
    let Some(lock) = lock else { return kept };
    let nics = lock.instances.iter().flat_map(|instance| {
        instance.nics.iter().map(|nic| (&nic.network, instance.name.clone(), nic.address.addr(), &nic.mac))
    });
    let legs = lock.networks.iter().flat_map(|network| {
        network.legs.iter().map(|leg| (&network.name, leg_id(&leg.host), leg.address, &leg.mac))
    });
    for (network, id, address, mac) in nics.chain(legs) {
        kept.addresses.insert((network.clone(), id.clone()), address);
        kept.macs.insert((network.clone(), id), mac.clone());
    }
    kept
}

/// The name of a leg among the members of a network; no instance can have it.
fn leg_id(host: &str) -> String {
    format!("host/{host}")
}

/// One network while it is derived.
struct Site<'s> {
    stack: &'s Stack,
    name: &'s str,
    network: &'s Network,
    tail: &'s str,
    vni: u32,
    /// Hosts with a leg.
    hosts: BTreeSet<&'s str>,
}

impl<'s> Site<'s> {
    fn settle(&self, own: Vec<(Member<'s>, &'s str)>, kept: &Kept, nets: &mut Nets) {
        let mut hosts = self.hosts.clone();
        let (mut members, places): (Vec<Member<'_>>, Vec<&str>) = own.into_iter().unzip();
        hosts.extend(places);
        let instances = members.len();
        members.extend(self.hosts.iter().map(|host| Member {
            id: leg_id(host),
            network: self.name,
            written: self.gateway().filter(|(gateway, _)| gateway == host).map(|(_, address)| address),
        }));
        let found = match Pool::of(self.network) {
            Some(pool) => addresses(&self.stack.name, &pool, &members, kept),
            None => members.iter().map(|member| member.written.or(Some(Ipv4Addr::UNSPECIFIED))).collect(),
        };
        if found.iter().any(Option::is_none) {
            nets.failures.push(full(self.name, members.len()));
        }
        let macs = macs(&self.stack.name, &members, kept);
        let found = found.into_iter().map(|address| address.unwrap_or(Ipv4Addr::UNSPECIFIED));
        let mut all: Vec<(Member<'_>, Ipv4Addr, String)> = members
            .into_iter()
            .zip(found)
            .zip(macs)
            .map(|((member, address), mac)| (member, address, mac))
            .collect();
        let legs = all.split_off(instances);
        for (member, address, mac) in all {
            nets.members.insert((member.id, self.name.to_owned()), (address, mac));
        }
        nets.networks.push(self.network_at(&hosts, legs));
    }

    fn gateway(&self) -> Option<(&'s str, Ipv4Addr)> {
        Some((self.network.gateway.as_deref()?, gateway_address(self.network)?))
    }

    fn network_at(&self, hosts: &BTreeSet<&str>, legs: Vec<(Member<'_>, Ipv4Addr, String)>) -> NetworkAt {
        let link = |kind| format!("{}{}", link_prefix(&self.stack.name, kind), self.tail);
        let network = self.network;
        let tunnelled = network.kind == NetworkKind::Overlay && hosts.len() > 1;
        let routed = network.gateway.is_some() || network.gateway_address.is_some();
        let legs = self.hosts.iter().zip(legs).map(|(host, (_, address, mac))| LegAt {
            host: (*host).to_owned(),
            address,
            mac,
            link: link(LinkKind::Leg),
        });
        NetworkAt {
            name: self.name.to_owned(),
            kind: network.kind,
            cidr: network.cidr,
            vni: self.vni,
            mtu: self.mtu(hosts),
            domain: self.stack.network_domain(self.name),
            gateway: network.gateway.clone(),
            gateway_address: gateway_address(network).filter(|_| routed),
            egress: network.egress && network.gateway.is_some(),
            dhcp_range: network.dhcp_range.map(|range| (range.first, range.last)),
            flood: network.flood || network.dhcp_range.is_some(),
            tunnel_type: network.tunnel,
            switch: network.switch,
            parent: network.parent.clone(),
            vlan: network.id,
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            bridge: if network.kind == NetworkKind::Macvlan { String::new() } else { link(LinkKind::Bridge) },
            tunnel: if tunnelled { link(LinkKind::Tunnel) } else { String::new() },
            legs: legs.collect(),
        }
    }

    /// The smallest MTU of its hosts minus the tunnel's overhead, which is subtracted even on a single host, so that a
    /// second host does not change the MTU of running instances.
    fn mtu(&self, hosts: &BTreeSet<&str>) -> u32 {
        let mtu = |host: &&str| self.stack.hosts.get(*host).and_then(|host| host.mtu).unwrap_or(MTU);
        let least = hosts.iter().map(mtu).min().unwrap_or(MTU);
        match self.network.kind {
            NetworkKind::Overlay => least.saturating_sub(self.network.tunnel.overhead()),
            NetworkKind::Macvlan | NetworkKind::Vlan => least,
        }
    }
}

fn full(name: &str, members: usize) -> Failure {
    let message = format!("the network is too small for its {members} addresses");
    Failure::new(Kind::Data, "stack.network.full", message)
        .at(format!("networks.{name}"))
        .hint("write a shorter prefix")
}

/// The network of an interface's address: the address with the prefix of its network; 0.0.0.0/0 if DHCP assigns it.
pub(super) fn with_prefix(network: &Network, address: Ipv4Addr) -> Ipv4Net {
    network.cidr.and_then(|cidr| Ipv4Net::new(address, cidr.prefix_len()).ok()).unwrap_or_default()
}
