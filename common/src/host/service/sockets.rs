//! The sockets of a server: its supervisor opens them in a network namespace and passes them to workers (unix(7),
//! SCM_RIGHTS). All workers share them, so a query that arrives while one worker replaces another waits for either.

use crate::host::namespace;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, bind, listen, recvmsg, sendmsg, socket_with,
    sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Number of descriptors in one message; the kernel's limit is 253 (SCM_MAX_FD).
const MOST: usize = 200;
/// Number of messages that are read.
const MESSAGES: usize = 100;
/// Connections that wait to be accepted (listen(2)).
const BACKLOG: i32 = 1024;
/// Bytes of datagrams that wait while a worker is replaced; the kernel may allow less (socket(7), SO_RCVBUF).
const BUFFER: usize = 4 * 1024 * 1024;

/// A UDP and a TCP socket of one address.
#[derive(Debug)]
pub struct Pair {
    /// Their address.
    pub at: SocketAddrV4,
    /// UDP.
    pub udp: OwnedFd,
    /// TCP, which listens.
    pub tcp: OwnedFd,
}

impl Pair {
    /// Opens them in a network namespace, whether or not it has the address yet (ip(7), IP_FREEBIND).
    ///
    /// # Errors
    /// `AddrInUse` when another program has the port.
    pub fn open(space: BorrowedFd<'_>, at: SocketAddrV4) -> io::Result<Pair> {
        namespace::inside(space, || -> io::Result<Pair> {
            let open = |kind| -> Result<OwnedFd, Errno> {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = socket_with(AddressFamily::INET, kind, flags, None)?;
                sockopt::set_ip_freebind(&socket, true)?;
                Ok(socket)
            };
            let udp = open(SocketType::DGRAM)?;
            let _ = sockopt::set_socket_recv_buffer_size_force(&udp, BUFFER)
                .or_else(|_| sockopt::set_socket_recv_buffer_size(&udp, BUFFER));
            bind(&udp, &at)?;
            let tcp = open(SocketType::STREAM)?;
            // Else connections of an earlier server that are still closing hold the port.
            sockopt::set_socket_reuseaddr(&tcp, true)?;
            bind(&tcp, &at)?;
            listen(&tcp, BACKLOG)?;
            Ok(Pair { at, udp, tcp })
        })?
    }
}

/// Sends descriptors over a Unix socket.
///
/// # Errors
/// Errors of the socket.
pub fn send(to: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut parts = descriptors.chunks(MOST).peekable();
    while let Some(part) = parts.next() {
        let more = [u8::from(parts.peek().is_some())];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(part));
        let flags = SendFlags::NOSIGNAL;
        retry_on_intr(|| sendmsg(&to, &[IoSlice::new(&more)], &mut control, flags))?;
    }
    Ok(())
}

/// Receives what [`send`] sent, from a socket that blocks.
///
/// # Errors
/// Errors of the socket; `UnexpectedEof` when the other end is gone, `InvalidData` for something else than descriptors.
pub fn receive(from: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut all = Vec::new();
    for _ in 0..MESSAGES {
        let mut more = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = retry_on_intr(|| recvmsg(&from, &mut [IoSliceMut::new(&mut more)], &mut control, flags))?;
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = all.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                all.extend(descriptors);
            }
        }
        if all.len() == before {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if more == [0] {
            return Ok(all);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Whether a socket is one for datagrams.
///
/// # Errors
/// `ENOTSOCK` for something else.
pub fn datagrams(socket: impl AsFd) -> io::Result<bool> {
    Ok(sockopt::socket_type(socket)? == SocketType::DGRAM)
}

/// The address that an IPv4 socket is bound to.
pub fn address(socket: impl AsFd) -> Option<SocketAddrV4> {
    rustix::net::getsockname(socket).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    #[test]
    fn more_descriptors_than_one_message_holds_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let sockets: Vec<_> =
            (0..MOST + 3).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        send(&here, &sockets.iter().map(AsFd::as_fd).collect::<Vec<_>>()).unwrap();
        let got = receive(&there).unwrap();
        let port = |at: Option<SocketAddrV4>| at.unwrap().port();
        let want: Vec<u16> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        assert_eq!(got.iter().map(|s| port(address(s))).collect::<Vec<_>>(), want);
        assert!(datagrams(&got[0]).unwrap() && datagrams(File::open("/dev/null").unwrap()).is_err());
    }

    #[test]
    fn what_is_no_descriptor_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut here, b"x").unwrap();
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(here);
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
