//! Names that clients have made, beside those of the stack: what each view sees of them. A name never has both.

use super::{Owner, Rdata, Rr, Tables};
use crate::model::View;
use domain::base::name::ToName;
use domain::base::{Name, Serial};
use domain::rdata::Soa;
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A name without records, which exists since others are below it.
static EMPTY: Vec<Rr> = Vec::new();

/// What one view sees of the names of clients, or of those of DHCP.
#[derive(Debug, Default)]
pub(super) struct Live {
    names: HashMap<Owner, Vec<Rr>>,
    /// The number of names at or below a name.
    below: HashMap<Owner, usize>,
}

/// All names of one view.
#[derive(Clone, Copy)]
pub(super) struct Sight<'t> {
    pub(super) fixed: &'t HashMap<Owner, Vec<Rr>>,
    pub(super) live: &'t Live,
    pub(super) leased: &'t Live,
}

impl<'t> Sight<'t> {
    /// The records of a name; none if it does not exist.
    pub(super) fn get(self, name: &Name<[u8]>) -> Option<&'t Vec<Rr>> {
        match self.fixed.get(name) {
            Some(records) if !records.is_empty() => Some(records),
            found => {
                let live = self.live.names.get(name).or_else(|| self.leased.names.get(name)).or(found);
                let below = || [self.live, self.leased].iter().any(|live| live.below.contains_key(name));
                live.or_else(|| below().then_some(&EMPTY))
            }
        }
    }
}

impl Live {
    pub(super) fn has(&self, name: &Owner) -> bool {
        self.names.contains_key(name)
    }

    pub(super) fn set(&mut self, name: &Owner, records: Vec<Rr>) {
        let there = !records.is_empty();
        let was = if there {
            self.names.insert(name.clone(), records).is_some()
        } else {
            self.names.remove(name).is_some()
        };
        if was == there {
            return;
        }
        let mut at = Some(name.clone());
        while let Some(above) = at.filter(|above| !above.is_root()) {
            let count = self.below.entry(above.clone()).or_default();
            *count = if there { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.below.remove(&above);
            }
            at = above.parent().map(|parent| parent.to_vec());
        }
    }
}

impl Tables {
    /// Gives a client's name these records; none: the name is gone.
    pub fn set_name(&mut self, name: &Owner, records: &[Rr]) {
        self.version += 1;
        let (sights, live) = (&self.sights, &mut self.live);
        for (view, live) in sights.iter().zip(live) {
            let seen = records.iter().filter(|record| shows(sights, view, record)).cloned().collect();
            live.set(name, seen);
        }
        self.show_leases_beside(name);
    }

    /// Forgets all names of clients.
    pub fn clear_names(&mut self) {
        self.version += 1;
        self.live.iter_mut().for_each(|live| *live = Live::default());
        self.show_leases();
    }

    /// Another serial of the zones.
    pub fn set_serial(&mut self, serial: u32) {
        self.version += 1;
        for record in self.zones.values_mut() {
            *record = with_serial(record, serial);
        }
    }

    /// The SOA record of a zone.
    pub fn soa(&self, apex: &Owner) -> Option<&Rr> {
        self.zones.get(apex)
    }
}

/// A SOA record with another serial.
pub(crate) fn with_serial(record: &Rr, serial: u32) -> Rr {
    let Rdata::Soa(soa) = record.data() else { return record.clone() };
    let (server, contact) = (soa.mname().clone(), soa.rname().clone());
    let times = (soa.refresh(), soa.retry(), soa.expire(), soa.minimum());
    let next = Soa::new(server, contact, Serial(serial), times.0, times.1, times.2, times.3);
    Rr::new(record.owner().clone(), record.class(), record.ttl(), next.into())
}

/// Whether a view sees a record: one with an address of the stack only if it may reach it.
pub(super) fn shows(sights: &[View], view: &View, record: &Rr) -> bool {
    let address = match record.data() {
        Rdata::A(address) => Some(address.addr()),
        Rdata::Ptr(_) => reversed(record.owner()),
        _ => None,
    };
    let within = |nets: &[Ipv4Net], address: &Ipv4Addr| nets.iter().any(|net| net.contains(address));
    address.is_none_or(|address| {
        let ours = sights.iter().any(|view| within(&view.from, &address));
        !ours || within(&view.reach, &address)
    })
}

/// The address of a reverse name.
pub(crate) fn reversed(name: &Owner) -> Option<Ipv4Addr> {
    let text = name.to_string().to_ascii_lowercase();
    let mut octets = text.strip_suffix(".in-addr.arpa")?.split('.');
    let mut next = || octets.next()?.parse::<u8>().ok();
    let (d, c, b, a) = (next()?, next()?, next()?, next()?);
    Some(Ipv4Addr::new(a, b, c, d))
}
