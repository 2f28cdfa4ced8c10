//! ureq with our own lookup and connections.
//!
//! ureq's own resolver loads NSS and its own connector can bind neither source nor interface. The traits used here are not
//! covered by ureq's stability promise.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use common::http::Line;

use crate::probe::dial::{Dial, dial};
use crate::probe::names::{Names, ScopedIp};
use crate::probe::outcome::State;
use crate::probe::problem::Problem;
use crate::probe::tls::{SeenDates, Tls, Wire};

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
    pub(super) place: ScopedIp,
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
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        found.push(place.port(uri.port_u16().unwrap_or(usual)));
        Ok(found)
    }
}

/// Connects with our own code, which can bind and knows the reason of a failure.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) source: Option<IpAddr>,
    pub(super) interface: Option<String>,
    pub(super) timeout: Duration,
    /// Address and port of the target, which `server_name` is for; a redirect names its own server.
    pub(super) first: (String, u16),
    /// The authorities of servers with TLS: a file, or its text.
    pub(super) ca: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) seen: SeenDates,
}

impl Connect {
    /// The name that the certificate of a server must have.
    fn name(&self, uri: &Uri) -> String {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let first = self.first.0.split('%').next() == Some(host) && uri.port_u16() == Some(self.first.1);
        self.server_name.as_ref().filter(|_| first).map_or(host, String::as_str).to_owned()
    }
}

impl Connector<()> for Connect {
    type Out = Line<Wire>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let began = Instant::now();
        let tls = details.needs_tls().then(|| Tls::new(self.ca.as_deref(), &self.seen)).transpose();
        let tls = tls.map_err(|problem| refuse(State::Failed, problem))?;
        let to = details.addrs.first();
        let to = *to.ok_or(Error::HostNotFound)?;
        let timeout = details.timeout.not_zero().map_or(self.timeout, |t| *t);
        let dialed = dial(&Dial { to, source: self.source, interface: self.interface.as_deref(), timeout });
        let socket = match (dialed.socket, dialed.problem) {
            (Some(socket), _) => socket.into(),
            (None, Some(problem)) => return Err(refuse(dialed.state, problem)),
            (None, None) => return Err(Error::ConnectionFailed),
        };
        let wire = match tls {
            Some(tls) => tls
                .secure(socket, to, &self.name(details.uri), (began, timeout))
                .map_err(|(state, problem)| refuse(state, problem))?,
            None => Wire::Plain(socket),
        };
        Ok(Some(Line::new(wire, details.config)))
    }
}
