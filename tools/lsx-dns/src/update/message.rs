//! What an update asks for (RFC 2136 2 and 3). Pure.

use crate::zone::{Owner, Rdata, Rr};
use domain::base::Message;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::{FlattenInto, ToName};
use domain::base::record::ParsedRecord;
use domain::rdata::ZoneRecordData;

/// The records of one message.
const MOST: usize = 1000;
/// The first type that is no type of data (RFC 6895 3.1), and OPT.
const META: u16 = 128;
const LAST_META: u16 = 255;

/// An update.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// The apex of the zone.
    pub(crate) zone: Owner,
    pub(crate) prerequisites: Vec<Prerequisite>,
    pub(crate) changes: Vec<Asks>,
}

/// What must hold before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Prerequisite {
    /// The name has records, of a type if one is given; or it has none.
    Exists(Owner, Option<Rtype>, bool),
    /// The name has this record among exactly those of its type that the message lists.
    Has(Rr),
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asks {
    /// To add a record.
    Add(Rr),
    /// To delete a record.
    Delete(Owner, Rdata),
    /// To delete the records of a type, or all of the name.
    Clear(Owner, Option<Rtype>),
}

impl Asks {
    pub(crate) fn name(&self) -> &Owner {
        match self {
            Asks::Add(record) => record.owner(),
            Asks::Delete(name, _) | Asks::Clear(name, _) => name,
        }
    }
}

impl Prerequisite {
    fn name(&self) -> &Owner {
        match self {
            Prerequisite::Exists(name, _, _) => name,
            Prerequisite::Has(record) => record.owner(),
        }
    }
}

type Parsed<'m> = ParsedRecord<'m, Vec<u8>>;

/// Reads an update of one of these zones.
///
/// # Errors
/// The code of the reply.
pub(crate) fn read(message: &Message<Vec<u8>>, zones: &[Owner]) -> Result<Asked, Rcode> {
    let counts = message.header_counts();
    if counts.qdcount() != 1 || usize::from(counts.ancount()) + usize::from(counts.nscount()) > MOST {
        return Err(Rcode::FORMERR);
    }
    let zone = message.sole_question().map_err(|_| Rcode::FORMERR)?;
    if zone.qtype() != Rtype::SOA {
        return Err(Rcode::FORMERR);
    }
    let (apex, class): (Owner, Class) = (zone.qname().to_vec(), zone.qclass());
    if class != Class::IN || !zones.contains(&apex) {
        return Err(Rcode::NOTAUTH);
    }
    let answer = message.answer().map_err(|_| Rcode::FORMERR)?;
    let authority = message.authority().map_err(|_| Rcode::FORMERR)?;
    let prerequisites = all(answer, prerequisite)?;
    let changes = all(authority, change)?;
    let names = prerequisites.iter().map(Prerequisite::name).chain(changes.iter().map(Asks::name));
    for name in names {
        // A zone below this one is another zone.
        let inner =
            zones.iter().any(|other| other.ends_with(&apex) && *other != apex && name.ends_with(other));
        if !name.ends_with(&apex) || inner {
            return Err(Rcode::NOTZONE);
        }
    }
    Ok(Asked { zone: apex, prerequisites, changes })
}

fn all<T>(section: RecordSection<'_, Vec<u8>>, read: fn(Parsed<'_>) -> Option<T>) -> Result<Vec<T>, Rcode> {
    section.map(|record| record.ok().and_then(read).ok_or(Rcode::FORMERR)).collect()
}

fn prerequisite(record: Parsed<'_>) -> Option<Prerequisite> {
    if record.ttl().as_secs() != 0 {
        return None;
    }
    let (name, kind): (Owner, Rtype) = (record.owner().to_vec(), record.rtype());
    let of = (kind != Rtype::ANY).then_some(kind);
    match record.class() {
        class @ (Class::ANY | Class::NONE) if record.rdlen() == 0 && of.is_none_or(is_data) => {
            Some(Prerequisite::Exists(name, of, class == Class::ANY))
        }
        Class::IN if is_data(kind) => whole(record).map(Prerequisite::Has),
        _ => None,
    }
}

fn change(record: Parsed<'_>) -> Option<Asks> {
    let (name, kind): (Owner, Rtype) = (record.owner().to_vec(), record.rtype());
    let (bare, of) = (record.ttl().as_secs() == 0, (kind != Rtype::ANY).then_some(kind));
    match record.class() {
        Class::IN if is_data(kind) => whole(record).map(Asks::Add),
        Class::ANY if bare && record.rdlen() == 0 && of.is_none_or(is_data) => Some(Asks::Clear(name, of)),
        Class::NONE if bare && is_data(kind) => {
            whole(record).map(|record| Asks::Delete(name, record.into_data()))
        }
        _ => None,
    }
}

/// A record with its data.
fn whole(record: Parsed<'_>) -> Option<Rr> {
    let record = record.into_record::<ZoneRecordData<_, _>>().ok()??;
    record.try_flatten_into().ok()
}

fn is_data(kind: Rtype) -> bool {
    let number = kind.to_int();
    kind != Rtype::OPT && number != 0 && !(META..=LAST_META).contains(&number)
}
