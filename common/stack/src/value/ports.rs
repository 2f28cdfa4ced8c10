//! Ports and their protocols.

use super::{Parsed, Wrong};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// Ports of a protocol, both ends included: written `443/tcp` or `6000-6010/udp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PortSpec {
    /// Protocol.
    pub protocol: Protocol,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// A port from 1 to 65,535.
pub(crate) fn port(text: &str) -> Parsed<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|&n: &u16| digits && n > 0)
        .ok_or_else(|| Wrong::new(format!("`{text}` is not a port"), "a number from 1 to 65535"))
}

/// `443/tcp`, `6000-6010/udp` or `443`, which is TCP.
pub(crate) fn port_spec(text: &str) -> Parsed<PortSpec> {
    let (ports, name) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol(name)?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let spec = PortSpec { protocol, first: port(first)?, last: port(last)? };
    if spec.first <= spec.last {
        return Ok(spec);
    }
    Err(Wrong::new(format!("`{text}` has a first port above its last"), "write it like 6000-6010/udp"))
}

/// `tcp` or `udp`.
pub(crate) fn protocol(text: &str) -> Parsed<Protocol> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(Wrong::new(format!("`{text}` is not a protocol"), "tcp or udp")),
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

impl fmt::Display for PortSpec {
    /// `443/tcp` or `6000-6010/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}/{}", self.first, self.protocol)
        } else {
            write!(f, "{}-{}/{}", self.first, self.last, self.protocol)
        }
    }
}
