//! Single requests to the kernel about links, and what they are made of.

use crate::netlink::{Device, Mac, Request, Socket, dump, sysctl};
use crate::observe::{failure, io_failure};
use common::document::digest;
use common::{Failure, Kind};

/// The index of a link.
pub(crate) fn index(socket: &mut Socket, name: &str) -> Result<u32, Failure> {
    let found = dump::link(socket, Device::Name(name)).map_err(failure)?;
    found
        .map(|l| l.index)
        .ok_or_else(|| Failure::new(Kind::Failed, "net.gone", format!("the interface {name} is missing")))
}

/// IPv6 is disabled on every link of lsx, so that the host gets no address on a stack's network.
pub(crate) fn silence(name: &str) -> Result<(), Failure> {
    let key = format!("ipv6/conf/{name}/disable_ipv6");
    match sysctl::write_here(&[(&key, "1")]) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_failure("disable IPv6", &e)),
        _ => Ok(()),
    }
}

/// A locally administered hardware address derived from the name, so that the same stack gives the same.
pub(crate) fn derived(name: &str) -> Mac {
    let hash = digest(name.as_bytes());
    let byte = |i: usize| u8::from_str_radix(&hash[2 * i..2 * i + 2], 16).unwrap_or(0);
    [0x02, byte(0), byte(1), byte(2), byte(3), byte(4)]
}

/// Parses a hardware address.
pub(crate) fn parse_mac(text: &str) -> Result<Mac, Failure> {
    let bytes: Result<Vec<u8>, _> = text.split(':').map(|part| u8::from_str_radix(part, 16)).collect();
    let mac = bytes.ok().and_then(|b| Mac::try_from(b).ok());
    mac.ok_or_else(|| Failure::new(Kind::Data, "net.mac", format!("{text} is not a hardware address")))
}

/// Sends a request.
pub(crate) fn ask(socket: &mut Socket, request: &Request<'_>) -> Result<(), Failure> {
    socket.request(request).map_err(failure)
}

pub(super) fn gone(socket: &mut Socket, request: &Request<'_>) -> Result<(), Failure> {
    match socket.request(request) {
        Err(error) if !error.missing() => Err(failure(error)),
        _ => Ok(()),
    }
}
