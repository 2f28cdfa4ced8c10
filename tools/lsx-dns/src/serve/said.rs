//! What another server said about a name: only the records that belong to the question. Others could be made up, and would be
//! kept and given to everybody. Pure.

use super::quick::Body;
use crate::zone::{Owner, Rdata, Rr};
use domain::base::iana::{Rcode, Rtype};
use domain::base::name::FlattenInto;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, Ttl};
use domain::rdata::ZoneRecordData;
use std::sync::{Arc, OnceLock};

/// The longest chain of aliases.
const ALIASES: usize = 16;
/// The longest time for which records are kept (RFC 8767 4), and that for missing names (RFC 2308 5), in seconds.
const LONGEST: u32 = 86_400;
const MISSING: u32 = 3600;
/// What a record takes in memory besides its bytes, about.
const RECORD: usize = 192;

/// A question to other servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) name: Owner,
    pub(super) kind: Rtype,
    /// Whether signatures are wanted, and whether the server should not verify (RFC 4035 4.7).
    pub(super) secure: bool,
    pub(super) unchecked: bool,
}

/// An answer that can be kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) code: Rcode,
    /// The aliases that lead from the name to others, and the records at their end.
    pub(super) records: Vec<Rr>,
    /// Of a negative answer: why there is nothing, and for how long.
    pub(super) authority: Vec<Rr>,
    /// For how many seconds it can be kept.
    pub(super) ttl: u32,
    /// The reply with it, once it was written.
    pub(super) written: Written,
}

/// A reply with what another server said, when it was new. It does not matter when answers are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(pub(super) OnceLock<Arc<Body>>);

impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Said {
    /// No server answered; that is kept for a moment, too (RFC 9520 3.2).
    pub(super) fn failed(ttl: u32) -> Said {
        Said {
            code: Rcode::SERVFAIL,
            records: Vec::new(),
            authority: Vec::new(),
            ttl,
            written: Written::default(),
        }
    }

    /// From a reply; none if it does not answer the question, and another server should be asked.
    pub(super) fn read(theirs: &Message<Vec<u8>>, key: &Key) -> Option<Said> {
        let code = theirs.header().rcode();
        if code != Rcode::NOERROR && code != Rcode::NXDOMAIN {
            return None;
        }
        let answer = theirs.answer().ok()?;
        let authority = answer.next_section().ok()??;
        let (answer, authority) = (all(theirs.answer().ok()?)?, all(authority)?);
        let (mut records, end, found) = chain(&answer, key);
        let mut said =
            Said { code, records: Vec::new(), authority: Vec::new(), ttl: 0, written: Written::default() };
        let limit = |record: &mut Rr| record.set_ttl(record.ttl().min(Ttl::from_secs(LONGEST)));
        records.iter_mut().for_each(limit);
        let shortest = records.iter().map(|record| record.ttl().as_secs()).min();
        said.records = records;
        if found {
            said.ttl = shortest.unwrap_or(0);
            return (code == Rcode::NOERROR).then_some(said);
        }
        let missing = missing(&authority, &end, key);
        let referred = authority.iter().any(|record| record.rtype() == Rtype::NS);
        if missing.is_empty() && referred && said.records.is_empty() {
            return None; // It names servers to ask instead: it does not ask them itself.
        }
        // Without a SOA nothing says for how long (RFC 2308 5).
        let soa = missing.iter().filter(|record| record.rtype() == Rtype::SOA);
        said.ttl = soa.map(|soa| soa.ttl().as_secs()).min().unwrap_or(0).min(shortest.unwrap_or(LONGEST));
        said.authority = missing;
        Some(said)
    }

    /// What it takes in memory, about.
    pub(super) fn size(&self) -> usize {
        let of = |record: &Rr| {
            let bytes = record.owner().len() + usize::from(record.data().rdlen(false).unwrap_or(u16::MAX));
            RECORD + 2 * bytes // Also in the reply.
        };
        self.records.iter().chain(&self.authority).map(of).sum()
    }
}

/// The records of a section; none if one of them is damaged.
fn all(section: domain::base::message::RecordSection<'_, Vec<u8>>) -> Option<Vec<Rr>> {
    let mut all = Vec::new();
    for record in section {
        let record = record.ok()?.into_record::<ZoneRecordData<_, _>>().ok()??;
        all.push(record.try_flatten_into().ok()?);
    }
    Some(all)
}

/// The records of the name and of those that its aliases lead to, the name at the end, and whether it has the type.
fn chain(answer: &[Rr], key: &Key) -> (Vec<Rr>, Owner, bool) {
    let mut records: Vec<Rr> = Vec::new();
    let mut at = key.name.clone();
    for _ in 0..ALIASES {
        let of = |owner: &Owner, kind: Rtype| -> Vec<Rr> {
            let own = answer.iter().filter(|record| record.owner() == owner);
            own.filter(|record| record.rtype() == kind || key.secure && signs(record, kind))
                .cloned()
                .collect()
        };
        let own = of(&at, key.kind);
        if own.iter().any(|record| record.rtype() == key.kind) {
            records.extend(own);
            return (records, at, true);
        }
        // A name below one with DNAME is an alias, too (RFC 6672).
        let above = answer.iter().filter(|record| record.rtype() == Rtype::DNAME);
        let above = above.filter(|record| at.ends_with(record.owner()) && record.owner() != &at);
        let above = above.map(|record| record.owner()).next();
        let alias = of(&at, Rtype::CNAME);
        let target = alias.iter().find_map(|record| match record.data() {
            Rdata::Cname(alias) => Some(alias.cname().clone()),
            _ => None,
        });
        let Some(target) = target else { break };
        records.extend(above.map(|owner| of(owner, Rtype::DNAME)).unwrap_or_default());
        records.extend(alias);
        at = target;
    }
    (records, at, false)
}

fn signs(record: &Rr, kind: Rtype) -> bool {
    matches!(record.data(), Rdata::Rrsig(signature) if signature.type_covered() == kind)
}

/// The SOA of a zone that the name is in, with the time for which the name is missing; for clients that verify, the proof.
fn missing(authority: &[Rr], name: &Owner, key: &Key) -> Vec<Rr> {
    let soa = authority.iter().find(|record| record.rtype() == Rtype::SOA && name.ends_with(record.owner()));
    let Some(soa) = soa else { return Vec::new() };
    let mut own = soa.clone();
    if let Rdata::Soa(data) = soa.data() {
        own.set_ttl(soa.ttl().min(data.minimum()).min(Ttl::from_secs(MISSING)));
    }
    let proof = |record: &&Rr| {
        key.secure
            && matches!(record.rtype(), Rtype::NSEC | Rtype::NSEC3 | Rtype::RRSIG)
            && record.owner().ends_with(soa.owner())
    };
    [own].into_iter().chain(authority.iter().filter(proof).cloned()).collect()
}

#[cfg(test)]
mod tests;
