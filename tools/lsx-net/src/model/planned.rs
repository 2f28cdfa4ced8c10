//! How a plan treats objects: their names for people, what cannot exist together, and what a change means.

use super::Object;
use common::plan;

impl plan::Object for Object {
    fn kept(&self) -> Option<plan::Kept> {
        match self {
            Object::Intent(file) => Some(plan::Kept::Intent { digest: file.key() }),
            Object::Boot { program, host } => {
                Some(plan::Kept::Boot { program: program.clone(), host: host.clone() })
            }
            _ => None,
        }
    }

    fn called(&self) -> Option<(String, &'static str)> {
        let network = |name: &str| format!("network {name}");
        match self {
            Object::Bridge(bridge) => Some((network(&bridge.network), "")),
            Object::Tunnel(tunnel) => Some((network(&tunnel.network), "tunnel")),
            Object::Leg(leg) => Some((network(&leg.network), "gateway")),
            Object::Port(port) => Some((network(&port.network), "interface")),
            Object::Service(server) => Some((format!("service {}", server.name), "")),
            Object::Remnant { link } => Some((format!("incomplete link {link}"), "")),
            _ => None,
        }
    }

    fn brief(&self) -> String {
        match self {
            Object::Leg(leg) => leg.address.to_string(),
            Object::Port(port) => port.link.clone(),
            _ => String::new(),
        }
    }

    fn means(&self, next: &Self) -> Option<&'static str> {
        match (self, next) {
            (Object::Service(a), Object::Service(_)) => Some(if a.running { "reloaded" } else { "started" }),
            _ => self.replaced_by(next).then_some("recreated"),
        }
    }

    fn content(&self) -> Option<&str> {
        match self {
            Object::Firewall(firewall) => Some(&firewall.digest),
            Object::Intent(file) => Some(&file.digest),
            Object::Service(server) => Some(&server.config),
            _ => None,
        }
    }

    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Object::Tunnel(a), Object::Tunnel(b)) => (a.vni, a.port) == (b.vni, b.port),
            (Object::Leg(a), Object::Leg(b)) => {
                a.address.contains(&b.address) || b.address.contains(&a.address)
            }
            // Its removal would otherwise find the new link of that name; a half-made tunnel may hold any VNI.
            (Object::Remnant { .. }, Object::Tunnel(_)) => true,
            (Object::Remnant { link }, Object::Bridge(b)) => *link == b.link,
            (Object::Remnant { link }, Object::Leg(leg)) => *link == leg.link,
            (Object::Remnant { link }, Object::World(world)) => *link == world.link,
            _ => false,
        }
    }

    fn replaced_by(&self, next: &Self) -> bool {
        match (self, next) {
            (Object::Tunnel(a), Object::Tunnel(b)) => {
                (a.vni, a.port, a.source_ports, a.local) != (b.vni, b.port, b.source_ports, b.local)
            }
            (Object::World(a), Object::World(b)) => a != b,
            (Object::Leg(a), Object::Leg(b)) => a != b,
            _ => false,
        }
    }
}
