//! Rules in the stack's router: what crosses between networks, what leaves, what is published. Closed unless opened.

use super::{braces, chain, ports, protocol, set, table};
use crate::model::{Desired, Network, WORLD};
use common::stack::resolved::{AllowAt, PortAt, PortSpec, Protocol, Selector};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// The text for `nft -f`; the namespace is the stack's own, so a policy of drop harms nobody.
pub fn router(desired: &Desired) -> String {
    let mut text = set("set", "inside", "ipv4_addr", "interval", &inside(desired));
    text += &chain("input", "type filter hook input priority filter; policy drop;", &input());
    text += &chain("forward", "type filter hook forward priority filter; policy drop;", &forward(desired));
    text += &chain(
        "prerouting",
        "type nat hook prerouting priority dstnat; policy accept;",
        &prerouting(desired),
    );
    text += &chain(
        "postrouting",
        "type nat hook postrouting priority srcnat; policy accept;",
        &postrouting(desired),
    );
    table("inet", "lsx", &text)
}

/// Networks and hosts of the stack: not the world, even when a route would lead there.
fn inside(d: &Desired) -> Vec<String> {
    let hosts = d.hosts.iter().map(|h| Ipv4Net::from(*h));
    let all: Vec<Ipv4Net> = d.inside.iter().copied().chain(hosts).chain([d.leg]).collect();
    Ipv4Net::aggregate(&all).iter().map(ToString::to_string).collect()
}

/// DNS and DHCP are answered here once a resolver runs; everything else is closed.
fn input() -> Vec<String> {
    vec![
        "ct state established,related accept".to_owned(),
        "icmp type echo-request accept".to_owned(),
        format!("iifname != \"{WORLD}\" meta l4proto {{ tcp, udp }} th dport 53 accept"),
        format!("iifname != \"{WORLD}\" udp dport 67 accept"),
    ]
}

fn forward(d: &Desired) -> Vec<String> {
    let mut rules = vec![
        "ct state vmap { established : accept, related : accept, invalid : drop }".to_owned(),
        "ct status dnat accept".to_owned(),
    ];
    rules.extend(permissions(d));
    rules.push(format!("oifname \"{WORLD}\" ip daddr @inside drop"));
    let egress: Vec<String> =
        d.networks.iter().filter(|n| n.gateway && n.egress).filter_map(leg_name).collect();
    if !egress.is_empty() {
        rules.push(format!("iifname {} oifname \"{WORLD}\" accept", braces(egress)));
    }
    rules
}

fn leg_name(network: &Network) -> Option<String> {
    network.leg.as_ref().map(|leg| format!("\"{}\"", leg.link))
}

/// One rule for all permissions with the same source and ports; the targets share a set. Named sets of concatenated
/// intervals would be faster to look up, but refuse elements that overlap in part, which permissions do.
fn permissions(d: &Desired) -> Vec<String> {
    let mut groups: BTreeMap<(String, &[PortSpec]), BTreeSet<String>> = BTreeMap::new();
    for allow in &d.allow {
        let (Some(from), Some(to)) = (source(d, allow), target(d, &allow.to)) else { continue };
        groups.entry((from, &allow.ports)).or_default().extend(to);
    }
    let mut rules = Vec::new();
    for ((from, ports), to) in groups {
        let to = if to.contains("world") {
            format!("oifname \"{WORLD}\"")
        } else {
            format!("ip daddr {}", braces(to))
        };
        rules.extend(match ports {
            [] => vec![format!("{from} {to} accept")],
            some => with_ports(&from, &to, some),
        });
    }
    rules
}

/// A permission for ports includes ICMP echo, so that `ping` shows what is allowed.
fn with_ports(from: &str, to: &str, specs: &[PortSpec]) -> Vec<String> {
    let mut rules = vec![format!("{from} {to} icmp type echo-request accept")];
    for one in [Protocol::Tcp, Protocol::Udp] {
        let list: Vec<String> = specs.iter().filter(|p| p.protocol == one).map(ports).collect();
        if !list.is_empty() {
            rules.push(format!("{from} {to} {} dport {} accept", protocol(one), braces(list)));
        }
    }
    rules
}

fn source(d: &Desired, allow: &AllowAt) -> Option<String> {
    Some(match &allow.from {
        Selector::Network(name) => format!("ip saddr {}", cidr(d, name)?),
        Selector::Addresses(nets) => format!("ip saddr {}", braces(nets)),
        Selector::Host(_) => format!("iifname \"{WORLD}\" ip saddr {{ {}, {} }}", d.address, d.leg.network()),
        Selector::World => format!("iifname \"{WORLD}\" ip saddr != @inside"),
    })
}

fn target(d: &Desired, selector: &Selector) -> Option<Vec<String>> {
    Some(match selector {
        Selector::Network(name) => vec![cidr(d, name)?.to_string()],
        Selector::Addresses(nets) => nets.iter().map(ToString::to_string).collect(),
        Selector::Host(_) => vec![d.address.to_string(), d.leg.network().to_string()],
        Selector::World => vec!["world".to_owned()],
    })
}

fn cidr(d: &Desired, name: &str) -> Option<Ipv4Net> {
    d.networks.iter().find(|n| n.name == name).map(|n| n.cidr)
}

/// Published ports, for those who come from the world and for instances that use the host's own address (hairpin).
fn prerouting(d: &Desired) -> Vec<String> {
    let to = |p: &PortAt| format!("{} . {}", p.to_address, p.to_port);
    let (open, narrow): (Vec<&PortAt>, Vec<&PortAt>) =
        d.ports.iter().partition(|p| p.from.is_empty() && p.address.is_none());
    let here = braces([d.address, d.leg.broadcast()]);
    let mut rules: Vec<String> = narrow
        .iter()
        .map(|p| {
            let from =
                if p.from.is_empty() { String::new() } else { format!("ip saddr {} ", braces(&p.from)) };
            let (protocol, listen) = (protocol(p.protocol), p.listen);
            format!(
                "ip daddr {here} {from}{protocol} dport {listen} dnat ip to {}:{}",
                p.to_address, p.to_port
            )
        })
        .collect();
    if !open.is_empty() {
        let pairs = open.iter().map(|p| format!("{} . {} : {}", protocol(p.protocol), p.listen, to(p)));
        let map = braces(pairs);
        rules.push(format!("ip daddr {here} dnat ip addr . port to meta l4proto . th dport map {map}"));
    }
    rules
}

/// Sources are translated where the reply would not come back by here: out to the world; to an instance whose default
/// route is not this router; and from an instance to another of its own network.
fn postrouting(d: &Desired) -> Vec<String> {
    let mut rules = vec![format!("oifname \"{WORLD}\" masquerade")];
    let gateways: BTreeSet<&str> = d.networks.iter().filter(|n| n.gateway).map(|n| n.name.as_str()).collect();
    let returns = |p: &&PortAt| {
        let nic = d.nics.iter().find(|n| n.instance == p.instance && n.network == p.network);
        !(nic.is_some_and(|n| n.default) && gateways.contains(p.network.as_str()))
    };
    let targets: BTreeSet<String> =
        d.ports.iter().filter(returns).map(|p| p.to_address.to_string()).collect();
    if !targets.is_empty() {
        rules.push(format!("ct status dnat ip daddr {} masquerade", braces(targets)));
    }
    let networks: BTreeSet<&str> = d.ports.iter().map(|p| p.network.as_str()).collect();
    for net in networks.iter().filter_map(|name| cidr(d, name)) {
        rules.push(format!("ct status dnat ip saddr {net} ip daddr {net} masquerade"));
    }
    rules
}
