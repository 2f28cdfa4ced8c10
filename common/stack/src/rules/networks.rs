//! Networks: their ranges, overlaps, and the keys of each type.

use super::check::Check;
use crate::model::Network;
use crate::resolve::{Pool, gateway_address, legs};
use crate::value::NetworkKind;
use crate::value::Range;
use crate::value::{Switch, Tunnel};
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Ports of a kernel bridge (BR_MAX_PORTS is 1 << 10, and number 0 is not used).
const BRIDGE_PORTS: usize = 1023;
/// Maximum number of networks in a stack: `*` to `*` is then a million pairs.
const MAX_NETWORKS: usize = 1000;
/// Ranges where no network can be: loopback, link-local, multicast (RFC 6890).
const SPECIAL: [(&str, [u8; 4], u8); 4] = [
    ("loopback", [127, 0, 0, 0], 8),
    ("link-local", [169, 254, 0, 0], 16),
    ("multicast and reserved", [224, 0, 0, 0], 3),
    ("\"this network\"", [0, 0, 0, 0], 8),
];

impl<'s> Check<'s> {
    pub(super) fn networks(&mut self) {
        let stack = self.stack;
        if stack.networks.len() > MAX_NETWORKS {
            let message = format!("{} networks, at most {MAX_NETWORKS} fit one stack", stack.networks.len());
            self.tell(
                "stack.network.many",
                "networks".to_owned(),
                message,
                "several stacks can share the hosts",
            );
        }
        for (name, network) in &stack.networks {
            if let Some(host) = &network.gateway {
                self.host(host, || format!("networks.{name}.gateway"));
            }
            self.kind(name, network);
            match network.cidr {
                Some(cidr) => self.ranges(name, network, cidr),
                None => self.rangeless(name, network),
            }
        }
        self.overlaps();
        self.twice();
        self.sizes();
    }

    fn kind(&mut self, name: &str, network: &Network) {
        let mut alien = |key: &str, there: bool, hint: &str| {
            if there {
                let message = format!("`{key}` does not apply to this type of network");
                self.tell("stack.network.type", format!("networks.{name}.{key}"), message, hint);
            }
        };
        match network.kind {
            NetworkKind::Overlay => {
                alien("parent", network.parent.is_some(), "only type: macvlan and type: vlan have a parent");
                alien("id", network.id.is_some(), "only type: vlan has an id");
            }
            NetworkKind::Macvlan | NetworkKind::Vlan => {
                alien("tunnel", network.tunnel != Tunnel::default(), "only type: overlay has a tunnel");
                alien("vni", network.vni.is_some(), "only type: overlay has a vni");
                alien("id", network.kind == NetworkKind::Macvlan && network.id.is_some(), "write the id");
                let macvlan = network.kind == NetworkKind::Macvlan;
                alien("switch", macvlan && network.switch != Switch::default(), "a macvlan has no switch");
                let hint = "its router is that of the parent's network: write gateway_address";
                alien("gateway", macvlan && network.gateway.is_some(), hint);
            }
        }
    }

    fn ranges(&mut self, name: &str, network: &Network, cidr: Ipv4Net) {
        let path = |key: &str| format!("networks.{name}.{key}");
        if !(8..=30).contains(&cidr.prefix_len()) {
            let message = format!("/{} is not a valid prefix of a network", cidr.prefix_len());
            self.tell("stack.network.prefix", path("cidr"), message, "from /8 to /30");
        }
        for (what, octets, prefix) in SPECIAL {
            let special = Ipv4Net::new(Ipv4Addr::from(octets), prefix).unwrap_or_default();
            if special.contains(&cidr.network()) || cidr.contains(&special.network()) {
                let hint = "private ranges are 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 (RFC 1918)";
                self.tell(
                    "stack.network.special",
                    path("cidr"),
                    format!("{cidr} overlaps {special}, which is {what}"),
                    hint,
                );
            }
        }
        let inside = |address: Ipv4Addr| usable(cidr, address);
        if let Some(address) = network.gateway_address.filter(|&address| !inside(address)) {
            let message = format!("{address} is not an address for an interface in {cidr}");
            self.tell("stack.address.range", path("gateway_address"), message, room(cidr));
        }
        for (key, range) in [("dhcp_range", network.dhcp_range), ("range", network.range)] {
            let Some(range) = range else { continue };
            if !inside(range.first) || !inside(range.last) {
                let message = format!("{range} is not within {cidr}");
                self.tell("stack.address.range", path(key), message, room(cidr));
            }
        }
        let gateway = gateway_address(network).filter(|_| network.gateway.is_some());
        if let (Some(gateway), Some(Range { first, last })) = (gateway, network.dhcp_range)
            && (first..=last).contains(&gateway)
        {
            let message = format!("the gateway's address {gateway} is in this range");
            self.tell(
                "stack.address.range",
                path("dhcp_range"),
                message,
                "DHCP would assign it; choose another range",
            );
        }
    }

    fn rangeless(&mut self, name: &str, network: &Network) {
        let keys = [
            ("gateway", network.gateway.is_some()),
            ("gateway_address", network.gateway_address.is_some()),
            ("dhcp_range", network.dhcp_range.is_some()),
            ("range", network.range.is_some()),
        ];
        // An overlay without a cidr has been reported by the decoder.
        let told = network.kind == NetworkKind::Overlay || self.unread(&format!("networks.{name}.cidr"));
        for (key, _) in keys.iter().filter(|(_, there)| *there && !told) {
            let message = format!("`{key}` needs the network's `cidr`");
            self.tell("stack.network.cidr", format!("networks.{name}.{key}"), message, "");
        }
    }

    /// Overlapping networks: sorted by first address, a network that overlaps does so with the widest before it.
    fn overlaps(&mut self) {
        let mut nets: Vec<(Ipv4Net, &'s str)> =
            self.stack.networks.iter().filter_map(|(name, net)| Some((net.cidr?, name.as_str()))).collect();
        nets.sort_by_key(|(cidr, name)| (cidr.network(), cidr.prefix_len(), *name));
        let mut widest: Option<(Ipv4Net, &str)> = None;
        for (cidr, name) in nets {
            match widest {
                Some((before, other)) if before.contains(&cidr.network()) => {
                    let message = format!("{cidr} overlaps networks.{other}.cidr ({before})");
                    self.tell(
                        "stack.network.overlap",
                        format!("networks.{name}.cidr"),
                        message,
                        "give one of them another cidr",
                    );
                }
                _ => widest = Some((cidr, name)),
            }
        }
    }

    fn twice(&mut self) {
        let mut vnis: HashMap<u32, &str> = HashMap::new();
        let mut tags: HashMap<(&str, u16), &str> = HashMap::new();
        for (name, network) in &self.stack.networks {
            if let Some(other) = network.vni.and_then(|vni| vnis.insert(vni, name)) {
                let message = format!("networks.{other} has the same vni");
                self.tell(
                    "stack.network.vni",
                    format!("networks.{name}.vni"),
                    message,
                    "leave it out to have it derived",
                );
            }
            let tag = network.parent.as_deref().zip(network.id).filter(|_| network.kind == NetworkKind::Vlan);
            if let Some(other) = tag.and_then(|tag| tags.insert(tag, name)) {
                let message = format!("networks.{other} has the same tag on the same parent");
                self.tell("stack.network.tag", format!("networks.{name}.id"), message, "");
            }
        }
    }

    /// Enough addresses for all members, and enough ports on one bridge.
    fn sizes(&mut self) {
        let legs = legs(self.stack, &self.replicas);
        let mut ports: HashMap<(&str, &str), usize> = HashMap::new();
        let mut derived: HashMap<&str, usize> = HashMap::new();
        for replica in &self.replicas {
            for nic in &replica.instance.networks {
                *ports.entry((&nic.name, replica.host)).or_default() += 1;
                *derived.entry(&nic.name).or_default() += usize::from(replica.written(nic).is_none());
            }
        }
        for (name, network) in &self.stack.networks {
            let legs = legs.get(name.as_str()).map_or(0, std::collections::BTreeSet::len);
            let others = legs.saturating_sub(usize::from(network.gateway.is_some()));
            let wanted = derived.get(name.as_str()).copied().unwrap_or_default() + others;
            let room = Pool::of(network).map_or(usize::MAX, |pool| pool.room() as usize);
            if wanted > room && room > 0 {
                let message = format!("{wanted} addresses are needed, {room} can be derived");
                self.tell(
                    "stack.network.full",
                    format!("networks.{name}.cidr"),
                    message,
                    "write a shorter prefix",
                );
            }
        }
        self.bridges(&ports);
    }

    fn bridges(&mut self, ports: &HashMap<(&str, &str), usize>) {
        // Two more: the tunnel and the leg.
        let mut crowded: Vec<_> = ports.iter().filter(|(_, count)| **count + 2 > BRIDGE_PORTS).collect();
        crowded.sort();
        for ((name, host), count) in crowded {
            let bridge = |net: &&Network| net.kind != NetworkKind::Macvlan && net.switch == Switch::Bridge;
            if self.stack.networks.get(*name).filter(bridge).is_some() {
                let message = format!(
                    "{count} interfaces on {host}; a bridge has {BRIDGE_PORTS} ports, including tunnel and gateway"
                );
                self.tell(
                    "stack.network.ports",
                    format!("networks.{name}"),
                    message,
                    "spread the instances over hosts or networks",
                );
            }
        }
    }
}

/// Whether an address can be an interface's: in the network, but not its network or broadcast address.
pub(super) fn usable(cidr: Ipv4Net, address: Ipv4Addr) -> bool {
    cidr.contains(&address) && address != cidr.network() && address != cidr.broadcast()
}

/// A hint with the addresses of a network.
pub(super) fn room(cidr: Ipv4Net) -> String {
    let n = |net: Ipv4Addr, step: i64| {
        Ipv4Addr::from(u32::try_from(i64::from(u32::from(net)) + step).unwrap_or_default())
    };
    format!("from {} to {}", n(cidr.network(), 1), n(cidr.broadcast(), -1))
}
