//! ureq with our own lookup and connections.
//!
//! ureq's own resolver loads NSS and its own connector can bind neither source nor interface. The traits used here are not
//! covered by ureq's stability promise.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use common::http::Line;

use crate::probe::dial::{Dial, dial};
use crate::probe::form::no_tls;
use crate::probe::names::{Names, Place};
use crate::probe::outcome::{Problem, State};

/// The result of our connector and lookup, passed through ureq's error type.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) State, pub(super) Problem);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.1.fmt(f)
    }
}

impl std::error::Error for Refusal {}

fn refuse(state: State, problem: Problem) -> Error {
    Error::Io(io::Error::other(Refusal(state, problem)))
}

/// Knows the address of the target, and those that a redirect may lead to.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) host: String,
    pub(super) place: Place,
    pub(super) names: Names,
}

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let own = self.host.split('%').next() == Some(host);
        let place = match own {
            true => self.place,
            false => self.names.resolve(host).map_err(|problem| refuse(State::Unresolved, problem))?,
        };
        let mut found = self.empty();
        found.push(place.port(uri.port_u16().unwrap_or(80)));
        Ok(found)
    }
}

/// Connects with our own code, which can bind and knows the reason of a failure.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) source: Option<IpAddr>,
    pub(super) interface: Option<String>,
    pub(super) timeout: Duration,
}

impl Connector<()> for Connect {
    type Out = Line<TcpStream>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        if details.needs_tls() {
            return Err(refuse(State::Failed, no_tls(&details.uri.to_string())));
        }
        let to = details.addrs.first();
        let to = *to.ok_or(Error::HostNotFound)?;
        let timeout = details.timeout.not_zero().map_or(self.timeout, |t| *t);
        let dialed = dial(&Dial { to, source: self.source, interface: self.interface.as_deref(), timeout });
        match (dialed.socket, dialed.problem) {
            (Some(socket), _) => Ok(Some(Line::new(socket.into(), details.config))),
            (None, Some(problem)) => Err(refuse(dialed.state, problem)),
            (None, None) => Err(Error::ConnectionFailed),
        }
    }
}
