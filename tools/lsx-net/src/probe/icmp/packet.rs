//! Echo packets as bytes: RFC 792 (IPv4) and RFC 4443 section 4 (IPv6); pure.

/// ICMP header of an echo: type, code, checksum, identifier, sequence number.
pub(in crate::probe) const HEADER_BYTES: usize = 8;
/// Bytes at the start of a payload that identify our echo requests.
pub(super) const NONCE_BYTES: usize = 8;

/// The type of an echo request.
pub(super) fn request_type(v6: bool) -> u8 {
    if v6 { 128 } else { 8 }
}

/// The type of an echo reply.
pub(super) fn reply_type(v6: bool) -> u8 {
    if v6 { 129 } else { 0 }
}

/// Identifier and sequence number of an echo, and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo<'a> {
    pub(super) id: u16,
    pub(super) sequence: u16,
    pub(super) payload: &'a [u8],
}

/// An echo request. The IPv4 checksum is computed here; the kernel fills in that of IPv6, which covers addresses that are
/// not known yet.
pub(super) fn request(v6: bool, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER_BYTES + payload.len());
    packet.extend([request_type(v6), 0, 0, 0]);
    packet.extend(id.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    if !v6 {
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

/// The echo in a packet of the given type, starting at its ICMP header.
pub(super) fn parse(kind: u8, packet: &[u8]) -> Option<Echo<'_>> {
    match packet {
        [t, 0, _, _, i1, i2, s1, s2, payload @ ..] if *t == kind => Some(Echo {
            id: u16::from_be_bytes([*i1, *i2]),
            sequence: u16::from_be_bytes([*s1, *s2]),
            payload,
        }),
        _ => None,
    }
}

/// The data after the IPv4 header that raw sockets deliver (RFC 791: its length in 32-bit words).
pub(super) fn skip_ipv4_header(packet: &[u8]) -> &[u8] {
    let header = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    packet.get(header..).unwrap_or_default()
}

/// Identifies the echoes of one socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ours {
    pub(super) v6: bool,
    /// Whether IPv4 packets arrive with their header: on raw sockets.
    pub(super) raw: bool,
    pub(super) id: u16,
    /// The start of every payload, so that replies to other processes are not accepted.
    pub(super) nonce: [u8; NONCE_BYTES],
}

impl Ours {
    /// The reply to one of our requests in a packet from the socket.
    pub(super) fn reply<'a>(&self, packet: &'a [u8]) -> Option<Echo<'a>> {
        let packet = if self.raw && !self.v6 { skip_ipv4_header(packet) } else { packet };
        parse(reply_type(self.v6), packet).filter(|echo| self.sent(echo))
    }

    /// The sequence number of a request returned in an ICMP error, if it is ours.
    pub(super) fn returned(&self, packet: &[u8]) -> Option<u16> {
        parse(request_type(self.v6), packet).filter(|echo| self.sent(echo)).map(|echo| echo.sequence)
    }

    fn sent(&self, echo: &Echo) -> bool {
        let known = echo.payload.len().min(NONCE_BYTES);
        echo.id == self.id && echo.payload.get(..known) == self.nonce.get(..known)
    }
}

/// A payload of the given length: the nonce as far as it fits, then counting bytes as ping sends.
pub(super) fn payload(nonce: [u8; NONCE_BYTES], size: usize) -> Vec<u8> {
    let counting = (NONCE_BYTES..).map(|i| i.to_le_bytes()[0]);
    nonce.into_iter().chain(counting).take(size).collect()
}

/// The Internet checksum (RFC 1071).
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
        [high] => u64::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};

    /// A reply, or a request in an error, with damaged bytes: half of them in the headers.
    fn packet(ours: Ours, dice: &mut Dice) -> Vec<u8> {
        let size = [0, 1, 7, 8, 9, 56, 1472][dice.below(7)];
        let mut echo = request(ours.v6, ours.id, 7, &payload(ours.nonce, size));
        if dice.below(2) == 0 {
            echo[0] = reply_type(ours.v6);
        }
        let header = if ours.raw && !ours.v6 { [20, 24, 60][dice.below(3)] } else { 0 };
        let mut bytes = vec![0_u8; header];
        if let Some(first) = bytes.first_mut() {
            *first = 0x40 | u8::try_from(header / 4).unwrap();
        }
        bytes.extend(echo);
        for _ in 0..dice.below(3) {
            let end = if dice.below(2) == 0 { bytes.len().min(header + 24) } else { bytes.len() };
            match dice.below(3) {
                0 => bytes.truncate(dice.below(bytes.len() + 1)),
                1 => bytes.insert(dice.below(end + 1), [0, 0x4f, 0xff][dice.below(3)]),
                _ if end > 0 => bytes[dice.below(end)] ^= 1 << dice.below(8),
                _ => {}
            }
        }
        bytes
    }

    #[test]
    fn soak_net_icmp() {
        let ours = |v6, raw| Ours { v6, raw, id: 0x1234, nonce: *b"lsxnonce" };
        let all = [ours(false, true), ours(false, false), ours(true, true)];
        let make = |dice: &mut Dice| {
            let kind = dice.below(all.len());
            let mut input = packet(all[kind], dice);
            input.insert(0, u8::try_from(kind).unwrap());
            input
        };
        soak("net-icmp", 20_000, 25, make, |input| {
            let (kind, bytes) = input.split_first().unwrap();
            let ours = all[usize::from(*kind)];
            let reply = ours.reply(bytes);
            if let Some(echo) = reply {
                // An accepted reply is at the end of the packet, after our identifier.
                let header = bytes.len() - echo.payload.len() - HEADER_BYTES;
                assert!(bytes.ends_with(echo.payload) && header <= 60, "{bytes:?}");
                assert_eq!(bytes[header + 4..header + 6], ours.id.to_be_bytes(), "{bytes:?}");
                assert!(ours.nonce.starts_with(&echo.payload[..echo.payload.len().min(NONCE_BYTES)]));
            }
            reply.is_some() || ours.returned(bytes).is_some()
        });
    }
}
