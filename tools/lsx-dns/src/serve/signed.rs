//! Signed messages (RFC 8945): the signature of a query is checked and removed, and its reply is signed with the same key.

use super::late::{self, Stamp};
use crate::update::keys::{Keys, Who};
use crate::update::replay::{FUDGE, Signed};
use common::document;
use domain::base::iana::{Rcode, TsigRcode};
use domain::base::name::ToName;
use domain::base::{Message, MessageBuilder, StaticCompressor};
use domain::rdata::AllRecordData;
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{Key, ServerSequence, ServerTransaction};
use ring::hmac;
use std::sync::Arc;

/// The bytes from the end of a signature without data to its error (RFC 8945 4.2).
const ERROR: usize = 4;

/// The right signature of a query.
pub(super) struct Signature {
    transaction: ServerTransaction<Arc<Key>>,
    stamp: Stamp,
    code: hmac::Key,
    pub(super) who: Who,
}

/// What a message is.
pub(super) enum Opened {
    /// It has no signature.
    Plain,
    /// Its signature was right, and is removed.
    Signed(Box<Signature>),
    /// Its signature was wrong: the reply.
    Wrong(Vec<u8>),
}

/// Checks and removes the signature of a message. `now` is the time in seconds.
pub(super) fn open(keys: &Keys, message: &mut Message<Vec<u8>>, now: u64) -> Opened {
    let Some((stamp, name)) = found(message) else { return Opened::Plain };
    // The crate checks the time as the message allows it, which may be more than this server does.
    let fudge = FUDGE.min(stamp.fudge.into());
    let checked = if stamp.at.abs_diff(now) > fudge { stamp.at } else { now };
    match ServerTransaction::request(&keys.all, message, Time48::from_u64(checked)) {
        Ok(Some(transaction)) => {
            let key = transaction.key();
            let Some(code) = keys.codes.get(&(key.name().clone(), key.algorithm())) else {
                return Opened::Wrong(Vec::new()); // Each key has one.
            };
            if checked != now {
                return Opened::Wrong(late::reply(message, (key, code), &stamp, now));
            }
            let (who, code) = (keys.who(&name), code.clone());
            Opened::Signed(Box::new(Signature { transaction, stamp, code, who }))
        }
        Ok(None) => Opened::Plain,
        Err(error) => {
            let wrong = error.error();
            let builder = MessageBuilder::new_vec();
            let Ok(reply) = error.build_message(message, builder) else { return Opened::Wrong(Vec::new()) };
            let mut bytes = reply.finish();
            // The crate says FORMERR for a code that does not fit, with NOTAUTH as for others (RFC 8945 5.2.2).
            let at = bytes.len().saturating_sub(ERROR);
            let code = Message::from_octets(bytes.clone()).map(|reply| reply.header().rcode());
            if wrong == TsigRcode::FORMERR && code.is_ok_and(|code| code == Rcode::NOTAUTH) {
                bytes[at..at + 2].copy_from_slice(&TsigRcode::BADSIG.to_int().to_be_bytes());
            }
            Opened::Wrong(bytes)
        }
    }
}

/// The signature in a message, unchecked, and the name of its key.
fn found(message: &Message<Vec<u8>>) -> Option<(Stamp, crate::zone::Owner)> {
    let mut all = message.additional().ok()?.limit_to::<Tsig<_, _>>();
    let record = all.next()?;
    // A damaged one is found, too: then the answer is the error.
    let none = || (Stamp { at: 0, fudge: 0, mac: Vec::new() }, crate::zone::Owner::root_vec());
    let Ok(record) = record else { return Some(none()) };
    let data = record.data();
    let (at, fudge, mac) = (data.time_signed().into(), data.fudge(), data.mac_slice().to_vec());
    Some((Stamp { at, fudge, mac }, record.owner().to_vec()))
}

impl Signature {
    /// The bytes that a signature adds to a reply.
    pub(super) fn room(&self) -> usize {
        usize::from(self.transaction.key().compose_len())
    }

    /// By which an update counts once.
    pub(super) fn signed(&self) -> Signed {
        Signed { at: self.stamp.at, mac: document::hex(&self.stamp.mac) }
    }

    /// The reply to a message whose time is not accepted.
    pub(super) fn late(&self, message: &Message<Vec<u8>>, now: u64) -> Vec<u8> {
        late::reply(message, (self.transaction.key(), &self.code), &self.stamp, now)
    }

    /// For the messages of a transfer.
    pub(super) fn sequence(self) -> ServerSequence<Arc<Key>> {
        self.transaction.into()
    }

    /// A reply with its signature; empty if it cannot be signed.
    pub(super) fn sign(self, reply: &[u8], now: u64) -> Vec<u8> {
        copied(reply, |mut builder| {
            self.transaction.answer(&mut builder, Time48::from_u64(now)).ok()?;
            Some(builder.finish().into_target())
        })
        .unwrap_or_default()
    }
}

type Builder = domain::base::message_builder::AdditionalBuilder<StaticCompressor<Vec<u8>>>;

/// The same message again, with room for one more record.
fn copied<R>(bytes: &[u8], then: impl FnOnce(Builder) -> Option<R>) -> Option<R> {
    let message = Message::from_octets(bytes.to_vec()).ok()?;
    let target = StaticCompressor::new(Vec::with_capacity(bytes.len() + 128));
    let mut builder = MessageBuilder::from_target(target).ok()?;
    *builder.header_mut() = message.header();
    let mut builder = builder.question();
    for question in message.question() {
        builder.push(question.ok()?).ok()?;
    }
    let mut builder = builder.answer();
    for record in message.answer().ok()? {
        builder.push(record.ok()?.into_any_record::<AllRecordData<_, _>>().ok()?).ok()?;
    }
    let mut builder = builder.authority();
    for record in message.authority().ok()? {
        builder.push(record.ok()?.into_any_record::<AllRecordData<_, _>>().ok()?).ok()?;
    }
    let mut builder = builder.additional();
    for record in message.additional().ok()? {
        builder.push(record.ok()?.into_any_record::<AllRecordData<_, _>>().ok()?).ok()?;
    }
    then(builder)
}
