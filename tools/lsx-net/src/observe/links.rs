//! Links and their objects: bridges, tunnels, legs, the world link, incomplete links.

use super::have;
use crate::model::{self, Attached, Bridge, GROUP, LegLink, Object, Tunnel, WORLD, World, unmark};
use crate::netlink::dump::Link;
use crate::plan::prefixes;
use common::plan::Have;
use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr};

/// A link in a router, and its addresses.
pub(super) type RouterLink = (Link, Vec<Ipv4Net>);

/// The mark of a link, if it belongs to the stack.
fn role<'a>(stack: &str, link: &'a Link) -> Option<(&'a str, &'a str)> {
    link.altnames
        .iter()
        .filter_map(|a| unmark(a))
        .find(|(s, ..)| *s == stack)
        .map(|(_, object, role)| (object, role))
}

/// The objects that are links, in the order of creation.
pub(super) fn objects(stack: &str, links: &[Link], router: Option<&[RouterLink]>) -> Vec<Have<Object>> {
    let by = |wanted: &'static str| {
        links
            .iter()
            .filter_map(move |l| role(stack, l).filter(|(_, r)| *r == wanted).map(|(object, _)| (object, l)))
    };
    let mut objects = remnants(stack, links);
    objects.extend(by("world").map(|(_, link)| {
        have("world:host", Object::World(world(stack, link, router)), &["router:host", "routing:host"])
    }));
    objects.extend(by("bridge").map(|(network, link)| {
        let bridge =
            Bridge { network: network.to_owned(), link: link.name.clone(), mtu: link.mtu, up: link.up };
        have(&format!("bridge:{network}"), Object::Bridge(bridge), &["firewall:host"])
    }));
    objects.extend(by("tunnel").map(|(network, link)| {
        let object = Object::Tunnel(tunnel(network, link, links));
        have(&format!("tunnel:{network}"), object, &[&format!("bridge:{network}")])
    }));
    objects.extend(by("leg").map(|(network, link)| {
        let object = Object::Leg(leg((stack, network), link, links, router));
        have(&format!("leg:{network}"), object, &[&format!("bridge:{network}"), "router:host"])
    }));
    objects
}

/// Links of lsx's group and with its prefix that have no mark.
fn remnants(stack: &str, links: &[Link]) -> Vec<Have<Object>> {
    let prefixes = prefixes(stack);
    let ours = |l: &&Link| l.group == GROUP && prefixes.iter().any(|p| l.name.starts_with(p.as_str()));
    let unmarked = |l: &&Link| !l.altnames.iter().any(|a| a.starts_with("lsx:"));
    let remnant =
        |l: &Link| have(&format!("remnant:{}", l.name), Object::Remnant { link: l.name.clone() }, &[]);
    links.iter().filter(ours).filter(unmarked).map(remnant).collect()
}

fn world(stack: &str, link: &Link, router: Option<&[RouterLink]>) -> World {
    let inside = router.into_iter().flatten().find(|(l, _)| l.name == WORLD);
    let net = inside.filter(|(l, _)| l.up && link.up).and_then(|(_, addresses)| addresses.first());
    let net = net.map_or(nowhere(), Ipv4Net::trunc);
    World { link: link.name.clone(), router: model::router(stack), net }
}

/// Stands for a missing address; it never matches a wanted one.
fn nowhere() -> Ipv4Net {
    Ipv4Net::from(Ipv4Addr::UNSPECIFIED)
}

fn name_of(links: &[Link], index: Option<u32>) -> String {
    index.and_then(|i| links.iter().find(|l| l.index == i)).map(|l| l.name.clone()).unwrap_or_default()
}

fn tunnel(network: &str, link: &Link, links: &[Link]) -> Tunnel {
    let local = match link.vxlan.as_ref().and_then(|v| v.local) {
        Some(IpAddr::V4(local)) => local,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let flag = |read: fn(&crate::netlink::link::PortFlags) -> Option<bool>| {
        link.port.as_ref().and_then(read).unwrap_or(true)
    };
    Tunnel {
        network: network.to_owned(),
        link: link.name.clone(),
        bridge: name_of(links, link.master),
        vni: link.vxlan.as_ref().map_or(0, |v| v.vni),
        port: link.vxlan.as_ref().map_or(0, |v| v.port),
        source_ports: link.vxlan.as_ref().map(|v| v.source_ports).unwrap_or_default(),
        local,
        mtu: link.mtu,
        up: link.up,
        flood: flag(|p| p.unicast_flood) || flag(|p| p.broadcast_flood) || flag(|p| p.learning),
    }
}

fn leg(
    (stack, network): (&str, &str),
    link: &Link,
    links: &[Link],
    router: Option<&[RouterLink]>,
) -> LegLink {
    let inside = router.into_iter().flatten().find(|(l, _)| l.name == link.name && l.up && link.up);
    LegLink {
        network: network.to_owned(),
        link: link.name.clone(),
        bridge: name_of(links, link.master),
        router: model::router(stack),
        address: inside.and_then(|(_, a)| a.first().copied()).unwrap_or_else(nowhere),
        mac: inside.and_then(|(l, _)| l.mac).map(mac).unwrap_or_default(),
        mtu: inside.map_or(0, |(l, _)| l.mtu.min(link.mtu)),
    }
}

/// A hardware address as text.
pub(crate) fn mac(bytes: crate::netlink::Mac) -> String {
    bytes.map(|b| format!("{b:02x}")).join(":")
}

/// Interfaces of instances, of one stack or of all.
pub(super) fn attached(links: &[Link], only: Option<&str>) -> Vec<Attached> {
    let one = |link: &Link| {
        let (stack, name, _) =
            link.altnames.iter().filter_map(|a| unmark(a)).find(|(_, _, role)| *role == "nic")?;
        let ours = only.is_none_or(|o| o == stack);
        ours.then(|| Attached {
            stack: stack.to_owned(),
            name: name.to_owned(),
            link: link.name.clone(),
            bridge: name_of(links, link.master),
            mtu: link.mtu,
        })
    };
    links.iter().filter_map(one).collect()
}
