//! One answer: the records of a name, or why there are none (RFC 1034 4.3.2). Pure.

use super::{Owner, Rr, Sight, Tables, is, local, soa_of};
use domain::base::Name;
use domain::base::iana::{ExtendedErrorCode, Rcode, Rtype};
use domain::base::name::ToName;
use std::net::Ipv4Addr;

/// The longest chain of aliases.
const ALIASES: usize = 8;

/// An answer to one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The code.
    pub code: Rcode,
    /// Whether it is from zones of this server.
    pub own: bool,
    /// The records.
    pub records: Vec<Rr>,
    /// SOA of negative answers, or the name servers of a delegated zone.
    pub authority: Vec<Rr>,
    /// Why it was refused, for people (RFC 8914).
    pub why: Option<ExtendedErrorCode>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// This.
    Answer(Answer),
    /// What these servers say about a name, after these records.
    Forward {
        /// The aliases that led to the name.
        before: Vec<Rr>,
        /// The name.
        name: Owner,
        /// The servers.
        servers: Vec<Ipv4Addr>,
    },
}

impl Answer {
    fn refused(why: ExtendedErrorCode) -> Answer {
        let (records, authority) = (Vec::new(), Vec::new());
        Answer { code: Rcode::REFUSED, own: false, records, authority, why: Some(why) }
    }
}

/// What one name has.
enum Found<'t> {
    Records(Vec<Rr>),
    Alias(Rr, Owner),
    /// Without records of the type; the zone's SOA.
    Nothing(Rcode, &'t Rr),
    /// Delegated to these servers.
    Delegated(Vec<Rr>),
    /// In no zone of this server.
    Beyond,
}

impl Tables {
    /// The answer for a source. `recursive` says whether it asked for names of others, too.
    pub fn answer(&self, source: Ipv4Addr, name: &Owner, kind: Rtype, recursive: bool) -> Outcome {
        let refused = |why| Outcome::Answer(Answer::refused(why));
        let Some(view) = self.view(source) else { return refused(ExtendedErrorCode::PROHIBITED) };
        if matches!(kind, Rtype::ANY | Rtype::AXFR | Rtype::IXFR) {
            return refused(ExtendedErrorCode::NOT_SUPPORTED);
        }
        let mut records: Vec<Rr> = Vec::new();
        let mut name = name.clone();
        let answer = |code, own, records, authority| {
            Outcome::Answer(Answer { code, own, records, authority, why: None })
        };
        for _ in 0..ALIASES {
            match self.find(view, &name, kind) {
                Found::Records(more) => {
                    records.extend(more);
                    return answer(Rcode::NOERROR, true, records, Vec::new());
                }
                Found::Alias(alias, target) => {
                    records.push(alias);
                    name = target;
                }
                Found::Nothing(code, soa) => {
                    return answer(code, true, records, vec![self.negative(soa)]);
                }
                Found::Delegated(servers) => return answer(Rcode::NOERROR, false, records, servers),
                Found::Beyond => return self.beyond(records, name, kind, recursive),
            }
        }
        answer(Rcode::SERVFAIL, false, Vec::new(), Vec::new())
    }

    /// A name in no zone of this server.
    fn beyond(&self, before: Vec<Rr>, name: Owner, kind: Rtype, recursive: bool) -> Outcome {
        let own = !before.is_empty();
        let named = suffixes(&name).find_map(|suffix| self.beyond.get(suffix));
        let local = local::apex(&name).filter(|_| named.is_none());
        if let Some(apex) = local {
            let local_host = apex.to_string() == "localhost" && kind == Rtype::A;
            let mut records = before;
            let (code, authority) = if local_host {
                records.push(super::record(
                    name,
                    self.negative.as_secs(),
                    domain::rdata::A::new(Ipv4Addr::LOCALHOST),
                ));
                (Rcode::NOERROR, Vec::new())
            } else {
                let code = if name == apex { Rcode::NOERROR } else { Rcode::NXDOMAIN };
                (code, soa_of(&apex, self.negative).into_iter().collect())
            };
            return Outcome::Answer(Answer { code, own: true, records, authority, why: None });
        }
        let servers = named.unwrap_or(&self.forward).clone();
        if servers.is_empty() || !recursive {
            if !own {
                return Outcome::Answer(Answer::refused(ExtendedErrorCode::NOT_AUTHORITATIVE));
            }
            let (code, authority) = (Rcode::NOERROR, Vec::new());
            return Outcome::Answer(Answer { code, own, records: before, authority, why: None });
        }
        Outcome::Forward { before, name, servers }
    }

    /// The SOA of a negative answer: its TTL is that of the answer (RFC 2308 3).
    fn negative(&self, soa: &Rr) -> Rr {
        let mut soa = soa.clone();
        soa.set_ttl(self.negative.min(soa.ttl()));
        soa
    }

    fn find<'t>(&'t self, view: Sight<'t>, name: &Owner, kind: Rtype) -> Found<'t> {
        let zone = suffixes(name).find_map(|suffix| self.zones.get_key_value(suffix));
        let Some((apex, soa)) = zone else { return Found::Beyond };
        if kind == Rtype::SOA && name == apex {
            return Found::Records(vec![soa.clone()]); // Its serial rises with every update.
        }
        let inside = suffixes(name).take_while(|suffix| *suffix != apex);
        let servers = |at: &Name<[u8]>| -> Vec<Rr> {
            let all = view.get(at).into_iter().flatten();
            all.filter(|record| is(record, Rtype::NS)).cloned().collect()
        };
        if let Some(servers) = inside.map(servers).filter(|servers| !servers.is_empty()).last() {
            return Found::Delegated(servers);
        }
        if let Some(records) = view.get(name.for_slice()) {
            return of(records, name, kind, soa);
        }
        let encloser = suffixes(name).skip(1).find(|suffix| view.get(suffix).is_some());
        let star = encloser.and_then(|encloser| {
            let star = Name::<Vec<u8>>::from_octets([b"\x01*", encloser.as_slice()].concat()).ok()?;
            view.get(star.for_slice())
        });
        match star {
            Some(records) => of(records, name, kind, soa),
            None => Found::Nothing(Rcode::NXDOMAIN, soa),
        }
    }
}

/// The records of a type among those of a name; of a wildcard they get the name that was asked.
fn of<'t>(records: &[Rr], name: &Owner, kind: Rtype, soa: &'t Rr) -> Found<'t> {
    let named =
        |record: &Rr| super::Rr::new(name.clone(), record.class(), record.ttl(), record.data().clone());
    let found: Vec<Rr> = records.iter().filter(|record| is(record, kind)).map(named).collect();
    if !found.is_empty() {
        return Found::Records(found);
    }
    let alias = records.iter().find_map(|record| match record.data() {
        super::Rdata::Cname(alias) => Some((named(record), alias.cname().to_vec())),
        _ => None,
    });
    match alias {
        Some((record, target)) => Found::Alias(record, target),
        None => Found::Nothing(Rcode::NOERROR, soa),
    }
}

/// A name and all names above it, without the root.
pub(super) fn suffixes(name: &Owner) -> impl Iterator<Item = &Name<[u8]>> {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let from = at?;
        let length = usize::from(*name.as_slice().get(from)?);
        if length == 0 {
            at = None;
            return None;
        }
        at = Some(from + length + 1);
        Some(name.slice_from(from))
    })
}
