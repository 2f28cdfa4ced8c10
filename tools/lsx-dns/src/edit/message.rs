//! The message of an update (RFC 2136), and what its reply says. Pure.

use super::change::{Item, Part};
use crate::zone::Owner;
use domain::base::iana::{Class, Opcode, Rcode, Rtype, TsigRcode};
use domain::base::message_builder::{PushError, RecordSectionBuilder};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{ClientTransaction, Key};
use std::sync::Arc;

/// An update that is signed, and what its reply is checked with.
pub(crate) struct Signed {
    pub(crate) bytes: Vec<u8>,
    id: u16,
    transaction: ClientTransaction<Arc<Key>>,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Rcode,
    /// The error in its signature.
    pub(crate) error: Option<TsigRcode>,
    /// Whether the signature is right.
    pub(crate) sure: bool,
}

/// The message of these changes. `id` is its number, `now` the time in seconds.
///
/// # Errors
/// What is wrong with a change, with its number; or that there is too much.
pub(super) fn write(
    zone: &Owner,
    items: &[Item],
    key: Arc<Key>,
    (id, now): (u16, u64),
) -> Result<Signed, String> {
    let (mut conditions, mut changes) = (Vec::new(), Vec::new());
    for (number, item) in items.iter().enumerate() {
        let part = item.part().map_err(|why| format!("change {}: {why}", number + 1))?;
        if item.is_condition() { conditions.push(part) } else { changes.push(part) }
    }
    compose(zone, (&conditions, &changes), key, (id, now))
}

/// The same of conditions and changes in the form of messages.
///
/// # Errors
/// That there is too much.
pub(crate) fn compose(
    zone: &Owner,
    (conditions, changes): (&[Part], &[Part]),
    key: Arc<Key>,
    (id, now): (u16, u64),
) -> Result<Signed, String> {
    let long = |_: PushError| "the update is longer than a message can be".to_owned();
    let mut builder = MessageBuilder::new_vec();
    builder.set_push_limit(usize::from(u16::MAX));
    builder.header_mut().set_id(id);
    builder.header_mut().set_opcode(Opcode::UPDATE);
    let mut builder = builder.question();
    builder.push((zone, Rtype::SOA, Class::IN)).map_err(long)?;
    let mut builder = builder.answer();
    conditions.iter().try_for_each(|part| push(&mut builder, part)).map_err(long)?;
    let mut builder = builder.authority();
    changes.iter().try_for_each(|part| push(&mut builder, part)).map_err(long)?;
    let mut builder = builder.additional();
    let transaction = ClientTransaction::request(key, &mut builder, Time48::from_u64(now)).map_err(long)?;
    Ok(Signed { bytes: builder.finish(), id, transaction })
}

fn push(to: &mut impl RecordSectionBuilder<Vec<u8>>, part: &Part) -> Result<(), PushError> {
    match part {
        Part::Whole(record) => to.push(record),
        Part::Data(owner, data) => to.push((owner, Class::NONE, Ttl::ZERO, data)),
        Part::Bare(owner, kind, class) => match UnknownRecordData::from_octets(*kind, [0; 0]) {
            Ok(data) => to.push((owner, *class, Ttl::ZERO, data)),
            Err(_) => Err(PushError::ShortBuf),
        },
    }
}

impl Signed {
    /// What a reply says; none if it is no reply to this.
    pub(crate) fn read(&self, bytes: Vec<u8>, now: u64) -> Option<Said> {
        let mut reply = Message::from_octets(bytes).ok()?;
        let header = reply.header();
        if !header.qr() || header.id() != self.id || header.opcode() != Opcode::UPDATE {
            return None;
        }
        let error = error(&reply).filter(|error| *error != TsigRcode::NOERROR);
        let sure = self.transaction.answer(&mut reply, Time48::from_u64(now)).is_ok();
        Some(Said { code: header.rcode(), error, sure })
    }
}

fn error(reply: &Message<Vec<u8>>) -> Option<TsigRcode> {
    let all = reply.additional().ok()?.limit_to::<Tsig<_, _>>();
    Some(all.last()?.ok()?.data().error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::keys::read;
    use crate::update::message;
    use crate::zone::name;

    const NOW: u64 = 1_800_000_000;

    fn key() -> Arc<Key> {
        Arc::new(read("one", b"MDEyMzQ1Njc4OWFiY2RlZg==").unwrap().keys().unwrap().remove(0))
    }

    #[test]
    fn what_is_written_is_what_a_server_reads() {
        let zone = name("internal").unwrap();
        let lines = [
            "unless a.internal CNAME",
            "add a.internal 60 A 192.0.2.1",
            "delete b.internal",
            "if c.internal TXT \"one two\"",
            "delete a.internal TXT x",
        ];
        let items: Vec<Item> = lines.iter().map(|line| Item::parse(line).unwrap()).collect();
        let signed = write(&zone, &items, key(), (7, NOW)).unwrap();
        let mut whole = Message::from_octets(signed.bytes.clone()).unwrap();
        let keys = [((key().name().clone(), key().algorithm()), key())].into();
        let keys: std::collections::HashMap<_, Arc<Key>> = keys;
        let at = Time48::from_u64(NOW);
        assert!(domain::tsig::ServerTransaction::request(&keys, &mut whole, at).unwrap().is_some());
        let asked = message::read(&whole, &[zone]).unwrap();
        assert_eq!((asked.prerequisites.len(), asked.changes.len()), (2, 3), "{asked:?}");
        assert!(matches!(&asked.changes[1], message::Asks::Clear(_, None)), "{asked:?}");
        // The server's own copy is no reply, and neither is one with another number.
        assert_eq!(signed.read(signed.bytes.clone(), NOW), None);
        let reply = MessageBuilder::new_vec().start_error(&whole, Rcode::YXDOMAIN).additional().finish();
        let said = signed.read(reply.clone(), NOW).unwrap();
        assert_eq!(said, Said { code: Rcode::YXDOMAIN, error: None, sure: false });
        let other = write(&name("internal").unwrap(), &items, key(), (8, NOW)).unwrap();
        assert_eq!(other.read(reply, NOW), None);
    }
}
