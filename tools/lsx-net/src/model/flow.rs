//! Connections as the kernel keeps track of them.

use std::net::Ipv4Addr;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Who sends.
    pub source: Ipv4Addr,
    /// To whom.
    pub target: Ipv4Addr,
    /// IP protocol (RFC 5237).
    pub protocol: u8,
    /// Ports of TCP and UDP; 0 for others.
    pub source_port: u16,
    /// The same at the other end.
    pub target_port: u16,
}

/// A connection: how it began, and what answers look like, which differs where addresses are translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// As it was begun.
    pub original: Tuple,
    /// As it is answered.
    pub reply: Tuple,
    /// The zone, 0 unless somebody set one.
    pub zone: u16,
    /// What names it for the kernel: its first tuple and its number, as attributes.
    pub name: Vec<u8>,
}
