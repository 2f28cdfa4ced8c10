//! Rules in the stack's router: traffic between networks, to the world, and of published ports. Blocked by default.

use super::beyond::beyond;
use super::servers;
use super::{balanced, braces, chain, inner, inner_balance, near, ports, protocol, set, sources, table};
use crate::model::{Desired, Network, WORLD};
use common::stack::resolved::{AllowAt, PortAt, PortSpec, Protocol, Selector, ServiceAt};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// The text for `nft -f`; the namespace belongs to the stack, so a policy of drop affects nothing else.
pub(crate) fn router(desired: &Desired) -> String {
    let mut text = set("set", "inside", "ipv4_addr", "interval", &inside(desired));
    text += &chain("input", "type filter hook input priority filter; policy drop;", &input(desired));
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

/// Networks and hosts of the stack, with every address of the hosts: not the world, even if a route leads there.
fn inside(d: &Desired) -> Vec<String> {
    let hosts = d.hosts.iter().chain(d.closed.values().flatten()).map(|h| Ipv4Net::from(*h));
    let all: Vec<Ipv4Net> = d.inside.iter().copied().chain(hosts).chain([d.leg]).collect();
    Ipv4Net::aggregate(&all).iter().map(ToString::to_string).collect()
}

/// Services of tools and load balancers; everything else is dropped. A gateway answers echo requests of its own network, and
/// of those that may reach it.
fn input(d: &Desired) -> Vec<String> {
    let mut rules = vec![
        "ct state established,related accept".to_owned(),
        "fib daddr . iif type local icmp type echo-request accept".to_owned(),
    ];
    let mut echoes = BTreeSet::new();
    for ((from, _), mut to) in pairs(d) {
        to.remove("world");
        echoes.extend(towards(to).iter().map(|to| echo(&from, to)));
    }
    rules.extend(echoes);
    rules.extend(d.services.iter().filter_map(|service| served(d, service)));
    rules.extend(servers::let_in(d));
    // Answers of DHCP servers, to `lsx-dns check`: nothing else listens there.
    let asking = d.networks.iter().filter(|n| n.gateway && n.dhcp).filter_map(leg_name);
    let asking: Vec<String> = asking.collect();
    if !asking.is_empty() {
        rules.push(format!("iifname {} udp sport 67 udp dport 68 accept", braces(asking)));
    }
    let router = d.leg.broadcast();
    for one in &d.balance {
        let from = sources(&one.from);
        for port in &one.listen {
            let inner = inner_balance(d, one.address, *port);
            rules.push(format!("iifname \"{WORLD}\" ip daddr {router} {from}tcp dport {inner} accept"));
            rules.push(format!(
                "iifname != \"{WORLD}\" fib daddr . iif type local {from}tcp dport {inner} accept"
            ));
        }
    }
    rules
}

/// The interfaces of the networks that a service is for.
fn legs(d: &Desired, service: &ServiceAt) -> Vec<String> {
    d.networks.iter().filter(|n| service.networks.contains(&n.name)).filter_map(leg_name).collect()
}

/// An address that the router does not have is translated to that of the interface.
fn translated(d: &Desired, service: &ServiceAt) -> Option<String> {
    let (address, inner) = (service.address?, service.inner?);
    let (legs, from, protocol) = (legs(d, service), sources(&service.from), protocol(service.protocol));
    let asked = format!("ip daddr {address} {from}{protocol} dport {}", service.port);
    (!legs.is_empty()).then(|| format!("iifname {} {asked} redirect to :{inner}", braces(legs)))
}

/// A service of another tool, for the networks that it is for.
fn served(d: &Desired, service: &ServiceAt) -> Option<String> {
    let legs = legs(d, service);
    // DHCP asks before it has an address, by broadcast (RFC 2131 4.1).
    let to = match (service.address, service.inner) {
        (Some(address), Some(_)) => format!("ct original ip daddr {address} "),
        (Some(address), None) => format!("ip daddr {address} "),
        (None, _) if (service.protocol, service.port) == (Protocol::Udp, 67) => String::new(),
        (None, _) => "fib daddr . iif type local ".to_owned(),
    };
    let (from, protocol) = (sources(&service.from), protocol(service.protocol));
    let port = service.inner.unwrap_or(service.port);
    (!legs.is_empty()).then(|| format!("iifname {} {to}{from}{protocol} dport {port} accept", braces(legs)))
}

/// Ranges that no router forwards: this network (RFC 1122), loopback, link-local with cloud metadata (RFC 3927), multicast
/// (RFC 5771), reserved (RFC 1112). The link between host and router is a /31 of link-local.
pub(crate) const NOWHERE: [&str; 5] =
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];

fn forward(d: &Desired) -> Vec<String> {
    let nowhere = braces(NOWHERE);
    let mut rules = vec![
        format!("ip daddr {nowhere} ip daddr != {} drop", d.leg.network()),
        format!("ip saddr {nowhere} ip saddr != {} drop", d.leg.network()),
        "ct state vmap { established : accept, related : accept, invalid : drop }".to_owned(),
        "ct status dnat accept".to_owned(),
    ];
    rules.extend(permissions(d));
    rules.extend(beyond(d));
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

/// Permissions with the same source and ports share a rule, and their targets a set. Named sets of concatenated intervals
/// would be faster, but do not accept partly overlapping elements, which permissions can have.
fn pairs(d: &Desired) -> BTreeMap<(String, &[PortSpec]), BTreeSet<String>> {
    let mut groups: BTreeMap<(String, &[PortSpec]), BTreeSet<String>> = BTreeMap::new();
    for allow in &d.allow {
        let (Some(from), Some(to)) = (source(d, allow), target(d, &allow.to)) else { continue };
        groups.entry((from, &allow.ports)).or_default().extend(to);
    }
    groups
}

/// The targets of a permission. The world is everything that is not inside.
fn towards(mut to: BTreeSet<String>) -> Vec<String> {
    let world = to.remove("world").then(|| format!("oifname \"{WORLD}\" ip daddr != @inside"));
    let rest = (!to.is_empty()).then(|| format!("ip daddr {}", braces(to)));
    rest.into_iter().chain(world).collect()
}

fn permissions(d: &Desired) -> Vec<String> {
    let mut rules = Vec::new();
    for ((from, ports), to) in pairs(d) {
        for to in towards(to) {
            rules.extend(match ports {
                [] => vec![format!("{from} {to} accept")],
                some => with_ports(&from, &to, some),
            });
        }
    }
    rules
}

fn echo(from: &str, to: &str) -> String {
    format!("{from} {to} icmp type echo-request accept")
}

/// A permission for ports includes ICMP echo, so that `ping` shows what is allowed.
fn with_ports(from: &str, to: &str, specs: &[PortSpec]) -> Vec<String> {
    let mut rules = vec![echo(from, to)];
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
        Selector::Host(name) => {
            let further = d.closed.get(name).into_iter().flatten();
            [d.address, d.leg.network()].iter().chain(further).map(ToString::to_string).collect()
        }
        Selector::World => vec!["world".to_owned()],
    })
}

fn cidr(d: &Desired, name: &str) -> Option<Ipv4Net> {
    d.networks.iter().find(|n| n.name == name).map(|n| n.cidr)
}

/// Published ports, for clients from the world through the host, and for instances that use the address of a host, this one
/// or another of the stack. Each host publishes on its own addresses.
fn prerouting(d: &Desired) -> Vec<String> {
    let to = |p: &PortAt| format!("{}:{}", p.to_address, p.to_port);
    let from = |p: &PortAt| sources(&p.from);
    let (open, narrow): (Vec<&PortAt>, Vec<&PortAt>) =
        d.ports.iter().partition(|p| p.from.is_empty() && p.address.is_none());
    let router = d.leg.broadcast();
    let mut rules: Vec<String> = narrow
        .iter()
        .map(|p| {
            let (from, protocol) = (from(p), protocol(p.protocol));
            let inner = inner(d, p);
            format!(
                "iifname \"{WORLD}\" ip daddr {router} {from}{protocol} dport {inner} dnat ip to {}",
                to(p)
            )
        })
        .collect();
    let own = narrow.iter().map(|p| (*p, d.address));
    let other = d.elsewhere.iter().filter(|e| near(d, &e.port)).map(|e| (&e.port, e.at));
    rules.extend(own.chain(other).map(|(p, at)| {
        let (asked, from, protocol) = (braces(d.asked(p, at)), from(p), protocol(p.protocol));
        format!(
            "iifname != \"{WORLD}\" ip daddr {asked} {from}{protocol} dport {} dnat ip to {}",
            p.listen,
            to(p)
        )
    }));
    if !open.is_empty() {
        let pair = |p: &&PortAt| {
            format!("{} . {} : {} . {}", protocol(p.protocol), p.listen, p.to_address, p.to_port)
        };
        let map =
            format!("dnat ip addr . port to meta l4proto . th dport map {}", braces(open.iter().map(pair)));
        rules.push(format!("iifname \"{WORLD}\" ip daddr {router} {map}"));
        let asked = open.first().map(|p| braces(d.asked(p, d.address))).unwrap_or_default();
        rules.push(format!("iifname != \"{WORLD}\" ip daddr {asked} {map}"));
    }
    rules.extend(d.services.iter().filter_map(|service| translated(d, service)));
    // A load balancer, asked at the address of the host.
    rules.extend(balanced(d).into_iter().map(|(address, listen, inner)| {
        let asked = braces(d.addresses(&d.host, d.address, address));
        format!("iifname != \"{WORLD}\" ip daddr {asked} tcp dport {listen} redirect to :{inner}")
    }));
    rules
}

/// Sources are translated if the reply would not come back this way: to the world; to an instance whose default route is
/// not this router, which is published or open to others; and from an instance to another of its own network.
fn postrouting(d: &Desired) -> Vec<String> {
    let mut rules = vec![format!("oifname \"{WORLD}\" masquerade")];
    let gateways: BTreeSet<&str> = d.networks.iter().filter(|n| n.gateway).map(|n| n.name.as_str()).collect();
    let default = |p: &PortAt| {
        d.nics.iter().find(|n| n.instance == p.instance && n.network == p.network).is_some_and(|n| n.default)
    };
    let here = d.ports.iter().map(|p| (p, default(p)));
    let there = d.elsewhere.iter().filter(|e| near(d, &e.port)).map(|e| (&e.port, e.default));
    let all: Vec<(&PortAt, bool)> = here.chain(there).collect();
    let elsewise = |(p, default): &&(&PortAt, bool)| !(*default && gateways.contains(p.network.as_str()));
    let targets: BTreeSet<String> =
        all.iter().filter(elsewise).map(|(p, _)| p.to_address.to_string()).collect();
    if !targets.is_empty() {
        rules.push(format!("ct status dnat ip daddr {} masquerade", braces(targets)));
    }
    for (allow, to) in d.let_in() {
        let aside: Vec<&std::net::Ipv4Addr> =
            d.aside.iter().filter(|a| to.iter().any(|net| net.contains(*a))).collect();
        let from = match &allow.from {
            Selector::Addresses(nets) => format!("ip saddr {}", braces(nets)),
            _ => "ip saddr != @inside".to_owned(),
        };
        if !aside.is_empty() {
            rules.push(format!("{from} ip daddr {} masquerade", braces(aside)));
        }
    }
    let networks: BTreeSet<&str> = all.iter().map(|(p, _)| p.network.as_str()).collect();
    for net in networks.iter().filter_map(|name| cidr(d, name)) {
        rules.push(format!("ct status dnat ip saddr {net} ip daddr {net} masquerade"));
    }
    let beside: BTreeSet<String> = d.ports.iter().filter_map(|p| beside(d, p)).collect();
    rules.extend(beside);
    rules
}

/// An instance on further networks replies to their members directly, bypassing this router, with an unexpected source
/// address.
fn beside(d: &Desired, p: &PortAt) -> Option<String> {
    let others = d.nics.iter().filter(|n| n.instance == p.instance && n.network != p.network);
    let nets: BTreeSet<String> =
        others.filter_map(|n| cidr(d, &n.network)).map(|net| net.to_string()).collect();
    let to = p.to_address;
    (!nets.is_empty()).then(|| format!("ct status dnat ip saddr {} ip daddr {to} masquerade", braces(nets)))
}
