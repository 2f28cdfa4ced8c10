//! One socket that sends echo requests to any number of addresses of one IP version.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::setsockopt_impl;
use nix::sys::socket::sockopt::SetStruct;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvfrom, sendmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::packet::{self, Ours};
use crate::probe::errqueue;
use crate::probe::names::ScopedIp;

/// Requested buffer size: every small packet takes about 800 bytes, when receiving until it is read, when sending while its
/// neighbour is resolved. The default has room for 270 packets, and absent hosts would keep the socket from sending to
/// others.
const BUFFER_BYTES: usize = 8 << 20;

/// nix supports neither option; both take one of the IP_PMTUDISC_* numbers (ip(7), ipv6(7)).
#[derive(Clone)]
struct MtuDiscover;
setsockopt_impl!(MtuDiscover, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::c_int, SetStruct<libc::c_int>);
#[derive(Clone)]
struct MtuDiscover6;
setsockopt_impl!(
    MtuDiscover6,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int,
    SetStruct<libc::c_int>
);

/// An ICMP socket of one IP version.
#[derive(Debug)]
pub(super) struct EchoSocket {
    pub(super) socket: Socket,
    pub(super) ours: Ours,
}

/// The destination of a request and its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) to: ScopedIp,
    pub(super) source: Option<IpAddr>,
    pub(super) interface: u32,
}

impl EchoSocket {
    /// Opens the unprivileged kind (net.ipv4.ping_group_range, icmp(7)), else the raw kind.
    ///
    /// # Errors
    /// EPERM or EACCES if neither is permitted.
    pub(super) fn open(v6: bool, df: bool) -> Result<Self, Errno> {
        let (domain, protocol) = match v6 {
            true => (Domain::IPV6, Protocol::ICMPV6),
            false => (Domain::IPV4, Protocol::ICMPV4),
        };
        let random = RandomState::new();
        let mut id = random.hash_one("id").to_le_bytes();
        let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, false),
            Err(_) => {
                let socket = Socket::new(domain, Type::RAW, Some(protocol)).map_err(errno)?;
                (socket, true)
            }
        };
        socket.set_nonblocking(true).map_err(errno)?;
        enlarge(&socket);
        errqueue::enable(&socket, v6)?;
        fragmentation(&socket, v6, df)?;
        if raw {
            let id = u16::from_le_bytes([id[0], id[1]]);
            socket.attach_filter(&filter(v6, id)).map_err(errno)?;
        } else {
            id = bound_id(&socket, v6).map_err(errno)?;
        }
        let (id, nonce) = (u16::from_le_bytes([id[0], id[1]]), random.hash_one("nonce").to_le_bytes());
        Ok(Self { socket, ours: Ours { v6, raw, id, nonce } })
    }

    /// Sends one echo request.
    pub(super) fn send(&self, way: &Way, sequence: u16, payload: &[u8]) -> Result<(), Errno> {
        let bytes = packet::request(self.ours.v6, self.ours.id, sequence, payload);
        let fd = self.socket.as_raw_fd();
        let bytes = [IoSlice::new(&bytes)];
        let none = MsgFlags::empty();
        match way.to.port(0) {
            SocketAddr::V4(to) => {
                let info = info_v4(way);
                let control: Vec<_> = info.iter().map(ControlMessage::Ipv4PacketInfo).collect();
                sendmsg(fd, &bytes, &control, none, Some(&SockaddrIn::from(to)))?;
            }
            SocketAddr::V6(to) => {
                let info = info_v6(way);
                let control: Vec<_> = info.iter().map(ControlMessage::Ipv6PacketInfo).collect();
                sendmsg(fd, &bytes, &control, none, Some(&SockaddrIn6::from(to)))?;
            }
        }
        Ok(())
    }

    /// Receives one reply; returns its sender, and the echo if it is one of ours.
    ///
    /// # Errors
    /// EAGAIN if there is none; the errno of a queued ICMP error, which the error queue explains.
    pub(super) fn receive<'a>(
        &self,
        buffer: &'a mut [u8],
    ) -> Result<Option<(IpAddr, packet::Echo<'a>)>, Errno> {
        let (bytes, from) = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), buffer)?;
        let echo = self.ours.reply(buffer.get(..bytes).unwrap_or_default());
        Ok(from.as_ref().and_then(errqueue::ip).zip(echo))
    }
}

/// Beyond net.core.[rw]mem_max only with CAP_NET_ADMIN; smaller buffers are only slower.
fn enlarge(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    }
    if setsockopt(socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    }
}

/// With `df` a packet fits this interface and is sent with the bit set, ignoring earlier path MTU discovery (PROBE);
/// otherwise it may be fragmented anywhere (DONT).
fn fragmentation(socket: &Socket, v6: bool, df: bool) -> Result<(), Errno> {
    match (v6, df) {
        (false, true) => setsockopt(socket, MtuDiscover, &libc::IP_PMTUDISC_PROBE),
        (false, false) => setsockopt(socket, MtuDiscover, &libc::IP_PMTUDISC_DONT),
        (true, true) => {
            setsockopt(socket, sockopt::Ipv6DontFrag, &true)?;
            setsockopt(socket, MtuDiscover6, &libc::IPV6_PMTUDISC_PROBE)
        }
        (true, false) => setsockopt(socket, MtuDiscover6, &libc::IPV6_PMTUDISC_DONT),
    }
}

/// The kernel sets the identifier of an unprivileged ICMP socket: it is the socket's "port".
fn bound_id(socket: &Socket, v6: bool) -> io::Result<[u8; 8]> {
    let any: SocketAddr = match v6 {
        true => (Ipv6Addr::UNSPECIFIED, 0).into(),
        false => (Ipv4Addr::UNSPECIFIED, 0).into(),
    };
    socket.bind(&any.into())?;
    let port = socket.local_addr()?.as_socket().map_or(0, |a| a.port());
    Ok(u64::from(port).to_le_bytes())
}

/// A raw socket gets a copy of every ICMP packet of the namespace; this classic BPF program only accepts replies with our
/// identifier, so that parallel sockets do not slow down each other.
fn filter(v6: bool, id: u16) -> Vec<SockFilter> {
    const LDX_IP_HEADER: u16 = 0xb1;
    const LD_BYTE_X: u16 = 0x50;
    const LD_HALF_X: u16 = 0x48;
    const LDX_IMM: u16 = 0x01;
    const JUMP_EQ: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // IPv4 packets arrive with their header, IPv6 packets without.
    let start = match v6 {
        false => SockFilter::new(LDX_IP_HEADER, 0, 0, 0),
        true => SockFilter::new(LDX_IMM, 0, 0, 0),
    };
    vec![
        start,
        SockFilter::new(LD_BYTE_X, 0, 0, 0),
        SockFilter::new(JUMP_EQ, 0, 3, packet::reply_type(v6).into()),
        SockFilter::new(LD_HALF_X, 0, 0, 4),
        SockFilter::new(JUMP_EQ, 0, 1, id.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

fn info_v4(way: &Way) -> Option<libc::in_pktinfo> {
    let source = match way.source {
        Some(IpAddr::V4(source)) => source,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let wanted = way.interface != 0 || !source.is_unspecified();
    wanted.then(|| libc::in_pktinfo {
        ipi_ifindex: way.interface.cast_signed(),
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    })
}

fn info_v6(way: &Way) -> Option<libc::in6_pktinfo> {
    let source = match way.source {
        Some(IpAddr::V6(source)) => source,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    let wanted = way.interface != 0 || !source.is_unspecified();
    wanted.then(|| libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
        ipi6_ifindex: way.interface,
    })
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
