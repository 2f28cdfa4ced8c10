//! The names of a server: those of the stack, and those of clients; and what an update changes (RFC 2136 3). Pure.

use super::keys::Who;
use super::leased::{LEASES, Lending};
use super::message::{Asked, Asks, Prerequisite};
use super::rules::Rules;
use crate::zone::{Owner, Rr};
use domain::base::iana::{Rcode, Rtype};
use domain::base::name::ToName;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The records of one name, and the number of names of clients.
const RECORDS: usize = 100;
const NAMES: usize = 100_000;
/// Above this number clients of DHCP get no further names, so that they leave some to others.
const LENT: usize = NAMES / 2;

/// What a client's name has.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The client.
    pub(crate) by: String,
    pub(crate) records: Vec<Rr>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        // Records are compared without their TTL.
        let ttls = |held: &Held| held.records.iter().map(|record| record.ttl()).collect::<Vec<_>>();
        self.by == other.by && self.records == other.records && ttls(self) == ttls(other)
    }
}

/// A name before and after an update.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) name: Owner,
    pub(crate) before: Option<Held>,
    pub(crate) after: Option<Held>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// The apexes of the zones.
    pub(crate) zones: Vec<Owner>,
    /// The records of the stack.
    pub(crate) fixed: HashMap<Owner, Vec<Rr>>,
    pub(crate) rules: Rules,
    /// Networks whose clients of DHCP have names.
    pub(crate) lending: Lending,
    /// The names of clients.
    pub(crate) live: BTreeMap<Owner, Held>,
}

/// What a client may do to a name of another one.
enum Against {
    /// Nothing: the update is refused, or this change is left out.
    Refused,
    Left,
    /// It is as if nobody had the name.
    Free,
    /// It may change or take it.
    Taken,
}

/// Names as an update changes them, one after the other.
type Draft = BTreeMap<Owner, Option<Held>>;

impl State {
    /// What a client's name has that counts: not what the stack has taken over, or a client that is gone has left.
    pub(crate) fn shown(&self, name: &Owner) -> Option<&Held> {
        let held = self.live.get(name)?;
        let known = match held.by.as_str() {
            LEASES => self.lending.has(name),
            client => self.rules.owner(client).is_some(),
        };
        (!self.fixed.contains_key(name) && known).then_some(held)
    }

    /// The same for answers: leases of this host are answered from what its DHCP server has written.
    pub(crate) fn answered(&self, name: &Owner) -> Option<&Held> {
        self.shown(name).filter(|held| held.by != LEASES || !self.lending.is_here(name))
    }

    /// The names of leases of this host that the journal has.
    pub(crate) fn lent(&self) -> BTreeMap<Owner, Vec<Rr>> {
        let own = self.live.iter().filter(|(name, held)| held.by == LEASES && self.lending.is_here(name));
        own.map(|(name, held)| (name.clone(), held.records.clone())).collect()
    }

    /// All records of a name.
    pub(crate) fn records(&self, name: &Owner) -> impl Iterator<Item = &Rr> {
        let live = self.shown(name).map(|held| &held.records);
        self.fixed.get(name).into_iter().chain(live).flatten()
    }

    /// Those that count for clients: a name that a client of DHCP has is free for them.
    fn taken(&self, name: &Owner) -> impl Iterator<Item = &Rr> {
        let live = self.shown(name).filter(|held| held.by != LEASES).map(|held| &held.records);
        self.fixed.get(name).into_iter().chain(live).flatten()
    }

    /// Whether a name is in a zone, and not in one below it.
    pub(crate) fn is_in(&self, name: &Owner, zone: &Owner) -> bool {
        let within = self.zones.iter().filter(|zone| name.ends_with(*zone));
        within.max_by_key(|zone| zone.len()).is_some_and(|inner| inner == zone)
    }

    /// What an update changes.
    ///
    /// # Errors
    /// The code of the reply: nothing is changed.
    pub(crate) fn decide(&self, who: &Who, asked: &Asked) -> Result<Vec<Change>, Rcode> {
        let mut allowed = Vec::new();
        for change in &asked.changes {
            match self.client(who, asked, change) {
                Some(client) => allowed.push((change, client)),
                // Another server may not have this document yet, or not know who has the name.
                None if who.serves => {}
                None => return Err(Rcode::REFUSED),
            }
        }
        self.holds(&asked.prerequisites)?;
        let mut draft = Draft::new();
        for (change, client) in allowed {
            let name = change.name();
            let held = draft.entry(name.clone()).or_insert_with(|| self.live.get(name).cloned());
            if let Some(other) = held.as_ref().filter(|held| held.by != client) {
                let adds = matches!(change, Asks::Add(_));
                match self.against(client, &other.by) {
                    Against::Refused => return Err(Rcode::REFUSED),
                    Against::Left => continue,
                    Against::Free if !adds => continue,
                    Against::Free | Against::Taken => {}
                }
                if adds {
                    *held = None;
                }
            }
            change.carry_out(client, held);
            if held.as_ref().is_some_and(|held| held.records.len() > RECORDS) {
                return Err(Rcode::REFUSED);
            }
        }
        let changed = draft.into_iter().filter_map(|(name, after)| {
            let before = self.live.get(&name).cloned();
            (before != after).then_some(Change { name, before, after })
        });
        let changes: Vec<Change> = changed.collect();
        let more = changes.iter().filter(|change| change.before.is_none()).count();
        let most = if who.serves { LENT } else { NAMES };
        if more > 0 && self.live.len() + more > most {
            return Err(Rcode::REFUSED);
        }
        Ok(changes)
    }

    /// What a client may do to a name of another one.
    fn against(&self, client: &str, other: &str) -> Against {
        let (own, theirs) = (self.rules.owner(client), self.rules.owner(other));
        match (client, other) {
            (LEASES, _) if theirs.is_some() => Against::Left,
            (_, LEASES) => Against::Free,
            _ if theirs.is_some_and(|theirs| own.is_none_or(|own| own >= theirs)) => Against::Refused,
            _ => Against::Taken,
        }
    }

    /// The client that may make a change.
    fn client<'w>(&self, who: &'w Who, asked: &Asked, change: &Asks) -> Option<&'w str> {
        let name = change.name();
        let delegated = |at: &Owner| {
            let records = self.fixed.get(at).into_iter().flatten();
            *at != asked.zone && records.into_iter().any(|record| record.rtype() == Rtype::NS)
        };
        let mut above = Some(name.clone());
        while let Some(at) = above.filter(|at| at.ends_with(&asked.zone)) {
            if delegated(&at) {
                return None;
            }
            above = at.parent().map(|parent| parent.to_vec());
        }
        if self.fixed.contains_key(name) {
            return None; // The stack's.
        }
        if who.serves {
            return self.lending.may(change).then_some(LEASES);
        }
        let types: BTreeSet<Rtype> = match change {
            Asks::Add(record) => [record.rtype()].into(),
            Asks::Delete(_, data) => [domain::base::rdata::RecordData::rtype(data)].into(),
            Asks::Clear(_, Some(kind)) => [*kind].into(),
            Asks::Clear(_, None) => self.taken(name).map(Rr::rtype).collect(),
        };
        self.rules.client(&who.clients, name, &types)
    }

    /// Whether the prerequisites hold (RFC 2136 3.2).
    fn holds(&self, all: &[Prerequisite]) -> Result<(), Rcode> {
        let mut sets: BTreeMap<(&Owner, Rtype), Vec<&Rr>> = BTreeMap::new();
        for one in all {
            match one {
                Prerequisite::Exists(name, kind, wanted) => {
                    let is = |record: &Rr| kind.is_none_or(|kind| record.rtype() == kind);
                    let there = self.taken(name).any(is);
                    match (there, wanted, kind) {
                        (false, true, None) => return Err(Rcode::NXDOMAIN),
                        (false, true, Some(_)) => return Err(Rcode::NXRRSET),
                        (true, false, None) => return Err(Rcode::YXDOMAIN),
                        (true, false, Some(_)) => return Err(Rcode::YXRRSET),
                        _ => {}
                    }
                }
                Prerequisite::Has(record) => {
                    sets.entry((record.owner(), record.rtype())).or_default().push(record);
                }
            }
        }
        for ((name, kind), wanted) in sets {
            let there: Vec<&Rr> = self.taken(name).filter(|record| record.rtype() == kind).collect();
            let within =
                |some: &[&Rr], all: &[&Rr]| some.iter().all(|a| all.iter().any(|b| a.data() == b.data()));
            if there.is_empty() || !within(&there, &wanted) || !within(&wanted, &there) {
                return Err(Rcode::NXRRSET);
            }
        }
        Ok(())
    }

    /// Carries out changes, or takes them back.
    pub(crate) fn apply(&mut self, changes: &[Change], back: bool) {
        for change in changes {
            match if back { &change.before } else { &change.after } {
                Some(held) => _ = self.live.insert(change.name.clone(), held.clone()),
                None => _ = self.live.remove(&change.name),
            }
        }
    }
}

impl Asks {
    /// Changes what a name has (RFC 2136 3.4.2).
    fn carry_out(&self, client: &str, held: &mut Option<Held>) {
        let records = held.as_mut().map(|held| std::mem::take(&mut held.records)).unwrap_or_default();
        let records = self.on(records);
        let by = held.as_ref().map_or(client, |held| &held.by).to_owned();
        *held = (!records.is_empty()).then_some(Held { by, records });
    }

    fn on(&self, mut records: Vec<Rr>) -> Vec<Rr> {
        match self {
            Asks::Clear(_, kind) => records.retain(|record| kind.is_some_and(|kind| record.rtype() != kind)),
            Asks::Delete(_, data) => records.retain(|record| record.data() != data),
            Asks::Add(new) => {
                // An alias is alone at its name: what does not go with it is left out without an error.
                let alias = new.rtype() == Rtype::CNAME;
                if records.iter().any(|record| (record.rtype() == Rtype::CNAME) != alias) {
                    return records;
                }
                records.retain(|record| !alias || record.data() == new.data());
                let same = records.iter_mut().filter(|record| record.rtype() == new.rtype());
                same.for_each(|record| record.set_ttl(new.ttl())); // one TTL (RFC 2181 5.2)
                if records.iter().all(|record| record.data() != new.data()) {
                    records.push(new.clone());
                }
            }
        }
        records
    }
}

#[cfg(test)]
mod tests;
