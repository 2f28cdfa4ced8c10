//! Connections tracked by the kernel.

use std::net::Ipv4Addr;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub target: Ipv4Addr,
    /// IP protocol (RFC 5237).
    pub protocol: u8,
    /// Source port of TCP and UDP; 0 for others.
    pub source_port: u16,
    /// Destination port.
    pub target_port: u16,
}

/// A connection: its original direction, and its replies, which differ if addresses are translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The original direction.
    pub original: Tuple,
    /// The reply direction.
    pub reply: Tuple,
    /// The conntrack zone, 0 by default.
    pub zone: u16,
    /// The attributes that identify it for the kernel: its first tuple and its id.
    pub name: Vec<u8>,
}
