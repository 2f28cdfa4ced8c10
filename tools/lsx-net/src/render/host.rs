//! Rules in the host's own namespace: who may speak on a bridge port, who may send tunnels, what is published.
//!
//! Nothing here has a policy of drop, and every drop names links of ours or our own tunnel port: the host's firewall stays
//! its own. `inet` holds what is routed, `bridge` what is bridged.

use super::{braces, chain, inner, ports, protocol, set, table};
use crate::model::{Desired, Nic, SOURCE_PORTS};
use common::stack::resolved::{AllowAt, PortAt, Selector};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;

/// The text for `nft -f`.
pub fn host(desired: &Desired) -> String {
    let name = format!("lsx-{}", desired.stack);
    table("inet", &name, &routed(desired)) + &table("bridge", &name, &bridged(desired))
}

fn routed(d: &Desired) -> String {
    let mut text = String::new();
    text +=
        &set("set", "peers", "ipv4_addr", "", &d.peers.iter().map(ToString::to_string).collect::<Vec<_>>());
    text += &chain("untracked", "type filter hook prerouting priority raw; policy accept;", &untracked(d));
    text += &chain("sent", "type filter hook output priority raw; policy accept;", &sent(d));
    text += &chain("tunnels", "", &tunnels(d));
    text += &chain("input", "type filter hook input priority filter; policy accept;", &input(d));
    text += &chain("from_router", "", &from_router(d));
    if d.firewall.is_some() {
        text += &chain("own", "", &own(d));
    }
    text += &chain("forward", "type filter hook forward priority filter; policy accept;", &forward(d));
    if d.networks.iter().any(|n| n.leg.is_some()) {
        let router = d.leg.network();
        text += &chain("leave", "", &leave());
        let masquerade = vec![format!("ip saddr {} oifname != \"{}\" jump leave", d.leg, d.world_link)];
        text +=
            &chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", &masquerade);
        let published = published(d, router_address(d));
        text += &chain("published", "", &published);
        let local =
            vec![format!("ip daddr != 127.0.0.0/8 ip daddr != {router} fib daddr type local jump published")];
        text += &chain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", &local);
        text += &chain("output", "type nat hook output priority -100; policy accept;", &local);
    }
    text
}

/// Where bridged frames meet the rules for routed packets (net.bridge.bridge-nf-call-iptables), ours pass them by: else the
/// host would translate what an instance sends to the host's address, past its router, and equal flows of two stacks would be
/// one. The router keeps track of them in a namespace of its own.
fn untracked(d: &Desired) -> Vec<String> {
    vec![format!("iifname \"{}*\" notrack", d.prefixes[0])]
}

/// What this host sends to the tunnels of a peer: the kernel's own packets have no socket, and nobody's masquerade may give
/// them another source port; whatever has a socket, of whichever user, is a forgery.
fn sent(d: &Desired) -> Vec<String> {
    let to = format!("ip daddr @peers udp dport {}", d.tunnel_port);
    vec![format!("{to} meta skuid 0-4294967294 drop"), format!("{to} notrack")]
}

/// Tunnels are taken from peers alone, from the ports that only tunnels send from, and where the way back to the peer leaves:
/// VXLAN carries no proof of its sender (RFC 7348, section 7), and a container of this host could write a peer's address.
fn tunnels(d: &Desired) -> Vec<String> {
    let (first, last) = SOURCE_PORTS;
    let from = format!("ip saddr @peers ip daddr {} udp sport {first}-{last}", d.address);
    vec![format!("{from} fib saddr . iif oif exists accept"), "drop".to_owned()]
}

/// What leaves this host in its name keeps clear of the ports that tunnels send from.
fn leave() -> Vec<String> {
    let below = SOURCE_PORTS.0 - 1;
    vec![
        "udp sport < 1024 masquerade to :1-1023".to_owned(),
        format!("meta l4proto udp masquerade to :1024-{below}"),
        "masquerade".to_owned(),
    ]
}

/// Nothing that this host forwards, of an instance, another stack or a container, reaches the tunnels of a peer, which would
/// take it for this host's. Into the router goes what is published, what answers, and what the host itself sends. Anything
/// else that the host would route there, of another stack or of a container, would leave with the host's address and pass
/// for it.
fn forward(d: &Desired) -> Vec<String> {
    let mut rules = vec![format!("ip daddr @peers udp dport {} drop", d.tunnel_port)];
    if d.networks.iter().any(|n| n.leg.is_some()) {
        let world = &d.world_link;
        rules.extend([
            format!("oifname \"{world}\" ct state established,related accept"),
            format!("oifname \"{world}\" ct status dnat accept"),
        ]);
        rules.extend(let_in(d));
        rules.extend([format!("oifname \"{world}\" drop")]);
    }
    rules
}

/// Who is not of the stack and may begin a conversation: towards the networks that an `allow` opens, with its own address. The
/// router decides about the rest. The world comes by an interface towards it: a container of this host, whose address somebody
/// translates to the host's, would pass for the host.
fn let_in(d: &Desired) -> Vec<String> {
    let world = &d.world_link;
    let one = |(allow, to): (&AllowAt, Vec<Ipv4Net>)| {
        let from = match &allow.from {
            Selector::Addresses(nets) => format!("ip saddr {}", braces(nets)),
            _ if d.outward.is_empty() => return None,
            _ => format!("iifname {}", braces(d.outward.iter().map(|name| format!("\"{name}\"")))),
        };
        Some(format!("{from} fib saddr . iif oif exists oifname \"{world}\" ip daddr {} accept", braces(to)))
    };
    d.let_in().into_iter().filter_map(one).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The router's end of the /31.
fn router_address(d: &Desired) -> std::net::Ipv4Addr {
    d.leg.broadcast()
}

fn input(d: &Desired) -> Vec<String> {
    let mut rules = vec![
        format!("udp dport {} jump tunnels", d.tunnel_port),
        format!("iifname \"{}\" jump from_router", d.world_link),
        format!("iifname \"{}*\" drop", d.prefixes[0]),
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
            some => rules
                .extend(some.iter().map(|p| format!("{} dport {} accept", protocol(p.protocol), ports(p)))),
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
        format!("{address}{} dport {} dnat ip to {router}:{}", protocol(p.protocol), p.listen, inner(d, p))
    };
    let (any, one): (Vec<&PortAt>, Vec<&PortAt>) = d.ports.iter().partition(|p| p.address.is_none());
    let mut rules: Vec<String> = one.into_iter().map(rule).collect();
    if !any.is_empty() {
        let keys = any.iter().map(|p| format!("{} . {}", protocol(p.protocol), p.listen));
        rules.push(format!("meta l4proto . th dport {} dnat ip to {router}", braces(keys)));
    }
    rules
}

/// A frame from an instance must be what the instance is; one from a port that is not ours goes nowhere but on open
/// networks; none is for the host. IPv6 ends here, too: version 1 carries IPv4 alone. Ports are told by their names, because
/// not every kernel can tell a frame's bridge (nft_meta_bridge).
fn bridged(d: &Desired) -> String {
    let [_, tunnel, leg, _, instance] = &d.prefixes;
    let (free, bound): (Vec<_>, Vec<_>) = d.nics.iter().partition(|n| n.forward);
    let keys = |n: &&Nic| format!("\"{}\" . {} . {}", n.link, n.mac, n.address);
    let names = |links: &[&Nic]| links.iter().map(|n| format!("\"{}\"", n.link)).collect::<Vec<_>>();
    let kind = "ifname . ether_addr . ipv4_addr";
    let mut text = set("set", "nics", kind, "", &bound.iter().map(keys).collect::<Vec<_>>());
    text += &set("set", "free", "ifname", "", &names(&free));
    text += &set("set", "open", "ifname", "", &open_ports(d));
    let ours: Vec<String> = [tunnel, leg, instance].iter().map(|p| format!("iifname \"{p}*\"")).collect();
    let enter = [
        format!("iifname \"{instance}*\" jump guard"),
        format!("iifname \"{tunnel}*\" meta protocol != {{ ip, arp }} drop"),
    ];
    text += &chain("guard", "", &guard());
    text += &chain("enter", "type filter hook prerouting priority -350; policy accept;", &enter);
    let mut strangers: Vec<String> = ours.iter().map(|from| format!("{from} accept")).collect();
    strangers.push("oifname @open accept".to_owned());
    strangers.extend([tunnel, leg, instance].iter().map(|p| format!("oifname \"{p}*\" drop")));
    text += &chain("pass", "type filter hook forward priority filter; policy accept;", &strangers);
    let host: Vec<String> = ours.iter().map(|from| format!("{from} drop")).collect();
    text + &chain("host", "type filter hook input priority filter; policy accept;", &host)
}

/// What an instance may send: its own address from its own hardware address, in IPv4 and in ARP.
fn guard() -> Vec<String> {
    vec![
        "meta protocol != { ip, arp } drop".to_owned(),
        "iifname . ether saddr . ip saddr @nics accept".to_owned(),
        "iifname . ether saddr . arp saddr ip @nics iifname . arp saddr ether . arp saddr ip @nics accept"
            .to_owned(),
        "iifname @free accept".to_owned(),
        "drop".to_owned(),
    ]
}

/// The ports of networks that take in what the document does not name.
fn open_ports(d: &Desired) -> Vec<String> {
    let networks = || d.networks.iter().filter(|n| n.flood);
    let tunnels = networks().filter(|n| !n.tunnel.is_empty()).map(|n| &n.tunnel);
    let legs = networks().filter_map(|n| n.leg.as_ref()).map(|l| &l.link);
    let nics = d.nics.iter().filter(|nic| networks().any(|n| n.name == nic.network)).map(|n| &n.link);
    tunnels.chain(legs).chain(nics).map(|link| format!("\"{link}\"")).collect()
}
