//! The netlink format: messages in a datagram, attributes in a message, the result in an answer.

use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer,
    NlasIterator,
};
use nix::errno::Errno;

/// `struct nlmsghdr` (linux/netlink.h).
pub(super) const HEADER: usize = 16;
/// `NLMSGERR_ATTR_MSG` (linux/netlink.h): the message of an extended acknowledgement.
const ATTR_MESSAGE: u16 = 1;

/// One netlink message in the receive buffer.
pub(super) struct Frame<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The meaning of a message.
pub(super) enum Answer<'a> {
    /// An object of a dump or a get: message type and body.
    Object(u16, &'a [u8]),
    /// The exchange is complete; `Err` has errno and the kernel's message.
    End(Result<(), (Errno, String)>),
    /// Padding of the protocol.
    Nothing,
}

/// The messages of one datagram, in order. A truncated one ends the iteration.
pub(super) fn frames(datagram: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(rest).ok()?;
        let length = message.length() as usize;
        let frame = Frame {
            kind: message.message_type(),
            flags: message.flags(),
            sequence: message.sequence_number(),
            payload: rest.get(HEADER..length)?,
        };
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(frame)
    })
}

/// Attributes of a message body or of a nested attribute: number (flags masked) and value.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).filter_map(|nla| {
        let (kind, length) = (nla.kind(), nla.length() as usize);
        nla.into_inner().get(4..length).map(|value| (kind, value))
    })
}

/// Rounds up to `NLMSG_ALIGNTO`.
pub(super) fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A native-endian `u32` attribute.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// A NUL-terminated string attribute; bytes that are not UTF-8 become U+FFFD.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

impl<'a> Frame<'a> {
    pub(super) fn answer(&self) -> Answer<'a> {
        match self.kind {
            NLMSG_NOOP => Answer::Nothing,
            NLMSG_OVERRUN => Answer::End(Err((Errno::ENOBUFS, String::new()))),
            NLMSG_ERROR => Answer::End(self.verdict(self.original())),
            NLMSG_DONE => Answer::End(self.verdict(4)),
            kind => Answer::Object(kind, self.payload),
        }
    }

    /// The start of the extended acknowledgement: after the code and the request that the kernel repeats (only its header
    /// if capped; `netlink_ack`, net/netlink/af_netlink.c).
    fn original(&self) -> usize {
        if self.flags & NLM_F_CAPPED != 0 {
            return 4 + HEADER;
        }
        let quoted = self.payload.get(4..8).and_then(number).unwrap_or_default();
        4 + aligned(quoted as usize)
    }

    fn verdict(&self, attributes_at: usize) -> Result<(), (Errno, String)> {
        let code = self.payload.get(..4).and_then(number).unwrap_or_default().cast_signed();
        if code >= 0 {
            return Ok(());
        }
        let mut message = String::new();
        if self.flags & NLM_F_ACK_TLVS != 0 {
            let extended = self.payload.get(attributes_at..).unwrap_or_default();
            message = attributes(extended)
                .find(|(kind, _)| *kind == ATTR_MESSAGE)
                .map_or(message, |(_, v)| text(v));
        }
        Err((Errno::from_raw(-code), message))
    }
}
