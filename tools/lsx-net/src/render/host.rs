//! Rules in the host's own namespace: who may speak on a bridge port, who may send tunnels, what is published.
//!
//! Nothing here has a policy of drop, and every drop names links of ours or our own tunnel port: the host's firewall stays
//! its own. `inet` holds what is routed, `bridge` what is bridged.

use super::{braces, chain, ports, protocol, set, table};
use crate::model::Desired;
use common::stack::resolved::{PortAt, Selector};

/// The text for `nft -f`.
pub fn host(desired: &Desired) -> String {
    let name = format!("lsx-{}", desired.stack);
    table("inet", &name, &routed(desired)) + &table("bridge", &name, &bridged(desired))
}

fn routed(d: &Desired) -> String {
    let mut text = String::new();
    text += &set("set", "peers", "ipv4_addr", "", &d.hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
    text += &chain("input", "type filter hook input priority filter; policy accept;", &input(d));
    text += &chain("from_router", "", &from_router(d));
    if d.firewall.is_some() {
        text += &chain("own", "", &own(d));
    }
    if d.networks.iter().any(|n| n.leg.is_some()) {
        let router = d.leg.network();
        let masquerade = vec![format!("ip saddr {} oifname != \"{}\" masquerade", d.leg, d.world_link)];
        text += &chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", &masquerade);
        let published = published(d, router_address(d));
        text += &chain("published", "", &published);
        let local = vec![format!("ip daddr != 127.0.0.0/8 ip daddr != {router} fib daddr type local jump published")];
        text += &chain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", &local);
        text += &chain("output", "type nat hook output priority dstnat; policy accept;", &local);
    }
    text
}

/// The router's end of the /31.
fn router_address(d: &Desired) -> std::net::Ipv4Addr {
    d.leg.broadcast()
}

/// Tunnels are taken from hosts of the stack alone: VXLAN carries no proof of its sender (RFC 7348, section 7).
fn input(d: &Desired) -> Vec<String> {
    let mut rules = vec![
        format!("udp dport {} ip saddr != @peers drop", d.tunnel_port),
        format!("meta nfproto ipv6 udp dport {} drop", d.tunnel_port),
        format!("iifname \"{}\" jump from_router", d.world_link),
    ];
    if let (Some(_), Some(uplink)) = (&d.firewall, &d.uplink) {
        rules.push(format!("iifname \"{uplink}\" jump own"));
    }
    rules
}

/// What instances may reach of this host: ICMP, and what an `allow` names.
fn from_router(d: &Desired) -> Vec<String> {
    let mut rules =
        vec!["ct state established,related accept".to_owned(), "icmp type echo-request accept".to_owned()];
    for allow in d.allow.iter().filter(|a| a.to == Selector::Host(d.host.clone())) {
        match allow.ports.as_slice() {
            [] => rules.push("accept".to_owned()),
            some => rules.extend(some.iter().map(|p| format!("{} dport {} accept", protocol(p.protocol), ports(p)))),
        }
    }
    rules.push("drop".to_owned());
    rules
}

/// The host's own input, filtered only when the document says which ports stay open.
fn own(d: &Desired) -> Vec<String> {
    let mut rules = vec![
        "ct state established,related accept".to_owned(),
        "ct status dnat accept".to_owned(),
        "meta l4proto { icmp, ipv6-icmp } accept".to_owned(),
        format!("tcp dport {} accept", d.ssh_port),
        format!("udp dport {} accept", d.tunnel_port),
    ];
    for spec in d.firewall.iter().flatten() {
        rules.push(format!("{} dport {} accept", protocol(spec.protocol), ports(spec)));
    }
    rules.push("drop".to_owned());
    rules
}

/// Published ports go to the router, which knows the instances.
fn published(d: &Desired, router: std::net::Ipv4Addr) -> Vec<String> {
    let rule = |p: &PortAt| {
        let address = p.address.map(|a| format!("ip daddr {a} ")).unwrap_or_default();
        format!("{address}{} dport {} dnat ip to {router}", protocol(p.protocol), p.listen)
    };
    let (any, one): (Vec<&PortAt>, Vec<&PortAt>) = d.ports.iter().partition(|p| p.address.is_none());
    let mut rules: Vec<String> = one.into_iter().map(rule).collect();
    if !any.is_empty() {
        let keys = any.iter().map(|p| format!("{} . {}", protocol(p.protocol), p.listen));
        rules.push(format!("meta l4proto . th dport {} dnat ip to {router}", braces(keys)));
    }
    rules
}

/// A frame enters a bridge of ours from a tunnel, from the router, or from an instance that is who it says. No bridge has
/// an address, so nothing on it is for the host. IPv6 ends here, too: version 1 carries IPv4 alone.
fn bridged(d: &Desired) -> String {
    let [bridge, tunnel, leg, ..] = &d.prefixes;
    let (free, bound): (Vec<_>, Vec<_>) = d.nics.iter().partition(|n| n.forward);
    let keys = |n: &&crate::model::Nic| format!("\"{}\" . {} . {}", n.link, n.mac, n.address);
    let mut text = set(
        "set",
        "nics",
        "ifname . ether_addr . ipv4_addr",
        "",
        &bound.iter().map(keys).collect::<Vec<_>>(),
    );
    let known: Vec<String> = bound.iter().map(|n| format!("\"{}\"", n.link)).collect();
    text += &set("set", "known", "ifname", "", &known);
    text += &set("set", "free", "ifname", "", &free.iter().map(|n| format!("\"{}\"", n.link)).collect::<Vec<_>>());
    let open = d.networks.iter().filter(|n| n.flood).map(|n| format!("\"{}\"", n.bridge));
    text += &set("set", "open", "ifname", "", &open.collect::<Vec<_>>());
    let enter = [
        format!("meta ibrname != \"{bridge}*\" accept"),
        "meta protocol != { ip, arp } drop".to_owned(),
        format!("iifname \"{tunnel}*\" accept"),
        format!("iifname \"{leg}*\" accept"),
        "iifname . ether saddr . ip saddr @nics accept".to_owned(),
        "iifname . ether saddr . arp saddr ip @nics iifname . arp saddr ether . arp saddr ip @nics accept".to_owned(),
        "iifname @free accept".to_owned(),
        "iifname != @known meta ibrname @open accept".to_owned(),
        "drop".to_owned(),
    ];
    text += &chain("enter", "type filter hook prerouting priority -350; policy accept;", &enter);
    let host = [format!("meta ibrname \"{bridge}*\" drop")];
    text + &chain("host", "type filter hook input priority filter; policy accept;", &host)
}
