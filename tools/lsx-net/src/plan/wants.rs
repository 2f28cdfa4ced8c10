//! The wanted objects of one host, in the order of creation: rules before links, so that a link is never up without its
//! rules.

use super::intent_digest;
use super::rows::{self, Weights};
use crate::model::{
    self, Accept, Bridge, Chain, Desired, Facts, Firewall, Forwarding, IntentFile, LegLink, Network, Object,
    Route, RulesAt, Server, Tunnel, Weight, World,
};
use crate::{Net, render};
use common::document::{self, digest};
use common::plan::Want;
use common::stack::resolved::{AllowAt, Selector};
use common::tool::Draft;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// The weights of the forwarding entries, by network.
pub(super) type Shares = BTreeMap<String, Weights>;

fn share(weights: &Shares, desired: &Desired, network: &Network) -> Weight {
    weights.get(&network.name).map(|w| w.share(desired.address, network.flood)).unwrap_or_default()
}

/// The objects; texts are added to the plan's contents.
pub(super) fn wants(
    desired: &Desired,
    seen: &Facts,
    weights: &Shares,
    draft: &mut Draft<Net>,
) -> Vec<Want<Object>> {
    if desired.networks.is_empty() {
        return Vec::new();
    }
    let mut wants = Vec::new();
    let router = desired.networks.iter().any(|n| n.leg.is_some());
    wants.push(firewall(RulesAt::Host, render::host(desired), draft));
    wants.extend(seen.chains.iter().map(|chain| accept(desired, seen, chain)));
    wants.extend(seen.inputs.iter().filter_map(|chain| input(desired, chain)));
    if router {
        wants.extend(routing(desired));
        let mut rules = firewall(RulesAt::Router, render::router(desired), draft);
        rules.needs = vec!["router:host".to_owned()];
        wants.push(rules);
    }
    for network in &desired.networks {
        wants.extend(one(desired, network, weights));
    }
    wants.extend(host_routes(desired));
    wants.extend(balance(desired, draft));
    let all: Vec<String> = wants.iter().map(|w| w.key.clone()).collect();
    wants.extend(kept(desired, seen, all, weights, draft));
    wants
}

fn want(key: impl Into<String>, object: Object, needs: &[&str], why: impl Into<String>) -> Want<Object> {
    Want { key: key.into(), object, needs: needs.iter().map(|n| (*n).to_owned()).collect(), why: why.into() }
}

fn firewall(place: RulesAt, text: String, draft: &mut Draft<Net>) -> Want<Object> {
    let digest = digest(text.as_bytes());
    draft.contents.insert(digest.clone(), text);
    let why = match place {
        RulesAt::Host => "filters bridge ports and tunnels, and publishes ports",
        RulesAt::Router => "isolates networks from each other, except for what is allowed",
    };
    want(format!("firewall:{}", place.word()), Object::Firewall(Firewall { place, digest }), &[], why)
}

/// A foreign chain that may drop packets of the stack: rules at its head accept lsx's links. In nftables a drop in any
/// table is final, so an accept in lsx's own table would not help. New connections of instances are accepted only towards
/// the world, not to other targets that the host forwards to, such as the containers of another program; those into the
/// router are decided by lsx's chain `forward`.
fn accept(desired: &Desired, seen: &Facts, chain: &Chain) -> Want<Object> {
    let [bridge, _, _, world, _] = &desired.prefixes;
    let mut pass: BTreeSet<String> = outward(desired, seen).map(|out| format!("{world} {out}")).collect();
    pass.extend([
        format!("* {world}"),
        format!("{bridge}* {bridge}*"),
        format!("{world} * {}", model::ANSWERS),
    ]);
    let object = Accept {
        family: chain.family.clone(),
        table: chain.table.clone(),
        chain: chain.chain.clone(),
        pass: pass.into_iter().collect(),
    };
    let why =
        format!("the chain {} {} {} may drop the stack's frames", chain.family, chain.table, chain.chain);
    want(chain.key(), Object::Accept(object), &["firewall:host"], why)
}

/// The same for a chain that filters input to this host: tunnel packets, and what instances may reach of it. lsx's own
/// rules decide about the senders; a drop there is still final.
fn input(desired: &Desired, chain: &Chain) -> Option<Want<Object>> {
    let tunnels = desired.networks.iter().any(|n| !n.tunnel.is_empty());
    let router = desired.networks.iter().any(|n| n.leg.is_some());
    let tunnels = tunnels.then(|| format!("{} {}", model::TUNNELS, desired.tunnel_port));
    let pass: Vec<String> =
        router.then(|| format!("{} *", desired.world_link)).into_iter().chain(tunnels).collect();
    let Chain { family, table, chain: name } = chain;
    let why =
        format!("the chain {family} {table} {name} may close UDP port {} or the router", desired.tunnel_port);
    let object = Accept { family: family.clone(), table: table.clone(), chain: name.clone(), pass };
    (!object.pass.is_empty()).then(|| want(chain.key(), Object::Accept(object), &["firewall:host"], why))
}

/// Interfaces towards the world: the document's uplink, the one with the host's address, those of default routes. A name
/// with characters special to nft is ignored.
pub(super) fn outward<'a>(desired: &'a Desired, seen: &'a Facts) -> impl Iterator<Item = &'a str> {
    let own = seen.addresses.iter().filter(|(address, _)| *address == desired.address).map(|(_, link)| link);
    let plain = |name: &&str| !name.contains(['"', '*', '\\']);
    desired.uplink.iter().chain(own).chain(&seen.outward).map(String::as_str).filter(plain)
}

fn routing(desired: &Desired) -> [Want<Object>; 3] {
    let router = model::router(&desired.stack);
    let world = World { link: desired.world_link.clone(), router: router.clone(), net: desired.leg };
    [
        want(
            "routing:host",
            Object::Routing { forwards: true, forwarding_off: Vec::new() },
            &["firewall:host"],
            "the stack's router forwards packets through this host",
        ),
        want(
            "router:host",
            Object::Router { name: router, forwards: true },
            &[],
            "has gateways and published ports",
        ),
        want(
            "world:host",
            Object::World(world),
            &["router:host", "routing:host"],
            "connects the router to the host",
        ),
    ]
}

fn one(desired: &Desired, network: &Network, weights: &Shares) -> Vec<Want<Object>> {
    let name = &network.name;
    let bridge = format!("bridge:{name}");
    let object = Bridge { network: name.clone(), link: network.bridge.clone(), mtu: network.mtu, up: true };
    let mut wants = vec![want(
        &bridge,
        Object::Bridge(object),
        &["firewall:host"],
        format!("network {name} is on this host"),
    )];
    if !network.tunnel.is_empty() {
        let tunnel = format!("tunnel:{name}");
        wants.push(want(
            &tunnel,
            Object::Tunnel(tunnel_of(desired, network)),
            &[&bridge],
            format!("network {name} is on other hosts, too"),
        ));
        wants.push(want(
            format!("forwarding:{name}"),
            Object::Forwarding(forwarding(desired, network, weights)),
            &[&tunnel],
            "maps each address to its host",
        ));
    }
    if let Some(leg) = &network.leg {
        let address = Ipv4Net::new(leg.address, network.cidr.prefix_len()).unwrap_or(network.cidr);
        let object = LegLink {
            network: name.clone(),
            link: leg.link.clone(),
            bridge: network.bridge.clone(),
            router: model::router(&desired.stack),
            address,
            mac: leg.mac.clone(),
            mtu: network.mtu,
        };
        let needs = [bridge.as_str(), "router:host", "firewall:router"];
        let role = if network.gateway { "gateway of" } else { "publishes ports of" };
        wants.push(want(
            format!("leg:{name}"),
            Object::Leg(object),
            &needs,
            format!("{role} network {name}"),
        ));
    }
    wants
}

fn tunnel_of(desired: &Desired, network: &Network) -> Tunnel {
    Tunnel {
        network: network.name.clone(),
        link: network.tunnel.clone(),
        bridge: network.bridge.clone(),
        vni: network.vni,
        port: desired.tunnel_port,
        source_ports: model::SOURCE_PORTS,
        local: desired.address,
        mtu: network.mtu,
        up: true,
        flood: network.flood,
    }
}

fn forwarding(desired: &Desired, network: &Network, weights: &Shares) -> Forwarding {
    let share = share(weights, desired, network);
    Forwarding {
        network: network.name.clone(),
        bridge: network.bridge.clone(),
        tunnel: network.tunnel.clone(),
        count: share.count,
        digest: share.digest(),
    }
}

/// Routes of the host into networks that an `allow` lets it reach, or lets the world reach through it.
fn host_routes(desired: &Desired) -> Vec<Want<Object>> {
    let own = |a: &&AllowAt| a.from == Selector::Host(desired.host.clone());
    let own: Vec<Ipv4Net> = desired.allow.iter().filter(own).flat_map(|a| desired.behind(&a.to)).collect();
    let strangers: Vec<Ipv4Net> = desired.let_in().into_iter().flat_map(|(_, nets)| nets).collect();
    let route = |n: &Network| {
        let opened = |nets: &[Ipv4Net]| nets.iter().any(|net| n.cidr.contains(net));
        let why = match (opened(&own), opened(&strangers)) {
            (true, _) => format!("host/{} may reach {}", desired.host, n.name),
            (false, true) => format!("an allow lets others reach {} through this host", n.name),
            (false, false) => return None,
        };
        let route = Route { to: n.cidr, via: desired.leg.broadcast(), link: desired.world_link.clone() };
        Some(want(format!("route:{}", n.cidr), Object::Route(route), &["world:host"], why))
    };
    desired.networks.iter().filter(|n| n.gateway).filter_map(route).collect()
}

/// The server of the load balancers, after the interfaces of the router.
fn balance(desired: &Desired, draft: &mut Draft<Net>) -> Option<Want<Object>> {
    if desired.balance.is_empty() {
        return None;
    }
    let text = render::balance::balance(desired);
    let config = digest(text.as_bytes());
    draft.contents.insert(config.clone(), text);
    let legs = desired.networks.iter().filter(|n| n.leg.is_some()).map(|n| format!("leg:{}", n.name));
    let needs = ["router:host", "world:host", "firewall:router"].map(str::to_owned).into_iter().chain(legs);
    let names: Vec<&str> = desired.balance.iter().map(|one| one.name.as_str()).collect();
    let server = Server { name: model::BALANCE.to_owned(), config, running: true };
    let why = format!("serves the load balancers {}", names.join(", "));
    Some(Want { needs: needs.collect(), ..want("service:balance", Object::Service(server), &[], why) })
}

/// Written last: a host that failed half way is restored to its previous state at boot.
fn kept(
    desired: &Desired,
    seen: &Facts,
    all: Vec<String>,
    weights: &Shares,
    draft: &mut Draft<Net>,
) -> [Want<Object>; 2] {
    let digest = intent_digest(desired);
    if let Ok(bytes) = document::canonical(desired) {
        draft.contents.insert(digest.clone(), String::from_utf8_lossy(&bytes).into_owned());
    }
    let rows = desired.networks.iter().filter(|n| !n.tunnel.is_empty());
    let rows = rows::digest(rows.map(|n| share(weights, desired, n)));
    let intent = Object::Intent(IntentFile { digest, rows });
    let boot = Object::Boot { program: seen.program.clone(), host: desired.host.clone() };
    [
        Want { needs: all, ..want("intent:net", intent, &[], "restores this host after a reboot") },
        want("boot:net", boot, &["intent:net"], "restores this host after a reboot"),
    ]
}
