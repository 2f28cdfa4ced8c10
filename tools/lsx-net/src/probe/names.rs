//! Resolves addresses, names and interfaces of a target without NSS: literals and /etc/hosts.
//!
//! A static binary cannot load the NSS modules that `getaddrinfo` needs, and a probe that queries a name server would test
//! two things at once.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::OnceLock;

use nix::net::if_::if_nametoindex;

use super::problem::Problem;

const HOSTS: &str = "/etc/hosts";

/// An address to probe, with the interface's index if the address needs one (RFC 4007).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScopedIp {
    pub(super) ip: IpAddr,
    pub(super) scope: u32,
}

impl ScopedIp {
    /// The same with a port.
    pub(super) fn port(self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(ip) => SocketAddr::from((ip, port)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, self.scope)),
        }
    }
}

impl From<IpAddr> for ScopedIp {
    fn from(ip: IpAddr) -> Self {
        Self { ip, scope: 0 }
    }
}

/// The hosts file, read at most once and only if a name needs it.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    text: OnceLock<String>,
}

impl Names {
    /// Looks names up in the given text instead of /etc/hosts.
    #[cfg(test)]
    pub(super) fn from_text(text: &str) -> Self {
        Self { text: OnceLock::from(text.to_owned()) }
    }

    /// The place of a literal address (`10.0.0.1`, `fd00::1`, `fe80::1%eth0`) or of a name in the file.
    pub(super) fn resolve(&self, host: &str) -> Result<ScopedIp, Problem> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        if let Some((address, zone)) = host.split_once('%') {
            return zoned(address, zone);
        }
        let text = self.text.get_or_init(|| std::fs::read_to_string(HOSTS).unwrap_or_default());
        match lookup(text, host) {
            Some(ip) => Ok(ip.into()),
            None => Err(Problem::new(format!("{host} is neither an address nor a name in {HOSTS}")).hint(
                format!("probes do not use name servers; write the address, or add the name to {HOSTS}"),
            )),
        }
    }
}

fn zoned(address: &str, zone: &str) -> Result<ScopedIp, Problem> {
    let ip = address
        .parse()
        .map_err(|_| Problem::new(format!("{address} before %{zone} is not an IPv6 address")))?;
    let scope = interface_index(zone)?;
    Ok(ScopedIp { ip: IpAddr::V6(ip), scope })
}

/// The index of an interface of this network namespace.
pub(super) fn interface_index(name: &str) -> Result<u32, Problem> {
    if_nametoindex(name).map_err(|_| {
        Problem::new(format!("no interface {name}")).hint("`ip link` lists those of this network namespace")
    })
}

/// Refuses a source that is not an address of this namespace: the kernel would report "network unreachable", which looks
/// like a failure of the network.
pub(super) fn check_source(source: IpAddr) -> Result<(), Problem> {
    match UdpSocket::bind((source, 0)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(foreign_source(source)),
        _ => Ok(()),
    }
}

/// The refusal of a source address, for every kind of probe.
pub(super) fn foreign_source(source: IpAddr) -> Problem {
    Problem::new(format!("source: {source} is not one of this host's addresses"))
        .hint("`ip addr` lists those of this network namespace")
}

/// The first address of a name in the text of a hosts file (hosts(5)); names ignore case.
fn lookup(text: &str, name: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
    })
}
