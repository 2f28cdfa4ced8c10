//! A connection with or without TLS. With TLS one read can be many of the socket, so the deadline is kept by the socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::http::Timed;
use rustls::{ClientConnection, StreamOwned};

/// A connection that ureq can use.
#[derive(Debug)]
pub(in crate::probe) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, Bounded>>),
}

/// A socket whose reads and writes all end at one deadline, and the first byte that came.
#[derive(Debug)]
pub(in crate::probe) struct Bounded {
    socket: TcpStream,
    end: Instant,
    /// The first bytes received.
    pub(super) first: Vec<u8>,
}

/// As many of the first bytes as are kept.
const FIRST: usize = 16;

impl Bounded {
    pub(super) fn new(socket: TcpStream, end: Instant) -> Self {
        Self { socket, end, first: Vec::new() }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        let count = self.socket.read(buffer)?;
        let room = FIRST.saturating_sub(self.first.len());
        self.first.extend(buffer.iter().take(count.min(room)));
        Ok(count)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            // Many servers close without close_notify; a body that is too short is still detected by its length.
            Self::Tls(stream) => match stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                result => result,
            },
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            // Whole records at once: rustls keeps what it cannot send, and nothing else would flush it.
            Self::Tls(stream) => {
                let count = stream.write(bytes)?;
                stream.flush()?;
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Timed for Wire {
    fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn read_within(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.read_within(limit),
            Self::Tls(_) => Ok(()),
        }
    }

    fn write_within(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_within(limit),
            Self::Tls(_) => Ok(()),
        }
    }
}
