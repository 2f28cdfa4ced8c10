//! Addresses written in the document: each in its network, free, and used once.

use super::check::Check;
use super::networks::{room, usable};
use crate::model::Network;
use crate::resolve::gateway_address;
use crate::value::NetworkKind;
use std::collections::HashMap;
use std::net::Ipv4Addr;

impl Check<'_> {
    pub(super) fn addresses(&mut self) {
        let mut owners: HashMap<(&str, Ipv4Addr), String> = HashMap::new();
        for (name, instance) in &self.stack.instances {
            for (i, nic) in instance.networks.iter().enumerate().filter(|(_, nic)| !nic.address.is_empty()) {
                let base = format!("instances.{name}.networks.{i}");
                let wanted = instance.count.unwrap_or(1) as usize;
                let counted = self.unread(&format!("{base}.address"))
                    || self.unread(&format!("instances.{name}.count"));
                if nic.address.len() != wanted && !counted {
                    let message = format!("{} addresses for {wanted} replicas", nic.address.len());
                    let hint = "write one address for each replica, or none to derive them";
                    self.tell("stack.address.count", format!("{base}.address"), message, hint);
                }
                let Some(network) = self.stack.networks.get(&nic.name) else { continue };
                for (n, &address) in nic.address.iter().enumerate() {
                    let path = format!("{base}.address.{n}");
                    self.written(&nic.name, network, address, &path);
                    if let Some(other) = owners.get(&(nic.name.as_str(), address)) {
                        let message = format!("{address} is also written at {other}");
                        self.tell(
                            "stack.address.duplicate",
                            path.clone(),
                            message,
                            "leave it out to have it derived",
                        );
                    }
                    owners.entry((&nic.name, address)).or_insert(path);
                }
            }
        }
    }

    fn written(&mut self, name: &str, network: &Network, address: Ipv4Addr, path: &str) {
        let Some(cidr) = network.cidr else {
            if self.unread(&format!("networks.{name}.cidr")) || network.kind == NetworkKind::Overlay {
                return; // already reported by the decoder
            }
            let message = format!("networks.{name} has no cidr, so lsx does not assign its addresses");
            return self.tell("stack.address.range", path.to_owned(), message, "write the network's cidr");
        };
        if !cidr.contains(&address) {
            let message = format!("{address} is not in networks.{name} ({cidr})");
            return self.tell("stack.address.range", path.to_owned(), message, room(cidr));
        }
        let routed = network.gateway.is_some() || network.gateway_address.is_some();
        let taken = match address {
            _ if !usable(cidr, address) && address == cidr.network() => "the network's own address",
            _ if !usable(cidr, address) => "the broadcast address",
            _ if routed && gateway_address(network) == Some(address) => "the gateway's address",
            _ if network.dhcp_range.is_some_and(|range| range.contains(address)) => {
                "in the range reserved for DHCP"
            }
            _ => return,
        };
        self.tell("stack.address.taken", path.to_owned(), format!("{address} is {taken}"), "choose another");
    }
}
