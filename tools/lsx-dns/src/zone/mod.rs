//! The answers of a server, from its configuration. Pure.

mod answer;
mod data;
mod leased;
mod live;
mod local;
mod ready;

pub use answer::{Answer, Outcome};
pub(crate) use data::written;
pub use leased::Client;
pub(crate) use live::{reversed, with_serial};

use crate::model::{Config, Data, EXPIRE, REFRESH, RETRY, View};
use domain::base::iana::{Class, Rtype};
use domain::base::name::ToName;
use domain::base::{Name, Record, Serial, Ttl};
use domain::rdata::{Ns, Soa, ZoneRecordData};
use ipnet::Ipv4Net;
use leased::Leased;
use live::{Live, Sight};
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// A name. It is compared and hashed without regard to case (RFC 4343).
pub type Owner = Name<Vec<u8>>;
/// The data of a record.
pub type Rdata = ZoneRecordData<Vec<u8>, Owner>;
/// A record.
pub type Rr = Record<Owner, Rdata>;

/// All answers.
#[derive(Debug)]
pub struct Tables {
    /// The SOA record of each zone.
    zones: HashMap<Owner, Rr>,
    /// What each group of sources sees.
    views: Vec<HashMap<Owner, Vec<Rr>>>,
    /// What each sees of the names of clients, and whom the views are for.
    live: Vec<Live>,
    sights: Vec<View>,
    /// What each sees of the names of clients of DHCP, and the domain of the stack.
    leased: Leased,
    domain: Owner,
    /// The view of a source, the longest prefixes first.
    sources: Vec<(u8, HashMap<Ipv4Net, usize>)>,
    /// Servers for names below a domain.
    beyond: HashMap<Owner, Vec<Ipv4Addr>>,
    /// Servers for all other names.
    forward: Vec<Ipv4Addr>,
    /// TTL of negative answers.
    negative: Ttl,
    version: u64,
}

impl Tables {
    /// Of a configuration; `serial` is that of its zones.
    ///
    /// # Errors
    /// A name or a text that DNS does not allow.
    pub fn new(config: &Config, serial: u32) -> Result<Tables, String> {
        let negative = Ttl::from_secs(config.negative_ttl);
        let mut zones = HashMap::new();
        for apex in &config.zones {
            let apex = name(apex)?;
            zones.insert(apex.clone(), soa(&apex, config, serial)?);
        }
        let mut views = Vec::new();
        let mut prefixes: BTreeSet<u8> = BTreeSet::new();
        for view in &config.views {
            views.push(table(config, view, &zones)?);
            prefixes.extend(view.from.iter().map(Ipv4Net::prefix_len));
        }
        let of = |prefix: u8| {
            let all = config.views.iter().enumerate();
            let from = all.flat_map(|(i, view)| view.from.iter().map(move |net| (net.trunc(), i)));
            (prefix, from.filter(|(net, _)| net.prefix_len() == prefix).collect())
        };
        let beyond = config.beyond.iter().map(|(zone, servers)| Ok((name(zone)?, servers.clone())));
        Ok(Tables {
            zones,
            live: views.iter().map(|_| Live::default()).collect(),
            sights: config.views.clone(),
            leased: Leased::new(views.len()),
            domain: name(&config.domain)?,
            views,
            sources: prefixes.into_iter().rev().map(of).collect(),
            beyond: beyond.collect::<Result<_, String>>()?,
            forward: config.forward.clone(),
            negative,
            version: 0,
        })
    }

    /// Whether a source is one of the stack.
    pub fn knows(&self, source: Ipv4Addr) -> bool {
        self.view_of(source).is_some()
    }

    /// What a source sees; none for strangers.
    fn view(&self, source: Ipv4Addr) -> Option<Sight<'_>> {
        let at = self.view_of(source)?;
        let (fixed, live) = (self.views.get(at)?, self.live.get(at)?);
        Some(Sight { fixed, live, leased: self.leased.views.get(at)? })
    }

    /// The number of names of the stack that all views have.
    pub(crate) fn names(&self) -> usize {
        self.views.iter().map(HashMap::len).sum()
    }

    /// Whether a source sees a name itself, not by a wildcard.
    pub(crate) fn has(&self, source: Ipv4Addr, name: &Owner) -> bool {
        self.view(source).is_some_and(|view| view.get(name.for_slice()).is_some())
    }

    /// It rises with every change by clients.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The number of the view of a source; none for strangers.
    pub(crate) fn view_of(&self, source: Ipv4Addr) -> Option<usize> {
        let found = self.sources.iter().find_map(|(prefix, nets)| {
            let net = Ipv4Net::new(source, *prefix).ok()?.trunc();
            nets.get(&net)
        });
        found.copied()
    }
}

/// A name of the document.
pub(crate) fn name(text: &str) -> Result<Owner, String> {
    Name::vec_from_str(text).map_err(|e| format!("{text} is not a name: {e}"))
}

/// A record with this data.
///
/// # Errors
/// Data that DNS does not allow.
pub(crate) fn record_of(owner: Owner, ttl: u32, data: &Data) -> Result<Rr, String> {
    Ok(record(owner, ttl, data::of(data)?))
}

fn record(owner: Owner, ttl: u32, data: impl Into<Rdata>) -> Rr {
    Record::new(owner, Class::IN, Ttl::from_secs(ttl), data.into())
}

fn soa(apex: &Owner, config: &Config, serial: u32) -> Result<Rr, String> {
    let (server, contact) = (format!("ns.{}", config.domain), format!("hostmaster.{}", config.domain));
    let seconds = Ttl::from_secs;
    let data = Soa::new(
        name(&server)?,
        name(&contact)?,
        Serial(serial),
        seconds(REFRESH),
        seconds(RETRY),
        seconds(EXPIRE),
        seconds(config.negative_ttl),
    );
    Ok(record(apex.clone(), config.ttl, data))
}

/// The SOA of an empty zone that every server has for itself (RFC 6303 3).
fn soa_of(apex: &Owner, negative: Ttl) -> Option<Rr> {
    let contact = name("nobody.invalid").ok()?;
    let seconds = Ttl::from_secs;
    let (refresh, retry, expire) = (seconds(REFRESH), seconds(RETRY), seconds(EXPIRE));
    let data = Soa::new(apex.clone(), contact, Serial(1), refresh, retry, expire, negative);
    Some(record(apex.clone(), negative.as_secs(), data))
}

/// The names that a view sees; names between them and their zones exist without records (RFC 8020).
fn table(
    config: &Config,
    view: &View,
    zones: &HashMap<Owner, Rr>,
) -> Result<HashMap<Owner, Vec<Rr>>, String> {
    let mut all: HashMap<Owner, Vec<Rr>> = HashMap::new();
    let server = name(&format!("ns.{}", config.domain))?;
    for (apex, soa) in zones {
        let ns = record(apex.clone(), config.ttl, Ns::new(server.clone()));
        all.entry(apex.clone()).or_default().extend([soa.clone(), ns]);
    }
    for entry in config.records.iter().filter(|entry| view.sees(entry)) {
        let owner = name(&entry.name)?;
        let record = record(owner.clone(), entry.ttl.unwrap_or(config.ttl), data::of(&entry.data)?);
        if let Some(records) = all.get_mut(&owner) {
            if !records.contains(&record) {
                records.push(record);
            }
            continue;
        }
        // What is there has all names between itself and its zone already, and zones are.
        let above = answer::suffixes(&owner).skip(1).take_while(|name| !all.contains_key(*name));
        let above: Vec<Owner> = above.map(|name| name.to_vec()).collect();
        all.extend(above.into_iter().map(|name| (name, Vec::new())));
        all.insert(owner, vec![record]); // Most names have one record, and a vector that grows has room for four.
    }
    Ok(all)
}

/// Type and data of a record, as in zone files.
pub(crate) fn text(data: &crate::model::Data) -> Option<(String, String)> {
    data::text(data)
}

fn is(record: &Rr, kind: Rtype) -> bool {
    record.rtype() == kind
}
