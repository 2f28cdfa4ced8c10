//! The kernel's error queue of a socket (ip(7), IP_RECVERR): the ICMP error and its sender.

use std::io::IoSliceMut;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::Socket;

/// Space for the original packet's first bytes: ICMP header and the start of the payload.
const PACKET_BYTES: usize = 64;
/// Space for one sock_extended_err with an IPv6 offender, and for other messages.
const CONTROL_BYTES: usize = 512;

/// One entry of the queue.
#[derive(Debug, Clone)]
pub(super) struct Report {
    /// The errno the kernel made of it.
    pub(super) errno: Errno,
    /// Whether an ICMP message caused it, rather than this host's own stack.
    pub(super) icmp: bool,
    /// ICMP type and code.
    pub(super) kind: (u8, u8),
    /// The MTU in bytes, for EMSGSIZE.
    pub(super) mtu: Option<u32>,
    /// Who sent the ICMP error.
    pub(super) from: Option<IpAddr>,
    /// Where the packet had been sent to.
    pub(super) to: Option<IpAddr>,
    /// The first bytes of the packet, from its transport header on.
    pub(super) packet: Vec<u8>,
}

/// Asks the kernel to keep errors for `next`.
pub(super) fn enable(socket: &Socket, v6: bool) -> Result<(), Errno> {
    if v6 {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)
    } else {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)
    }
}

/// Takes the next entry; reading it also clears the socket's pending error.
pub(super) fn next(socket: &Socket) -> Option<Report> {
    let mut packet = [0_u8; PACKET_BYTES];
    let mut control = [0_u8; CONTROL_BYTES];
    let mut slices = [IoSliceMut::new(&mut packet)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).ok()?;
    let (bytes, to) = (message.bytes, message.address.as_ref().and_then(ip));
    let found = message.cmsgs().ok()?.find_map(|entry| match entry {
        ControlMessageOwned::Ipv4RecvErr(error, from) => {
            Some((error, from.map(|a| IpAddr::from(u32::from_be(a.sin_addr.s_addr).to_be_bytes()))))
        }
        ControlMessageOwned::Ipv6RecvErr(error, from) => {
            Some((error, from.map(|a| IpAddr::from(a.sin6_addr.s6_addr))))
        }
        _ => None,
    });
    let (error, from) = found?;
    let icmp = matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
    let errno = Errno::from_raw(i32::try_from(error.ee_errno).unwrap_or_default());
    Some(Report {
        errno,
        icmp,
        kind: (error.ee_type, error.ee_code),
        mtu: (errno == Errno::EMSGSIZE && error.ee_info > 0).then_some(error.ee_info),
        from: from.filter(|_| icmp),
        to,
        packet: packet[..bytes.min(PACKET_BYTES)].to_vec(),
    })
}

impl Report {
    /// The error of this host's own stack, if the queue has no entry for it.
    pub(super) fn local(errno: Errno) -> Self {
        Self { errno, icmp: false, kind: (0, 0), mtu: None, from: None, to: None, packet: Vec::new() }
    }

    /// The report in words: `10.0.0.1 says host unreachable (ICMP type 3 code 1)`.
    pub(super) fn message(&self) -> String {
        if !self.icmp {
            return self.errno.desc().to_lowercase();
        }
        let who = self.from.map_or_else(|| "a router".to_owned(), |ip| ip.to_string());
        let v6 = self.from.is_some_and(|ip| ip.is_ipv6());
        let (kind, code) = self.kind;
        let version = if v6 { "ICMPv6" } else { "ICMP" };
        format!("{who} says {} ({version} type {kind} code {code})", words(v6, kind, code))
    }
}

/// Names of the codes (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1; RFC 4443 3.1).
fn words(v6: bool, kind: u8, code: u8) -> &'static str {
    match (v6, kind, code) {
        (false, 3, 0 | 6 | 11) | (true, 1, 0) => "network unreachable",
        (false, 3, 1 | 7 | 12) | (true, 1, 3) => "host unreachable",
        (false, 3, 2) => "protocol unreachable",
        (false, 3, 3) | (true, 1, 4) => "port unreachable",
        (false, 3, 4) | (true, 2, _) => "packet too big",
        (false, 3, 9 | 10 | 13) | (true, 1, 1) => "prohibited by a filter",
        (true, 1, 5 | 6) => "rejected by policy",
        (false, 11, _) | (true, 3, _) => "time to live exceeded",
        (false, 12, _) | (true, 4, _) => "malformed packet",
        _ => "unreachable",
    }
}

/// The address inside a socket address of either version.
pub(super) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}
