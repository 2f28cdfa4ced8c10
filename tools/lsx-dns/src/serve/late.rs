//! The reply to a message that was signed at another time: BADTIME, with the time of this server (RFC 8945 5.2.3). The crate
//! `domain` has one, but signs eight bytes for the six of that time, so no client believes it.

use domain::base::iana::{Class, Rcode, TsigRcode};
use domain::base::name::ToName;
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::Key;
use ring::hmac;

/// When a message was signed, and the code of its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Seconds since 1970.
    pub(super) at: u64,
    /// How far clocks may differ, as the message says.
    pub(super) fudge: u16,
    pub(super) mac: Vec<u8>,
}

/// The reply; empty if it cannot be written.
pub(super) fn reply(
    message: &Message<Vec<u8>>,
    (key, code): (&Key, &hmac::Key),
    stamp: &Stamp,
    now: u64,
) -> Vec<u8> {
    written(message, (key, code), stamp, now).unwrap_or_default()
}

fn written(
    message: &Message<Vec<u8>>,
    (key, code): (&Key, &hmac::Key),
    stamp: &Stamp,
    now: u64,
) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec().start_error(message, Rcode::NOTAUTH).additional();
    let (at, other) = (Time48::from_u64(stamp.at), Time48::from_u64(now).into_octets());
    let mut signing = hmac::Context::with_key(code);
    signing.update(&u16::try_from(stamp.mac.len()).ok()?.to_be_bytes());
    signing.update(&stamp.mac);
    signing.update(builder.as_slice());
    let mut names = Vec::new();
    key.name().compose_canonical(&mut names).ok()?;
    names.extend(Class::ANY.to_int().to_be_bytes());
    names.extend(0_u32.to_be_bytes()); // its TTL
    key.algorithm().to_name().compose_canonical(&mut names).ok()?;
    signing.update(&names);
    signing.update(&at.into_octets());
    signing.update(&stamp.fudge.to_be_bytes());
    signing.update(&TsigRcode::BADTIME.to_int().to_be_bytes());
    signing.update(&u16::try_from(other.len()).ok()?.to_be_bytes());
    signing.update(&other);
    let (mac, id) = (signing.sign(), message.header().id());
    let algorithm = key.algorithm().to_name();
    let data =
        Tsig::new(algorithm, at, stamp.fudge, mac.as_ref(), id, TsigRcode::BADTIME, other.as_slice()).ok()?;
    builder.push((key.name().clone(), Class::ANY, Ttl::ZERO, data)).ok()?;
    Some(builder.finish())
}
