//! Hosts: each with its own address, outside the stack's networks.

use super::check::Check;
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;

impl Check<'_> {
    pub(super) fn hosts(&mut self) {
        let mut by_address: HashMap<Ipv4Addr, &str> = HashMap::new();
        let mut local: Option<&str> = None;
        let nets: Vec<(&str, Ipv4Net)> =
            self.stack.networks.iter().filter_map(|(name, net)| Some((name.as_str(), net.cidr?))).collect();
        for (name, host) in &self.stack.hosts {
            let path = || format!("hosts.{name}.address");
            if host.address.is_unspecified()
                && (self.unread(&path()) || self.unread(&format!("hosts.{name}")))
            {
                continue; // already reported by the decoder
            }
            // "This network" (RFC 1122 3.2.1.3), multicast (RFC 5771), reserved (RFC 1112 section 4): not addresses of a
            // host.
            if matches!(host.address.octets()[0], 0 | 224..) {
                let message = format!("{} is not an address of a host", host.address);
                let hint = "write the address by which the other hosts reach it, like 192.0.2.11";
                self.tell("stack.host.address", path(), message, hint);
                continue;
            }
            if host.address.is_loopback() && self.stack.hosts.len() > 1 {
                let message = format!("{} is a loopback address", host.address);
                self.tell(
                    "stack.host.address",
                    path(),
                    message,
                    "write an address by which the other hosts reach it",
                );
            }
            if let Some(other) = by_address.insert(host.address, name) {
                let message = format!("{} is also the address of hosts.{other}", host.address);
                self.tell("stack.host.duplicate", path(), message, "every host needs its own address");
            }
            if let Some((net, cidr)) = nets.iter().find(|(_, cidr)| cidr.contains(&host.address)) {
                let message = format!("{} is in networks.{net} ({cidr})", host.address);
                let hint = "the addresses of hosts must be outside the overlays; choose another cidr";
                self.tell("stack.host.inside", path(), message, hint);
            }
            if let Some(other) = local.filter(|_| host.local) {
                let message = format!("hosts.{other} is local, too; only one host can be this machine");
                self.tell("stack.host.local", format!("hosts.{name}.local"), message, "");
            }
            local = local.or(Some(name).filter(|_| host.local).map(String::as_str));
        }
        if let Some(host) = &self.stack.defaults.host {
            self.host(host, || "defaults.host".to_owned());
        }
    }
}
