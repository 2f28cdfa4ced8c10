//! Servers of names on several hosts.

use super::{Dns, DnsDriver};
use crate::model::Stack;
use std::collections::BTreeSet;

/// The servers of a stack whose names change, if they are on several hosts: that which keeps the names, and the others.
pub fn dns_servers(stack: &Stack) -> Option<(&str, Vec<&str>)> {
    // Their key comes from the seed: without one the names of clients of DHCP stay on the host of their leases.
    let leased = |dns: &Dns| {
        dns.driver == DnsDriver::Embedded && !dns.dhcp.is_empty() && stack.secrets.contains_key("seed")
    };
    let changes = |dns: &&Dns| !dns.update.is_empty() || dns.transfer.is_some() || leased(dns);
    let dns = stack.dns.as_ref().filter(changes)?;
    let gateways: BTreeSet<&str> =
        stack.networks.values().filter_map(|network| network.gateway.as_deref()).collect();
    let first = dns.host.as_deref().or(gateways.first().copied())?;
    let others: Vec<&str> = gateways.into_iter().filter(|host| *host != first).collect();
    (!others.is_empty()).then_some((first, others))
}
