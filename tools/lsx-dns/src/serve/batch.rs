//! Many datagrams with one call of the kernel (recvmmsg(2), sendmmsg(2)): that is most of what a short answer costs.

use nix::sys::socket::{self, MsgFlags, MultiHeaders, SockaddrIn};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, addr::SocketAddrArg, sendmmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddrV4;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

/// The number of datagrams at once.
pub(super) const MOST: usize = 32;
/// The longest query; larger ones are cut off by the kernel and refused as malformed.
pub(super) const QUERY: usize = 4096;

/// Datagrams that were read, and others that are to be sent.
pub(super) struct Batch {
    headers: MultiHeaders<SockaddrIn>,
    bytes: Vec<u8>,
    read: Vec<(SocketAddrV4, usize)>,
}

impl Batch {
    pub(super) fn new() -> Batch {
        let headers = MultiHeaders::preallocate(MOST, None);
        Batch { headers, bytes: vec![0; MOST * QUERY], read: Vec::new() }
    }

    /// Reads what has come, without waiting for more; returns the number.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has come.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.read.clear();
        let mut places: Vec<_> = self.bytes.chunks_mut(QUERY).map(|part| [IoSliceMut::new(part)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = socket.as_fd().as_raw_fd();
        let all = socket::recvmmsg(fd, &mut self.headers, &mut places, flags, None)?;
        let no_one = SockaddrIn::new(0, 0, 0, 0, 0);
        self.read.extend(all.map(|one| (one.address.unwrap_or(no_one).into(), one.bytes)));
        Ok(self.read.len())
    }

    /// What was read, and from whom.
    pub(super) fn read(&self) -> impl Iterator<Item = (SocketAddrV4, &[u8])> {
        self.read
            .iter()
            .zip(self.bytes.chunks(QUERY))
            .map(|((from, length), bytes)| (*from, &bytes[..*length]))
    }
}

/// Datagrams that are to be sent, one after the other in one piece of memory.
#[derive(Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
    to: Vec<(SocketAddrAny, Range<usize>)>,
}

impl Replies {
    /// Adds what `write` appends; nothing if that is nothing.
    pub(super) fn add<T>(&mut self, to: SocketAddrV4, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.bytes.len();
        let result = write(&mut self.bytes);
        if self.bytes.len() > start {
            self.to.push((to.as_any(), start..self.bytes.len()));
        }
        result
    }

    /// Sends as many as the kernel takes now; true if it takes no more, and [`Replies::send`] is to be called when it does. One that
    /// cannot be sent is dropped: as if it were lost on its way.
    pub(super) fn send(&mut self, socket: impl AsFd) -> bool {
        let mut sent = 0;
        while sent < self.to.len() {
            sent += match self.send_from(sent, &socket) {
                Ok(number) => number.max(1),
                Err(Errno::INTR) => 0,
                Err(Errno::WOULDBLOCK) => {
                    self.to.drain(..sent);
                    return true;
                }
                Err(_) => 1,
            };
        }
        self.clear();
        false
    }

    /// Forgets what was not sent.
    pub(super) fn clear(&mut self) {
        self.to.clear();
        self.bytes.clear();
    }

    fn send_from(&self, first: usize, socket: impl AsFd) -> Result<usize, Errno> {
        let all = &self.to[first..];
        let parts: Vec<_> = all.iter().map(|(_, range)| [IoSlice::new(&self.bytes[range.clone()])]).collect();
        let mut controls: Vec<_> = all.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let each = all.iter().zip(&parts).zip(&mut controls);
        let mut headers: Vec<_> =
            each.map(|(((to, _), part), control)| MMsgHdr::new_with_addr(to, part, control)).collect();
        sendmmsg(socket, &mut headers, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
    use std::time::Duration;

    #[test]
    fn all_datagrams_come_and_go() {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = |socket: &UdpSocket| match socket.local_addr().unwrap() {
            SocketAddr::V4(at) => at,
            SocketAddr::V6(at) => panic!("{at}"),
        };
        let (server, client) = (bind(), bind());
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let gone = port(&bind());
        let (mut batch, mut replies) = (Batch::new(), Replies::default());
        assert_eq!(batch.receive(&server).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let total = u8::try_from(MOST).unwrap() + 3;
        for number in 0..total {
            client.send_to(&vec![number; 3 + usize::from(number)], port(&server)).unwrap();
        }
        client.send_to(&[total; QUERY + 1], port(&server)).unwrap();
        let mut came = 0;
        while came < usize::from(total) + 1 {
            // On the loopback all are there already; what was cut has the length of the place.
            came += batch.receive(&server).unwrap();
            for (from, bytes) in batch.read() {
                assert_eq!(from, port(&client));
                let length = if bytes[0] < total { 3 + usize::from(bytes[0]) } else { QUERY };
                assert_eq!(bytes, vec![bytes[0]; length]);
                replies.add(gone, |out| out.extend_from_slice(b"nobody"));
                replies.add(from, |out| out.extend_from_slice(&[bytes[0], 7]));
                replies.add(from, |_| ());
            }
            // The kernel may say that a reply to nobody was refused; that is no reason not to send the others.
            while replies.send(&server) {}
        }
        let mut got = [0; 9];
        for number in 0..=total {
            assert_eq!((client.recv(&mut got).unwrap(), got[0], got[1]), (2, number, 7));
        }
    }
}
