//! Names that clients of DHCP tell: what each view sees of them. Nothing proves that such a name is the client's, so anybody else who
//! has the name comes first, and the client has none while that is so.

use super::live::{Live, shows};
use super::{Owner, Rr, Tables, name, record};
use domain::base::Name;
use domain::base::name::ToName;
use domain::rdata::{A, Ptr};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A client that has told a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: Ipv4Addr,
    /// TTL of its names.
    pub ttl: u32,
}

#[derive(Debug, Default)]
pub(super) struct Leased {
    /// The names that were told, also those that somebody else has.
    names: BTreeMap<Owner, Client>,
    /// What each view sees.
    pub(super) views: Vec<Live>,
}

impl Leased {
    pub(super) fn new(views: usize) -> Leased {
        Leased { names: BTreeMap::new(), views: (0..views).map(|_| Live::default()).collect() }
    }
}

impl Tables {
    /// The names of all clients that have a lease.
    pub fn set_leases(&mut self, all: BTreeMap<Owner, Client>) {
        let former = std::mem::replace(&mut self.leased.names, all);
        let names = &self.leased.names;
        let changed = |all: &BTreeMap<Owner, Client>, other: &BTreeMap<Owner, Client>| {
            let all = all.iter().filter(|(name, client)| other.get(*name) != Some(client));
            all.map(|(name, client)| (name.clone(), client.address)).collect::<Vec<_>>()
        };
        let (gone, new) = (changed(&former, names), changed(names, &former));
        if gone.is_empty() && new.is_empty() {
            return;
        }
        self.version += 1;
        for (name, address) in gone {
            self.lay(&name, &[]);
            reverse(address).iter().for_each(|name| self.lay(name, &[]));
        }
        new.iter().for_each(|(name, _)| self.show_lease(name));
    }

    /// The records of those that nobody else has, by name and by reverse name.
    pub fn lent(&self) -> BTreeMap<Owner, Rr> {
        let free = self.leased.names.keys().filter_map(|name| self.records_of_lease(name));
        let both = free.flat_map(|(own, back)| [own, back]);
        both.map(|record| (record.owner().clone(), record)).collect()
    }

    /// Shows all of them again, since other names have changed.
    pub(super) fn show_leases(&mut self) {
        let names: Vec<Owner> = self.leased.names.keys().cloned().collect();
        names.iter().for_each(|name| self.show_lease(name));
    }

    /// The same, when only this other name has changed.
    pub(super) fn show_leases_beside(&mut self, other: &Owner) {
        let wild = other.as_slice().starts_with(b"\x01*");
        if wild || other.parent().is_some_and(|above| above == self.domain) {
            self.show_leases();
        } else {
            self.show_lease(other);
        }
    }

    fn show_lease(&mut self, name: &Owner) {
        let Some(Client { address, .. }) = self.leased.names.get(name).copied() else { return };
        let Some(back) = reverse(address) else { return };
        let records = self.records_of_lease(name);
        let (own, reverse) = records.map(|(own, reverse)| (vec![own], vec![reverse])).unwrap_or_default();
        self.lay(name, &own);
        self.lay(&back, &reverse);
    }

    /// The records of a lease, forward and reverse; none while somebody else has the name.
    fn records_of_lease(&self, name: &Owner) -> Option<(Rr, Rr)> {
        let Client { address, ttl } = *self.leased.names.get(name)?;
        let back = reverse(address).filter(|_| self.is_free(name))?;
        Some((record(name.clone(), ttl, A::new(address)), record(back, ttl, Ptr::new(name.clone()))))
    }

    fn lay(&mut self, name: &Owner, records: &[Rr]) {
        let sights = &self.sights;
        for (view, live) in sights.iter().zip(&mut self.leased.views) {
            let seen = records.iter().filter(|record| shows(sights, view, record)).cloned().collect();
            live.set(name, seen);
        }
    }

    /// Whether nobody else has a name, in any view. Others look up short names in the network's domain first: so a client has none
    /// either that would hide one of the stack's own domain.
    fn is_free(&self, name: &Owner) -> bool {
        let (Some(first), Some(above)) = (name.iter().next(), name.parent()) else { return false };
        let label = |text: &[u8], above: &[u8]| {
            let length = u8::try_from(text.len()).unwrap_or_default();
            Name::<Vec<u8>>::from_octets([&[length], text, above].concat()).ok()
        };
        let star = label(b"*", above.as_slice());
        let short = label(first.as_slice(), self.domain.as_slice());
        [Some(name.clone()), star, short].into_iter().flatten().all(|name| !self.is_taken(&name))
    }

    fn is_taken(&self, name: &Owner) -> bool {
        let fixed = self.views.iter().any(|view| view.get(name).is_some_and(|records| !records.is_empty()));
        fixed || self.live.iter().any(|live| live.has(name))
    }
}

/// The reverse name of an address.
fn reverse(address: Ipv4Addr) -> Option<Owner> {
    let [a, b, c, d] = address.octets();
    Some(name(&format!("{d}.{c}.{b}.{a}.in-addr.arpa")).ok()?.to_vec())
}
