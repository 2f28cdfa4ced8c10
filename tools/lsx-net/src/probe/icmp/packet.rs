//! Echo packets as bytes: RFC 792 (IPv4) and RFC 4443 section 4 (IPv6); pure.

/// ICMP header of an echo: type, code, checksum, identifier, sequence number.
pub(in crate::probe) const HEADER_BYTES: usize = 8;
/// Bytes at the start of a payload that tell our echoes from everybody else's.
pub(super) const NONCE_BYTES: usize = 8;

/// The type of an echo request.
pub(super) fn request_type(v6: bool) -> u8 {
    if v6 { 128 } else { 8 }
}

/// The type of an echo reply.
pub(super) fn reply_type(v6: bool) -> u8 {
    if v6 { 129 } else { 0 }
}

/// Identifier and sequence number of an echo, and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo<'a> {
    pub(super) id: u16,
    pub(super) sequence: u16,
    pub(super) payload: &'a [u8],
}

/// An echo request. The IPv4 checksum is ours to compute; the kernel fills in that of IPv6,
/// which covers addresses we do not know yet.
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

/// The echo in a packet of the given type that begins at its ICMP header.
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

/// What follows the IPv4 header that raw sockets deliver (RFC 791: its length in 32-bit words).
pub(super) fn skip_ipv4_header(packet: &[u8]) -> &[u8] {
    let header = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    packet.get(header..).unwrap_or_default()
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
