//! A request to a part of the kernel other than rtnetlink, and its whole answer as bytes.

use std::io;

use netlink_packet_core::{Emitable, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader};
use netlink_sys::SocketAddr;
use nix::errno::Errno;

use super::wire::{self, Answer, HEADER};

/// Bytes of one datagram; the kernel fills a dump's up to 32 KiB.
const DATAGRAM: usize = 64 << 10;
/// How often a dump is repeated because it changed half-way, before it fails.
const TRIES: usize = 20;

/// Asks `protocol` for everything of `kind` that `body` selects; `each` makes a value from the bytes of an object.
///
/// # Errors
/// What the socket or the kernel refused.
pub(super) fn dump<T>(
    protocol: isize,
    kind: u16,
    body: &[u8],
    mut each: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Vec<T>> {
    for _ in 0..TRIES {
        let mut found = Vec::new();
        if converse(protocol, kind, NLM_F_DUMP, body, |object| found.extend(each(object)))? {
            return Ok(found);
        }
    }
    Err(Errno::EINTR.into())
}

/// Asks for one object.
///
/// # Errors
/// What the socket or the kernel refused.
pub(super) fn get<T>(
    protocol: isize,
    kind: u16,
    body: &[u8],
    mut each: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let mut found = None;
    converse(protocol, kind, netlink_packet_core::NLM_F_ACK, body, |object| found = each(object))?;
    Ok(found)
}

/// `false` means that the table changed during the answer.
fn converse(
    protocol: isize,
    kind: u16,
    flags: u16,
    body: &[u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<bool> {
    let mut socket = netlink_sys::Socket::new(protocol)?;
    socket.bind_auto()?;
    // Connected to the kernel: another process cannot put an answer into the queue.
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    (header.message_type, header.flags) = (kind, NLM_F_REQUEST | flags);
    let mut bytes = vec![0; HEADER];
    header.emit(&mut bytes);
    bytes.extend(body);
    socket.send(&bytes, 0)?;
    // Not filled with zeros, which would take longer than most answers.
    let mut datagram = Vec::with_capacity(DATAGRAM);
    let mut whole = true;
    loop {
        datagram.clear();
        match socket.recv(&mut datagram, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            received => received?,
        };
        for frame in wire::frames(&datagram) {
            whole &= frame.flags & NLM_F_DUMP_INTR == 0;
            match frame.answer() {
                Answer::Object(_, object) => each(object),
                Answer::End(verdict) => return verdict.map(|()| whole).map_err(|(errno, _)| errno.into()),
                Answer::Nothing => (),
            }
        }
    }
}
