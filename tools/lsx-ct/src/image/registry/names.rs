//! Addresses of registries, of which those of a redirect must not be nearer.

use super::near::Near;
use common::host::addresses;
use common::http::port;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
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
        let port = port(uri);
        let proxy = config.proxy().is_some_and(|proxy| proxy.host() == host && proxy.port() == port);
        let mut found = self.empty();
        for address in addresses::of(host)?.into_iter().take(16) {
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
