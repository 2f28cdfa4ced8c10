//! Queries as nearly all clients ask them, read without copies: one question with the wish for recursion, and perhaps EDNS without
//! options. [`super::reply`] reads all others. Pure.

use crate::zone::Owner;
use domain::base::iana::Rtype;

/// The largest datagram: one that no link fragments (RFC 9715).
pub(super) const DATAGRAM: u16 = 1232;
/// The largest datagram without EDNS (RFC 1035 4.2.1).
pub(super) const PLAIN: u16 = 512;
/// The bytes of a header, and of an OPT record without options.
const HEAD: usize = 12;
const OPT: usize = 11;
/// The longest name (RFC 1035 2.3.4).
const NAME: usize = 255;
/// In the third and fourth byte of a message: recursion is wanted; the server should not verify; others have. And, in those of EDNS,
/// that signatures are wanted (RFC 1035 4.1.1, RFC 4035 3.2, RFC 3225).
const RD: u8 = 0x01;
const CD: u8 = 0x10;
const AD: u8 = 0x20;
const DO: u8 = 0x80;

/// One query.
pub(super) struct Quick<'q> {
    bytes: &'q [u8],
    /// The name in small letters, and the type.
    key: [u8; NAME + 2],
    /// The length of the name.
    name: usize,
    /// The size of datagrams that the client takes, if it has EDNS.
    edns: Option<u16>,
    pub(super) secure: bool,
}

impl<'q> Quick<'q> {
    /// None if it is a query of another form.
    pub(super) fn read(bytes: &'q [u8]) -> Option<Quick<'q>> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let [_, _, RD, flags, 0, 1, 0, 0, 0, 0, 0, extra @ 0..=1] = *head else { return None };
        if flags & !(AD | CD) != 0 {
            return None;
        }
        let mut key = [0; NAME + 2];
        let name = name_of(rest, &mut key)?;
        let (kind, rest) = rest.get(name..)?.split_first_chunk::<4>()?;
        let [high, low, 0, 1] = *kind else { return None };
        key[name..name + 2].copy_from_slice(&[high, low]);
        let mut quick = Quick { bytes, key, name, edns: None, secure: false };
        match (extra, rest) {
            (0, []) => {}
            (1, &[0, 0, 41, high, low, 0, 0, flags @ (0 | DO), 0, 0, 0]) => {
                quick.edns = Some(u16::from_be_bytes([high, low]).max(PLAIN));
                quick.secure = flags == DO;
            }
            _ => return None,
        }
        Some(quick)
    }

    /// What all queries for the same have in common: the name in small letters, and the type.
    pub(super) fn key(&self) -> &[u8] {
        &self.key[..self.name + 2]
    }

    pub(super) fn name(&self) -> Option<Owner> {
        Owner::from_octets(self.key[..self.name].to_vec()).ok()
    }

    pub(super) fn kind(&self) -> Rtype {
        Rtype::from_int(u16::from_be_bytes([self.key[self.name], self.key[self.name + 1]]))
    }

    pub(super) const fn has_edns(&self) -> bool {
        self.edns.is_some()
    }

    /// Whether the server should not verify.
    pub(super) const fn unchecked(&self) -> bool {
        self.bytes[3] & CD != 0
    }

    /// The question as it was asked, name, type and class.
    fn asked(&self) -> &[u8] {
        &self.bytes[HEAD..HEAD + self.name + 4]
    }
}

/// Copies a name in small letters; returns its length. The length of a label is less than any letter.
fn name_of(bytes: &[u8], to: &mut [u8; NAME + 2]) -> Option<usize> {
    let mut at = 0;
    loop {
        let label = *bytes.get(at)?;
        let next = at + 1 + usize::from(label);
        if label > 63 || next > NAME {
            return None;
        }
        let from = bytes.get(at..next)?;
        to[at..next].copy_from_slice(from);
        to[at..next].make_ascii_lowercase();
        at = next;
        if label == 0 {
            return Some(at);
        }
    }
}

/// A reply without what differs from client to client.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Box<[u8]>,
    /// Where the TTLs of its records are.
    ttls: Box<[u16]>,
}

impl Body {
    /// Of a reply to a query, `edns` if that had it; none if the reply was cut, or says more than records.
    pub(super) fn of(reply: &[u8], edns: bool) -> Option<Body> {
        let (head, _) = reply.split_first_chunk::<HEAD>()?;
        let cut = head[2] & 0x02 != 0;
        let missing_or_there = matches!(head[3] & 0x0f, 0 | 3);
        if cut || !missing_or_there || head[10..] != [0, u8::from(edns)] {
            return None;
        }
        let mut bytes = reply;
        if edns {
            let (records, opt) = reply.split_last_chunk::<OPT>()?;
            if opt[..3] != [0, 0, 41] || opt[9..] != [0, 0] {
                return None;
            }
            bytes = records;
        }
        let mut bytes: Box<[u8]> = bytes.into();
        bytes[10..HEAD].copy_from_slice(&[0, 0]);
        let ttls = ttls(&bytes)?;
        Some(Body { bytes, ttls })
    }

    /// Without the places of TTLs, which do not change then.
    pub(super) fn fixed(self) -> Body {
        Body { bytes: self.bytes, ttls: Box::default() }
    }

    /// Writes the reply to a query to the end of `out`, records being `age` seconds old; false if it is too large.
    pub(super) fn write(&self, quick: &Quick<'_>, age: u32, out: &mut Vec<u8>) -> bool {
        let size = quick.edns.map_or(PLAIN, |size| size.min(DATAGRAM));
        let length = self.bytes.len() + if quick.edns.is_some() { OPT } else { 0 };
        if length > usize::from(size) {
            return false;
        }
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let own = &mut out[start..];
        own[..2].copy_from_slice(&quick.bytes[..2]);
        own[3] = own[3] & !CD | quick.bytes[3] & CD;
        let asked = quick.asked();
        own[HEAD..HEAD + asked.len()].copy_from_slice(asked);
        for at in &self.ttls {
            let ttl = &mut own[usize::from(*at)..][..4];
            let left = ttl.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)).saturating_sub(age);
            ttl.copy_from_slice(&left.to_be_bytes());
        }
        if quick.edns.is_some() {
            own[11] = 1;
            let [high, low] = DATAGRAM.to_be_bytes();
            let flags = if quick.secure { DO } else { 0 };
            out.extend_from_slice(&[0, 0, 41, high, low, 0, 0, flags, 0, 0, 0]);
        }
        true
    }
}

/// Where the TTLs of the records of a message are, which has one question.
fn ttls(bytes: &[u8]) -> Option<Box<[u16]>> {
    let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let mut at = after_name(bytes, HEAD)? + 4;
    let mut ttls = Vec::new();
    for _ in 0..u32::from(number(6)?) + u32::from(number(8)?) {
        let ttl = after_name(bytes, at)? + 4;
        ttls.push(u16::try_from(ttl).ok()?);
        at = ttl + 6 + usize::from(number(ttl + 4)?);
    }
    (at == bytes.len()).then(|| ttls.into())
}

/// The end of a name.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            label => at += 1 + usize::from(label),
        }
    }
}
