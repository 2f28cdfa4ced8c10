//! ureq over a unix socket. Every request uses a new connection, since the server may have been restarted.

use common::http::Line;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

/// Resolves nothing: the only server is at the socket.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut none = self.empty();
        none.push(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)); // ureq needs an address
        Ok(none)
    }
}

/// Connects to the socket, whatever the URL says.
#[derive(Debug)]
pub(super) struct Connect(pub(super) PathBuf);

impl Connector<()> for Connect {
    type Out = Line<UnixStream>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        Ok(Some(Line::new(UnixStream::connect(&self.0)?, details.config)))
    }
}
