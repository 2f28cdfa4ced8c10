//! ureq over our own connections. The traits used here are not covered by ureq's stability promise: an update of ureq may
//! need a change in this file, and where `Connector` and `Resolver` are implemented.

use crate::host::addresses;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

/// A stream with time limits.
pub trait Timed: Read + Write {
    /// Time limit for a read; default: none.
    fn read_within(&self, limit: Option<Duration>) -> io::Result<()>;
    /// Time limit for a write; default: none.
    fn write_within(&self, limit: Option<Duration>) -> io::Result<()>;
    /// Whether what is sent is encrypted; ureq sends nothing for `https:` otherwise.
    fn is_encrypted(&self) -> bool {
        false
    }
}

macro_rules! timed {
    ($stream:ty) => {
        impl Timed for $stream {
            fn read_within(&self, limit: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(limit)
            }
            fn write_within(&self, limit: Option<Duration>) -> io::Result<()> {
                self.set_write_timeout(limit)
            }
        }
    };
}

timed!(TcpStream);
timed!(UnixStream);

/// A connection for ureq, for one request; connections are not pooled.
#[derive(Debug)]
pub struct Line<S> {
    stream: S,
    buffers: LazyBuffers,
}

impl<S> Line<S> {
    /// With buffer sizes from the request's configuration.
    pub fn new(stream: S, config: &Config) -> Self {
        Self { stream, buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()) }
    }
}

impl<S: Timed + std::fmt::Debug + Send + Sync + 'static> Transport for Line<S> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.write_within(left(timeout)?)?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| late(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.read_within(left(timeout)?)?;
        let room = self.buffers.input_append_buf();
        let bytes = loop {
            match self.stream.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.map_err(|error| late(error, timeout))?,
            }
        };
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.stream.is_encrypted()
    }
}

/// The remaining time; zero is an error here, because a socket takes zero for "no limit".
fn left(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_not_happening() {
        return Ok(None);
    }
    let left = *timeout.after;
    if left.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(Some(left))
}

fn late(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

/// Finds the addresses of servers by getent(1).
#[derive(Debug)]
pub struct Names;

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let mut found = self.empty();
        for address in addresses::of(host)?.into_iter().take(16) {
            found.push(SocketAddr::new(address, port(uri)));
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

/// The port of a URL.
pub fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}
