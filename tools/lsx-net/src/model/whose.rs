//! The owner of an object: one network, or all networks of a host.

use super::Object;

impl Object {
    /// The network that it belongs to; none if the networks of a host share it.
    pub fn network(&self) -> Option<&str> {
        match self {
            Object::Bridge(bridge) => Some(&bridge.network),
            Object::Tunnel(tunnel) => Some(&tunnel.network),
            Object::Leg(leg) => Some(&leg.network),
            Object::Port(port) => Some(&port.network),
            Object::Forwarding(forwarding) => Some(&forwarding.network),
            Object::Neighbours(neighbours) => Some(&neighbours.network),
            _ => None,
        }
    }
}
