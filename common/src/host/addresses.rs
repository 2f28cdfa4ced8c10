//! The addresses of hosts.

use super::Program;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use ureq::Error;

/// The addresses of a host, by getent(1), which uses this host's resolver configuration; a static program cannot call the
/// resolver of the C library.
///
/// # Errors
/// If it has none.
pub fn of(host: &str) -> Result<Vec<IpAddr>, Error> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !host.starts_with(|c: char| c.is_ascii_alphanumeric()) || !host.chars().all(known) {
        return Err(Error::HostNotFound);
    }
    let program = Program::new("getent");
    program.there().map_err(|e| Error::Io(io::Error::other(e.message)))?;
    let said = program.args(["ahosts", host]).run(b"").map_err(|_| Error::HostNotFound)?;
    let lines = String::from_utf8_lossy(&said).into_owned();
    let mut all: Vec<IpAddr> = Vec::new();
    for address in lines.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(all)
}
