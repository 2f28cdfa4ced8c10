//! DHCP: networks with a range, free addresses, and existing files.

use super::Dns;
use super::dhcp::Dhcp;
use crate::resolve::gateway_address;
use crate::rules::Check;
use crate::value::{NetworkKind, address};
use std::collections::BTreeMap;

/// Options that are addresses.
const ADDRESSES: [&str; 4] = ["log", "ntp", "smtp", "wins"];

impl<'s> Check<'s> {
    pub(super) fn dhcp(&mut self, dns: &'s Dns) {
        let mut cards: BTreeMap<&str, String> = BTreeMap::new();
        for (name, dhcp) in &dns.dhcp {
            self.given_out(name);
            self.told(name, dhcp);
            self.reserved_on(name, dhcp);
            for (who, reserved) in dhcp.reserve.iter().filter(|(_, reserved)| !reserved.mac.is_empty()) {
                let path = format!("dns.dhcp.{name}.reserve.{who}");
                if let Some(other) = cards.insert(&reserved.mac, path.clone()) {
                    let message = format!("{} is also the hardware address of {other}", reserved.mac);
                    self.tell(
                        "stack.dhcp.mac",
                        format!("{path}.mac"),
                        message,
                        "each hardware address can be used once",
                    );
                }
            }
        }
        let Some(boot) = &dns.boot else { return };
        if !boot.volume.is_empty() {
            self.volume(&boot.volume, || "dns.boot.volume".to_owned());
        }
        if dns.dhcp.is_empty() && !self.unread("dns.dhcp") {
            let message = "it has no effect without dns.dhcp".to_owned();
            self.tell(
                "stack.dhcp.boot",
                "dns.boot".to_owned(),
                message,
                "write dns.dhcp with the network of the machines",
            );
        }
        if boot.files.is_empty() && !self.unread("dns.boot.files") {
            let message = "no file is given".to_owned();
            self.tell("stack.dhcp.boot", "dns.boot".to_owned(), message, "write files: { uefi: ipxe.efi }");
        }
    }

    /// Whether DHCP can serve a network.
    fn given_out(&mut self, name: &str) {
        let path = || format!("dns.dhcp.{name}");
        let Some(network) = self.network(name, path) else { return };
        let below = |key: &str| format!("networks.{name}.{key}");
        let (message, hint) = match network {
            n if n.kind != NetworkKind::Overlay => (
                format!("networks.{name} is not an overlay, and lsx does not assign its addresses"),
                "remove it",
            ),
            n if n.dhcp_range.is_none() && !self.unread(&below("dhcp_range")) => {
                (format!("networks.{name} has no dhcp_range"), "write dhcp_range: FIRST-LAST at the network")
            }
            n if n.gateway.is_none() && !self.unread(&below("gateway")) => (
                format!("networks.{name} has no gateway, whose host would be the server"),
                "write gateway: HOST at the network",
            ),
            _ => return,
        };
        self.tell("stack.dhcp.network", path(), message, hint);
    }

    /// Options whose values are addresses; all have to fit into an option (RFC 2132 2).
    fn told(&mut self, name: &str, dhcp: &Dhcp) {
        for (option, values) in &dhcp.options {
            let length: usize = values.iter().map(|value| value.len() + 1).sum();
            if length > 256 || values.iter().any(|value| value.chars().any(char::is_control)) {
                let path = format!("dns.dhcp.{name}.options.{option}");
                let message = "it is too long, or has control characters".to_owned();
                self.tell("stack.dhcp.value", path, message, "at most 255 bytes in all");
            }
        }
        for (option, values) in dhcp.options.iter().filter(|(option, _)| ADDRESSES.contains(&option.as_str()))
        {
            for (i, value) in values.iter().enumerate() {
                if address(value).is_err() {
                    let path = format!("dns.dhcp.{name}.options.{option}.{i}");
                    self.tell(
                        "stack.dhcp.value",
                        path,
                        format!("`{value}` is not an IPv4 address"),
                        "like 192.0.2.1",
                    );
                }
            }
        }
    }

    fn reserved_on(&mut self, name: &str, dhcp: &Dhcp) {
        let Some(network) = self.stack.networks.get(name) else { return };
        let Some(cidr) = network.cidr else { return };
        let mut owners: BTreeMap<std::net::Ipv4Addr, String> = BTreeMap::new();
        for (key, instance) in &self.stack.instances {
            let nics = instance.networks.iter().filter(|nic| nic.name == name);
            owners.extend(nics.flat_map(|nic| &nic.address).map(|&at| (at, format!("instances.{key}"))));
        }
        if let Some(gateway) = gateway_address(network) {
            owners.insert(gateway, "the gateway".to_owned());
        }
        for (who, reserved) in dhcp.reserve.iter().filter(|(_, reserved)| !reserved.address.is_unspecified())
        {
            let path = format!("dns.dhcp.{name}.reserve.{who}.address");
            let at = reserved.address;
            if !cidr.contains(&at) || at == cidr.network() || at == cidr.broadcast() {
                let message = format!("{at} is not an address of networks.{name} ({cidr})");
                self.tell("stack.dhcp.address", path, message, "write an address of the network");
            } else if let Some(owner) = owners.get(&at) {
                self.tell(
                    "stack.dhcp.address",
                    path,
                    format!("{at} is already used by {owner}"),
                    "choose another",
                );
            } else if !network.dhcp_range.is_some_and(|range| range.contains(at))
                && !self.unread(&format!("networks.{name}.dhcp_range"))
            {
                let message =
                    format!("{at} is not in the dhcp_range, so it could be derived for an instance");
                self.tell("stack.dhcp.address", path, message, "write an address of the dhcp_range");
            } else {
                owners.insert(at, format!("dns.dhcp.{name}.reserve.{who}"));
            }
        }
    }
}
