//! Rules in the host's own namespace: filters for bridge ports and tunnels, and published ports.
//!
//! No chain here has a policy of drop, and every drop matches lsx's links or tunnel port only, so the host's firewall is
//! not affected. `inet` has rules for routed packets, `bridge` for bridged ones.

use super::servers;
use super::{balanced, braces, chain, inner, ports, protocol, set, table};
use crate::model::{Desired, Nic, SOURCE_PORTS};
use common::stack::resolved::{AllowAt, PortAt, Selector};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;

/// The text for `nft -f`.
pub(crate) fn host(desired: &Desired) -> String {
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
            format!("ip daddr != 127.0.0.0/8 ip daddr != {router} fib daddr type local jump published");
        let arriving: Vec<String> = servers::translated(d).into_iter().chain([local.clone()]).collect();
        text += &chain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", &arriving);
        text += &chain("output", "type nat hook output priority -100; policy accept;", &[local]);
    }
    text
}

/// If bridged frames are passed to the rules for routed packets (net.bridge.bridge-nf-call-iptables), lsx's frames are
/// exempted: otherwise the host would translate what an instance sends to the host's address, bypassing its router, and
/// equal flows of two stacks would be mixed up. The router tracks them in its own namespace.
fn untracked(d: &Desired) -> Vec<String> {
    vec![format!("iifname \"{}*\" notrack", d.prefixes[0])]
}

/// What this host sends to the tunnels of a peer: packets of the kernel itself have no socket, and masquerading must not
/// change their source port; a packet from any socket is forged and dropped.
fn sent(d: &Desired) -> Vec<String> {
    let to = format!("ip daddr @peers udp dport {}", d.tunnel_port);
    vec![format!("{to} meta skuid 0-4294967294 drop"), format!("{to} notrack")]
}

/// Tunnel packets are accepted from peers only, from the source ports reserved for tunnels, and on the interface of the
/// route back to the peer: VXLAN does not authenticate its sender (RFC 7348, section 7), and a container of this host could
/// use a peer's address.
fn tunnels(d: &Desired) -> Vec<String> {
    let (first, last) = SOURCE_PORTS;
    let from = format!("ip saddr @peers ip daddr {} udp sport {first}-{last}", d.address);
    vec![format!("{from} fib saddr . iif oif exists accept"), "drop".to_owned()]
}

/// Packets masqueraded by this host do not use the source ports reserved for tunnels.
fn leave() -> Vec<String> {
    let below = SOURCE_PORTS.0 - 1;
    vec![
        "udp sport < 1024 masquerade to :1-1023".to_owned(),
        format!("meta l4proto udp masquerade to :1024-{below}"),
        "masquerade".to_owned(),
    ]
}

/// Packets that this host forwards, of an instance, another stack or a container, never reach the tunnels of a peer, which
/// would take them for this host's. Into the router pass published ports, replies, and packets of the host itself. Anything
/// else routed there, of another stack or a container, would have the host's address.
fn forward(d: &Desired) -> Vec<String> {
    let mut rules = vec![format!("ip daddr @peers udp dport {} drop", d.tunnel_port)];
    if d.networks.iter().any(|n| n.leg.is_some()) {
        let world = &d.world_link;
        rules.extend(servers::kept_out(d));
        rules.extend([
            format!("oifname \"{world}\" ct state established,related accept"),
            format!("oifname \"{world}\" ct status dnat accept"),
        ]);
        rules.extend(let_in(d));
        rules.extend([format!("oifname \"{world}\" drop")]);
    }
    rules
}

/// Clients outside the stack that may open connections: to networks that an `allow` opens, with their own address. The
/// router decides the rest. Packets from the world must arrive on an interface towards it: a container of this host,
/// masqueraded to the host's address, would otherwise be taken for the host.
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

/// What instances may reach on this host: ICMP, and what an `allow` permits.
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

/// The host's own input, filtered only if the document says which ports stay open.
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

/// Published ports are forwarded to the router, which knows the instances.
fn published(d: &Desired, router: std::net::Ipv4Addr) -> Vec<String> {
    let rule = |p: &PortAt| {
        let address = p.address.map(|a| format!("ip daddr {a} ")).unwrap_or_default();
        format!("{address}{} dport {} dnat ip to {router}:{}", protocol(p.protocol), p.listen, inner(d, p))
    };
    let (any, one): (Vec<&PortAt>, Vec<&PortAt>) = d.ports.iter().partition(|p| p.address.is_none());
    let mut rules: Vec<String> = one.into_iter().map(rule).collect();
    let balanced = balanced(d);
    for (address, listen, inner) in
        balanced.iter().filter_map(|(at, listen, inner)| Some(((*at)?, listen, inner)))
    {
        rules.push(format!("ip daddr {address} tcp dport {listen} dnat ip to {router}:{inner}"));
    }
    let keys = any.iter().map(|p| format!("{} . {}", protocol(p.protocol), p.listen));
    let open =
        balanced.iter().filter(|(at, ..)| at.is_none()).map(|(_, listen, _)| format!("tcp . {listen}"));
    let keys: Vec<String> = keys.chain(open).collect();
    if !keys.is_empty() {
        rules.push(format!("meta l4proto . th dport {} dnat ip to {router}", braces(keys)));
    }
    rules
}

/// A frame from an instance must have the instance's addresses; a frame from a foreign port is only forwarded on open
/// networks; none reaches the host. IPv6 is dropped, too, since this version is IPv4 only. Ports are matched by name,
/// because not every kernel can match a frame's bridge (nft_meta_bridge).
fn bridged(d: &Desired) -> String {
    let [_, tunnel, leg, _, instance] = &d.prefixes;
    let (free, bound): (Vec<_>, Vec<_>) = d.nics.iter().partition(|n| n.forward);
    let keys = |n: &&Nic| format!("\"{}\" . {} . {}", n.link, n.mac, n.address);
    let names = |links: &[&Nic]| links.iter().map(|n| format!("\"{}\"", n.link)).collect::<Vec<_>>();
    let kind = "ifname . ether_addr . ipv4_addr";
    let mut text = set("set", "nics", kind, "", &bound.iter().map(keys).collect::<Vec<_>>());
    let asking: Vec<&Nic> = bound.iter().copied().filter(|n| asks(d, n)).collect();
    if !asking.is_empty() {
        let keys = asking.iter().map(|n| format!("\"{}\" . {}", n.link, n.mac)).collect::<Vec<_>>();
        text += &set("set", "asking", "ifname . ether_addr", "", &keys);
    }
    text += &set("set", "free", "ifname", "", &names(&free));
    text += &set("set", "open", "ifname", "", &open_ports(d));
    let ours: Vec<String> = [tunnel, leg, instance].iter().map(|p| format!("iifname \"{p}*\"")).collect();
    let enter = [
        format!("iifname \"{instance}*\" jump guard"),
        format!("iifname \"{tunnel}*\" meta protocol != {{ ip, arp }} drop"),
    ];
    text += &chain("guard", "", &guard(!asking.is_empty()));
    text += &chain("enter", "type filter hook prerouting priority -350; policy accept;", &enter);
    let mut strangers: Vec<String> = ours.iter().map(|from| format!("{from} accept")).collect();
    strangers.push("oifname @open accept".to_owned());
    strangers.extend([tunnel, leg, instance].iter().map(|p| format!("oifname \"{p}*\" drop")));
    text += &chain("pass", "type filter hook forward priority filter; policy accept;", &strangers);
    let host: Vec<String> = ours.iter().map(|from| format!("{from} drop")).collect();
    text + &chain("host", "type filter hook input priority filter; policy accept;", &host)
}

/// Whether an interface may ask for its address by DHCP.
fn asks(d: &Desired, nic: &Nic) -> bool {
    d.networks.iter().any(|network| network.dhcp && network.name == nic.network)
}

/// What an instance may send: its own address from its own hardware address, in IPv4 and ARP. With DHCP it asks for its address
/// before it has one (RFC 2131 4.1), and is no server itself.
fn guard(asks: bool) -> Vec<String> {
    let mut rules = vec!["meta protocol != { ip, arp } drop".to_owned()];
    if asks {
        rules.push(
            "iifname . ether saddr @asking ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept"
                .to_owned(),
        );
        rules.push("iifname . ether saddr @asking udp sport 67 udp dport 68 drop".to_owned());
    }
    rules.extend([
        "iifname . ether saddr . ip saddr @nics accept".to_owned(),
        "iifname . ether saddr . arp saddr ip @nics iifname . arp saddr ether . arp saddr ip @nics accept"
            .to_owned(),
        "iifname @free accept".to_owned(),
        "drop".to_owned(),
    ]);
    rules
}

/// The ports of networks that accept interfaces not in the document.
fn open_ports(d: &Desired) -> Vec<String> {
    let networks = || d.networks.iter().filter(|n| n.flood);
    let tunnels = networks().filter(|n| !n.tunnel.is_empty()).map(|n| &n.tunnel);
    let legs = networks().filter_map(|n| n.leg.as_ref()).map(|l| &l.link);
    let nics = d.nics.iter().filter(|nic| networks().any(|n| n.name == nic.network)).map(|n| &n.link);
    tunnels.chain(legs).chain(nics).map(|link| format!("\"{link}\"")).collect()
}
