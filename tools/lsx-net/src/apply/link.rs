//! Links: bridges, tunnels, legs, the world link. A link is created in lsx's group, then marked; one that has the group but
//! no mark is incomplete and is removed first.

use super::Sockets;
use super::ask::{ask, derived, gone, index, parse_mac, silence};
use super::marked::{displaced, finish, marked, whole};
use crate::model::{Bridge, GROUP, LegLink, Port, Route, Tunnel, WORLD, World, mark, router};
use crate::netlink::dump::Link;
use crate::netlink::link::{self, Change, Peer, PortFlags, Veth, Vxlan};
use crate::netlink::{Device, Mac, Socket, addr, namespace, neigh, route};
use crate::observe::io_failure;
use common::Failure;
use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};

/// Seconds that a learned address is kept on a bridge; the kernel's default.
const AGEING: u32 = 300;
/// TTL of tunnel packets.
const TTL: u8 = 64;
/// MTU of the world link: that of Ethernet; a smaller uplink answers by ICMP.
const WORLD_MTU: u32 = 1500;

/// Creates or repairs a bridge.
pub(super) fn bridge(socket: &mut Socket, stack: &str, bridge: &Bridge) -> Result<(), Failure> {
    let mark = mark(stack, &bridge.network, "bridge");
    if marked(socket, &bridge.link, &mark)?.is_none() {
        let request = link::Bridge {
            name: &bridge.link,
            index: 0,
            mac: derived(&bridge.link),
            mtu: bridge.mtu.saturating_sub(1),
            ageing: AGEING,
            group: GROUP,
        };
        ask(socket, &request.create())?;
        // Only an explicit change keeps the kernel from resetting the MTU to 1500 when the last port is removed
        // (BROPT_MTU_SET_BY_USER); so the bridge is created with another MTU.
        let change = Change { mtu: Some(bridge.mtu), ..Change::default() };
        let finished = ask(socket, &link::change(Device::Name(&bridge.link), &change))
            .and_then(|()| silence(&bridge.link))
            .and_then(|()| finish(socket, &bridge.link, &mark));
        return whole(socket, &bridge.link, finished);
    }
    let change = Change { up: Some(bridge.up), mtu: Some(bridge.mtu), ..Change::default() };
    ask(socket, &link::change(Device::Name(&bridge.link), &change))
}

/// Creates or repairs a tunnel; another VNI, port or endpoint needs another device.
pub(super) fn tunnel(socket: &mut Socket, stack: &str, tunnel: &Tunnel) -> Result<(), Failure> {
    let master = index(socket, &tunnel.bridge)?;
    let same = |l: &Link| {
        l.vxlan.as_ref().is_some_and(|v| {
            (v.vni, v.port, v.source_ports, v.local)
                == (tunnel.vni, tunnel.port, tunnel.source_ports, Some(IpAddr::V4(tunnel.local)))
        })
    };
    let mark = mark(stack, &tunnel.network, "tunnel");
    match marked(socket, &tunnel.link, &mark)? {
        Some(old) if same(&old) => {
            let change = Change {
                up: Some(tunnel.up),
                mtu: Some(tunnel.mtu),
                master: Some(master),
                ..Change::default()
            };
            ask(socket, &link::change(Device::Index(old.index), &change))?;
        }
        old => {
            if let Some(old) = old {
                ask(socket, &link::delete(Device::Index(old.index)))?;
            }
            let request = Vxlan {
                name: &tunnel.link,
                index: 0,
                mac: derived(&tunnel.link),
                mtu: tunnel.mtu,
                vni: tunnel.vni,
                port: tunnel.port,
                source_ports: tunnel.source_ports,
                local: IpAddr::V4(tunnel.local),
                underlay: None,
                ttl: TTL,
                master: Some(master),
                group: GROUP,
            };
            ask(socket, &request.create())?;
            let finished = silence(&tunnel.link).and_then(|()| finish(socket, &tunnel.link, &mark));
            whole(socket, &tunnel.link, finished)?;
        }
    }
    ask(socket, &flags(tunnel.flood).set(Device::Name(&tunnel.link)))
}

fn flags(flood: bool) -> PortFlags {
    if !flood {
        return PortFlags::ZERO_FLOOD;
    }
    PortFlags {
        learning: Some(true),
        unicast_flood: Some(true),
        multicast_flood: Some(true),
        broadcast_flood: Some(true),
        neigh_suppress: Some(false),
        ..PortFlags::default()
    }
}

/// Creates a leg: one end on the bridge, the other, with its address, in the router.
pub(super) fn leg(sockets: &mut Sockets, stack: &str, leg: &LegLink) -> Result<(), Failure> {
    let (socket, space, inner) = sockets.with_router(stack)?;
    let veth = Veth {
        name: &leg.link,
        index: 0,
        mac: derived(&leg.link),
        mtu: leg.mtu,
        master: Some(index(socket, &leg.bridge)?),
        group: GROUP,
        peer: Peer { name: &leg.link, mac: parse_mac(&leg.mac)?, namespace: space.as_fd() },
    };
    let mark = mark(stack, &leg.network, "leg");
    anew(socket, &veth, &mark)?;
    let finished =
        inside(inner, &leg.link, leg.address, None).and_then(|()| finish(socket, &leg.link, &mark));
    whole(socket, &leg.link, finished)
}

/// Makes an instance's interface a port of its bridge, or of none when undoing.
pub(super) fn plug(socket: &mut Socket, port: &Port) -> Result<(), Failure> {
    let master = port.bridge.as_ref().map_or(Ok(0), |bridge| index(socket, bridge))?;
    let change = Change { up: Some(true), master: Some(master), ..Change::default() };
    ask(socket, &link::change(Device::Name(&port.link), &change))
}

/// Creates the veth between host and router, with both addresses and the router's default route.
pub(super) fn world(sockets: &mut Sockets, stack: &str, world: &World) -> Result<(), Failure> {
    let (socket, space, inner) = sockets.with_router(stack)?;
    let veth = Veth {
        name: &world.link,
        index: 0,
        mac: derived(&world.link),
        mtu: WORLD_MTU,
        master: None,
        group: GROUP,
        peer: Peer {
            name: WORLD,
            mac: derived(&format!("{} {WORLD}", world.link)),
            namespace: space.as_fd(),
        },
    };
    let mark = mark(stack, "host", "world");
    anew(socket, &veth, &mark)?;
    let finished = join(socket, inner, world, (veth.mac, veth.peer.mac))
        .and_then(|()| finish(socket, &world.link, &mark))
        .and_then(|()| super::routing::annotate(stack, socket, &world.link));
    whole(socket, &world.link, finished)
}

/// Addresses of both ends, permanent neighbour entries for each other, and the router's default route.
fn join(
    socket: &mut Socket,
    inner: &mut Socket,
    world: &World,
    (here_mac, there_mac): (Mac, Mac),
) -> Result<(), Failure> {
    let (here, there) = (host_end(world.net), router_end(world.net));
    let device = index(socket, &world.link)?;
    ask(socket, &addr::replace(device, here))?;
    inside(inner, WORLD, there, Some(here.addr()))?;
    ask(socket, &neigh::replace(device, there.addr(), there_mac))?;
    let device = index(inner, WORLD)?;
    ask(inner, &neigh::replace(device, here.addr(), here_mac))
}

fn host_end(net: Ipv4Net) -> Ipv4Net {
    net.trunc()
}

fn router_end(net: Ipv4Net) -> Ipv4Net {
    Ipv4Net::new(net.broadcast(), net.prefix_len()).unwrap_or(net)
}

/// Creates a veth in place of any link with its name or mark; its other end is down and has no address.
fn anew(socket: &mut Socket, veth: &Veth<'_>, mark: &str) -> Result<(), Failure> {
    displaced(socket, veth.name, mark)?;
    ask(socket, &veth.create())?;
    let silenced = silence(veth.name);
    whole(socket, veth.name, silenced)
}

/// Sets the address of the end in the router, sets it up, and adds the default route through `gateway`.
fn inside(
    socket: &mut Socket,
    name: &str,
    address: Ipv4Net,
    gateway: Option<Ipv4Addr>,
) -> Result<(), Failure> {
    let device = index(socket, name)?;
    ask(socket, &addr::replace(device, address))?;
    ask(socket, &link::change(Device::Index(device), &Change { up: Some(true), ..Change::default() }))?;
    if let Some(gateway) = gateway {
        let default = Ipv4Net::default();
        let route = route::Route { destination: default, gateway: Some(gateway), device: Some(device) };
        ask(socket, &route.replace())?;
    }
    Ok(())
}

/// A route of the host through the router.
pub(super) fn route(socket: &mut Socket, wanted: &Route) -> Result<(), Failure> {
    let device = index(socket, &wanted.link)?;
    let route = route::Route { destination: wanted.to, gateway: Some(wanted.via), device: Some(device) };
    ask(socket, &route.replace())
}

/// Removes such a route; if it was removed with its device, that is no error.
pub(super) fn remove_route(socket: &mut Socket, wanted: &Route) -> Result<(), Failure> {
    let route = route::Route { destination: wanted.to, gateway: Some(wanted.via), device: None };
    gone(socket, &route.delete())
}

/// Removes a link; a missing one is no error.
pub(super) fn remove(socket: &mut Socket, name: &str) -> Result<(), Failure> {
    gone(socket, &link::delete(Device::Name(name)))
}

impl Sockets {
    /// The socket of this host, the stack's router, and the socket inside it.
    pub(super) fn with_router(
        &mut self,
        stack: &str,
    ) -> Result<(&mut Socket, &OwnedFd, &mut Socket), Failure> {
        let (space, inner) = match &mut self.router {
            Some(router) => router,
            none => {
                let name = router(stack);
                let space = namespace::open(namespace::NamespaceRef::Name(&name))
                    .map_err(|e| io_failure(&format!("open the router {name}"), &e))?;
                let inner = Socket::open_in(space.as_fd()).map_err(|e| io_failure("enter the router", &e))?;
                none.insert((space, inner))
            }
        };
        Ok((&mut self.here, space, inner))
    }
}
