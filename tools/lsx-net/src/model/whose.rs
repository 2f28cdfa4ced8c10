//! Whose an object is: of one network, or of all that a host has.

use super::Object;

impl Object {
    /// The network whose own it is; none for what the networks of a host share.
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
