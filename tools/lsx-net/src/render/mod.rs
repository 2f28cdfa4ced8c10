//! The rules of a host as nftables text, one transaction per namespace, in lsx's own tables; and the configuration of its
//! load balancers. Pure.

pub(crate) mod balance;
mod beyond;
pub(crate) mod certificates;
mod host;
mod router;
mod servers;
pub(crate) mod states;

pub(crate) use host::host;
pub(crate) use router::{NOWHERE, router};

use crate::model::Desired;
use common::stack::resolved::{PortAt, Protocol};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::Ipv4Addr;

/// The folder of the run-time files of the server of load balancers on its host.
pub(crate) fn folder(stack: &str) -> String {
    format!("/run/lsx/{stack}/{}", crate::model::BALANCE)
}

/// Elements in braces, sorted by the caller so that equal input gives equal text.
fn braces<T: Display>(elements: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = elements.into_iter().map(|e| e.to_string()).collect();
    format!("{{ {} }}", list.join(", "))
}

/// A named set or map; nft does not accept empty `elements`.
fn set(keyword: &str, name: &str, kind: &str, flags: &str, elements: &[String]) -> String {
    let mut text = format!("\t{keyword} {name} {{\n\t\ttype {kind}\n");
    if !flags.is_empty() {
        text += &format!("\t\tflags {flags}\n");
    }
    if !elements.is_empty() {
        text += &format!("\t\telements = {}\n", braces(elements));
    }
    text + "\t}\n"
}

/// A chain with its rules.
fn chain(name: &str, head: &str, rules: &[String]) -> String {
    let mut text = format!("\tchain {name} {{\n");
    if !head.is_empty() {
        text += &format!("\t\t{head}\n");
    }
    for rule in rules {
        text += &format!("\t\t{rule}\n");
    }
    text + "\t}\n"
}

/// A table, replaced in one transaction; it is added first, so that `delete` cannot fail.
fn table(family: &str, name: &str, body: &str) -> String {
    format!("table {family} {name} {{}}\ndelete table {family} {name}\ntable {family} {name} {{\n{body}}}\n")
}

/// The port by which the host forwards a published port to the router. Two ports published on different addresses may have
/// the same number, which the router could not distinguish; those get unused numbers from the top.
fn inner(d: &Desired, port: &PortAt) -> u16 {
    inner_of(d, port.protocol, port.address, port.listen)
}

/// The same for a port of a load balancer.
fn inner_balance(d: &Desired, address: Option<Ipv4Addr>, listen: u16) -> u16 {
    inner_of(d, Protocol::Tcp, address, listen)
}

fn inner_of(d: &Desired, protocol: Protocol, address: Option<Ipv4Addr>, listen: u16) -> u16 {
    if address.is_none() {
        return listen;
    }
    let ports = d.ports.iter().filter(|p| p.protocol == protocol).map(|p| (p.address, p.listen));
    let balanced = d.balance.iter().filter(|_| protocol == Protocol::Tcp);
    let mut balanced: Vec<_> =
        balanced.flat_map(|b| b.listen.iter().map(|port| (b.address, *port))).collect();
    balanced.sort_unstable();
    balanced.dedup();
    let all: Vec<(Option<Ipv4Addr>, u16)> = ports.chain(balanced).collect();
    let taken: BTreeSet<u16> = all.iter().filter(|(at, _)| at.is_none()).map(|(_, listen)| *listen).collect();
    let mut free = (1..=u16::MAX).rev().filter(|n| !taken.contains(n));
    let before =
        all.iter().filter(|(at, _)| at.is_some()).take_while(|one| **one != (address, listen)).count();
    free.nth(before).unwrap_or(listen)
}

/// The ports of load balancers: the address of the host, the port there, and the port in the router.
fn balanced(d: &Desired) -> BTreeSet<(Option<Ipv4Addr>, u16, u16)> {
    let ports = d.balance.iter().flat_map(|b| b.listen.iter().map(|port| (b.address, *port)));
    ports.map(|(address, port)| (address, port, inner_balance(d, address, port))).collect()
}

/// Whether this router has an address on the network of a port's instance.
fn near(d: &Desired, port: &PortAt) -> bool {
    d.networks.iter().any(|n| n.name == port.network && n.leg.is_some())
}

/// A match of source addresses; nothing for all.
fn sources(from: &[Ipv4Net]) -> String {
    if from.is_empty() { String::new() } else { format!("ip saddr {} ", braces(from)) }
}

/// A protocol's name in nftables.
fn protocol(protocol: common::stack::resolved::Protocol) -> &'static str {
    match protocol {
        common::stack::resolved::Protocol::Tcp => "tcp",
        common::stack::resolved::Protocol::Udp => "udp",
    }
}

/// `443` or `6000-6010`.
fn ports(spec: &common::stack::resolved::PortSpec) -> String {
    if spec.first == spec.last { spec.first.to_string() } else { format!("{}-{}", spec.first, spec.last) }
}
