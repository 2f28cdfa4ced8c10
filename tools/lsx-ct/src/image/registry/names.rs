//! Addresses of registries, by getent(1), which uses this host's resolver configuration; a static program cannot call the
//! resolver of the C library.

use super::near::Near;
use common::host::Program;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How near a registry is, once it is known. One behind a proxy counts as public.
pub(super) type Home = Arc<OnceLock<Near>>;

/// The registry's own addresses are accepted and show how near it is; those of a redirect must not be nearer. They are
/// checked where the connection is made, because a name may resolve differently the second time.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) home: Home,
    /// For redirects.
    pub(super) away: bool,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let proxy = config.proxy().is_some_and(|proxy| proxy.host() == host && proxy.port() == port);
        let mut found = self.empty();
        for address in addresses(host)?.into_iter().take(16) {
            match (proxy, self.away) {
                (true, _) => {}
                (false, true) => led(&self.home, host, address).map_err(Error::Io)?,
                (false, false) => _ = self.home.get_or_init(|| Near::of(address)),
            }
            found.push(SocketAddr::new(address, port));
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

/// Refuses an address that is nearer than the registry; the kind of the error identifies it.
pub(super) fn led(home: &Home, host: &str, address: IpAddr) -> io::Result<()> {
    let (home, to) = (home.get().copied().unwrap_or(Near::World), Near::of(address));
    match home.may_lead(to) {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!("{host} is {}, but the registry is {}", to.words(), home.words()),
        )),
    }
}

fn addresses(host: &str) -> Result<Vec<IpAddr>, Error> {
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
