//! Names of clients of DHCP in the journal: the server on the host of their leases asks for them as a client does, with the key of the
//! stack's servers. Everybody else comes before them. Pure.

use super::message::Asks;
use crate::model::Named;
use crate::zone::{self, Owner, Rdata, Rr};
use domain::base::name::ToName;
use std::collections::{BTreeMap, BTreeSet};

/// Whose these names are in the journal. No client of the document has such a name.
pub(crate) const LEASES: &str = "_leases";

/// The networks whose clients have names.
#[derive(Debug, Default)]
pub(crate) struct Lending(Vec<(Named, Owner)>);

impl Lending {
    /// Of a configuration.
    ///
    /// # Errors
    /// A domain that is no name.
    pub(crate) fn new(networks: &[Named]) -> Result<Lending, String> {
        let one = |network: &Named| Ok((network.clone(), zone::name(&network.domain)?));
        networks.iter().map(one).collect::<Result<_, String>>().map(Lending)
    }

    /// The network of a name: directly in its domain, or that of one of its addresses.
    fn network(&self, name: &Owner) -> Option<&(Named, Owner)> {
        let above = name.parent().map(|above| above.to_vec());
        let address = zone::reversed(name);
        self.0.iter().find(|(network, domain)| {
            above.as_ref() == Some(domain) || address.is_some_and(|at| network.cidr.contains(&at))
        })
    }

    /// Whether it may be the name of a client at all.
    pub(crate) fn has(&self, name: &Owner) -> bool {
        self.network(name).is_some()
    }

    /// Whether its lease is on this host, whose server knows it better than the journal.
    pub(crate) fn is_here(&self, name: &Owner) -> bool {
        self.network(name).is_some_and(|(network, _)| !network.elsewhere)
    }

    /// Whether a change is one of such a name: to an address of its network, or back from there.
    pub(crate) fn may(&self, change: &Asks) -> bool {
        let Some((network, domain)) = self.network(change.name()) else { return false };
        match change {
            Asks::Clear(_, None) => true,
            Asks::Clear(..) | Asks::Delete(..) => false,
            Asks::Add(record) => match record.data() {
                Rdata::A(address) => {
                    zone::reversed(record.owner()).is_none() && network.cidr.contains(&address.addr())
                }
                Rdata::Ptr(target) => {
                    let above = target.ptrdname().parent().map(|above| above.to_vec());
                    zone::reversed(record.owner()).is_some() && above.as_ref() == Some(domain)
                }
                _ => false,
            },
        }
    }
}

/// The changes of one zone.
pub(crate) type Batch = (Owner, Vec<Asks>);

/// What makes the names of the journal those of this host's leases: changes of so many names at most, each of one zone.
pub(crate) fn changes(
    journal: &BTreeMap<Owner, Vec<Rr>>,
    leases: &BTreeMap<Owner, Rr>,
    (zones, most): (&[Owner], usize),
) -> Vec<Batch> {
    let same = |own: Option<&Vec<Rr>>, wanted: Option<&Rr>| match (own.map(Vec::as_slice), wanted) {
        (Some([own]), Some(wanted)) => own.data() == wanted.data() && own.ttl() == wanted.ttl(),
        (own, wanted) => own.is_none() && wanted.is_none(),
    };
    let names: BTreeSet<&Owner> = journal.keys().chain(leases.keys()).collect();
    let mut by_zone: BTreeMap<&Owner, Vec<&Owner>> = BTreeMap::new();
    for name in names.into_iter().filter(|name| !same(journal.get(*name), leases.get(*name))) {
        let within = zones.iter().filter(|zone| name.ends_with(*zone));
        let Some(zone) = within.max_by_key(|zone| zone.len()) else { continue };
        by_zone.entry(zone).or_default().push(name);
    }
    let asks = |name: &&Owner| {
        let clear = journal.contains_key(*name).then(|| Asks::Clear((*name).clone(), None));
        clear.into_iter().chain(leases.get(*name).cloned().map(Asks::Add)).collect::<Vec<_>>()
    };
    let batches = by_zone.iter().flat_map(|(zone, names)| {
        names.chunks(most).map(|some| ((*zone).clone(), some.iter().flat_map(asks).collect()))
    });
    batches.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Data;

    fn named(cidr: &str, domain: &str, elsewhere: bool) -> Named {
        Named { cidr: cidr.parse().unwrap(), domain: domain.to_owned(), ttl: 60, elsewhere }
    }

    fn record(name: &str, data: Data) -> Rr {
        zone::record_of(zone::name(name).unwrap(), 60, &data).unwrap()
    }

    fn a(name: &str, address: &str) -> Rr {
        record(name, Data::A(address.parse().unwrap()))
    }

    fn lending() -> Lending {
        Lending::new(&[
            named("10.0.0.0/24", "front.internal", false),
            named("10.0.1.0/24", "back.internal", true),
        ])
        .unwrap()
    }

    #[test]
    fn only_names_and_addresses_of_networks_with_dhcp_are_taken() {
        let lending = lending();
        let may = |record: Rr| lending.may(&Asks::Add(record));
        let ptr = |name: &str, to: &str| record(name, Data::Ptr(to.to_owned()));
        assert!(may(a("desk.front.internal", "10.0.0.7")));
        assert!(may(ptr("7.0.0.10.in-addr.arpa", "desk.front.internal")));
        for wrong in [
            a("desk.front.internal", "10.0.1.7"),
            a("desk.internal", "10.0.0.7"),
            a("a.desk.front.internal", "10.0.0.7"),
            a("front.internal", "10.0.0.7"),
            a("7.0.0.10.in-addr.arpa", "10.0.0.7"),
            ptr("7.0.0.10.in-addr.arpa", "desk.back.internal"),
            ptr("7.0.0.10.in-addr.arpa", "www.example"),
            ptr("7.2.0.10.in-addr.arpa", "desk.front.internal"),
            ptr("desk.front.internal", "desk.front.internal"),
            record("desk.front.internal", Data::Txt("text".to_owned())),
            record("desk.front.internal", Data::Cname("www.example".to_owned())),
        ] {
            assert!(!may(wrong.clone()), "{wrong:?}");
        }
        let name = |text: &str| zone::name(text).unwrap();
        assert!(lending.may(&Asks::Clear(name("desk.back.internal"), None)));
        assert!(!lending.may(&Asks::Clear(name("desk.internal"), None)));
        assert!(
            lending.is_here(&name("desk.front.internal")) && !lending.is_here(&name("desk.back.internal"))
        );
        assert!(lending.has(&name("7.1.0.10.in-addr.arpa")) && !lending.has(&name("internal")));
    }

    #[test]
    fn changes_make_the_journal_that_of_the_leases() {
        let zones = ["internal", "10.in-addr.arpa"].map(|zone| zone::name(zone).unwrap());
        let journal: BTreeMap<Owner, Vec<Rr>> = [
            a("old.front.internal", "10.0.0.1"),
            a("same.front.internal", "10.0.0.2"),
            a("moved.front.internal", "10.0.0.3"),
        ]
        .into_iter()
        .map(|record| (record.owner().clone(), vec![record]))
        .collect();
        let leases: BTreeMap<Owner, Rr> = [
            a("same.front.internal", "10.0.0.2"),
            a("moved.front.internal", "10.0.0.4"),
            record("4.0.0.10.in-addr.arpa", Data::Ptr("moved.front.internal".to_owned())),
            a("stray.example", "10.0.0.5"),
        ]
        .into_iter()
        .map(|record| (record.owner().clone(), record))
        .collect();
        let all = changes(&journal, &leases, (&zones, 1));
        let said: Vec<String> = all
            .iter()
            .map(|(zone, asks)| {
                let one = |ask: &Asks| match ask {
                    Asks::Add(record) => format!("+{}={}", record.owner(), record.data()),
                    other => format!("-{}", other.name()),
                };
                format!("{zone}: {}", asks.iter().map(one).collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert_eq!(
            said,
            [
                "10.in-addr.arpa: +4.0.0.10.in-addr.arpa=moved.front.internal.",
                "internal: -moved.front.internal +moved.front.internal=10.0.0.4",
                "internal: -old.front.internal",
            ]
        );
        let same = leases.iter().map(|(name, record)| (name.clone(), vec![record.clone()])).collect();
        assert!(changes(&same, &leases, (&zones, 9)).is_empty());
    }
}
