//! Permanent neighbour entries between interfaces. The kernel has one table for all namespaces
//! (net.ipv4.neigh.default.gc_thresh3, 1,024 entries by default), so a few dozen instances that communicate fill it, and
//! then no new neighbour can be resolved. Permanent entries are not counted (Linux 5.0) and are never evicted.

use crate::model::{Desired, Facts, Known, Neighbours, Object, Row, Weight};
use common::plan::{Have, Want, Warning};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Maximum number of entries per host and stack: 137 MB of kernel memory, at a measured 548 bytes per entry. 500 instances
/// on one network need 250,000.
const MOST: usize = 1 << 18;

/// The name of the router among interfaces.
pub const ROUTER: &str = "router";

type Rows = BTreeMap<String, Vec<Row>>;

/// Whether instances get entries for each other, or only gateways because there would be too many.
pub fn peers(desired: &Desired, rows: &Rows) -> bool {
    roomy(pairs(desired, rows))
}

/// Whether this number of pairs of interfaces on a host is allowed.
pub fn roomy(pairs: usize) -> bool {
    pairs <= MOST
}

fn pairs(desired: &Desired, rows: &Rows) -> usize {
    desired.nics.iter().map(|nic| rows.get(&nic.network).map_or(0, Vec::len)).sum()
}

/// The entries of an interface: every address of its network but its own.
pub fn entries<'a>(
    rows: &'a [Row],
    at: &'a str,
    own: &'a str,
    peers: bool,
) -> impl Iterator<Item = (Ipv4Addr, &'a str)> {
    let worth = move |row: &&Row| {
        let known = peers || at == ROUTER || row.owner.starts_with("host/");
        known && row.mac != own && !row.address.is_unspecified()
    };
    rows.iter().filter(worth).map(|row| (row.address, row.mac.as_str()))
}

/// The digest of entries.
pub(crate) fn weigh<'a>(entries: impl Iterator<Item = (Ipv4Addr, &'a str)>) -> Weight {
    let mut weight = Weight::default();
    entries.for_each(|(address, mac)| weight.add(&format!("neighbour {address} {mac}")));
    weight
}

/// The digest of all entries of a network.
pub fn digest(rows: &[Row]) -> String {
    weigh(rows.iter().map(|row| (row.address, row.mac.as_str()))).digest()
}

/// The networks whose interfaces lack entries: existing and wanted ones. Interfaces created in the same run get them on
/// creation.
pub(super) fn strange(desired: &Desired, seen: &Facts, rows: &Rows) -> Vec<(Have<Object>, Want<Object>)> {
    let peers = peers(desired, rows);
    let one = |network: &crate::model::Network| {
        let rows = rows.get(&network.name).map(Vec::as_slice).unwrap_or_default();
        let places = places(desired, seen, &network.name);
        let wanted: Vec<Weight> =
            places.iter().map(|(at, own)| weigh(entries(rows, &at.at, own, peers))).collect();
        let differ = |((at, _), wanted): (&(Known, String), &Weight)| at.digest != wanted.digest();
        if !places.iter().zip(&wanted).any(differ) {
            return None;
        }
        let object = |count, digest| {
            Object::Neighbours(Neighbours { network: network.name.clone(), peers, count, digest })
        };
        let key = format!("neighbours:{}", network.name);
        let there = object(places.iter().map(|(at, _)| at.count).sum(), String::new());
        let object = object(wanted.iter().map(|w| w.count).sum(), digest(rows));
        let needs = vec![format!("bridge:{}", network.name), format!("leg:{}", network.name)];
        let why = format!("interfaces of {} know each other without ARP", network.name);
        Some((Have { key: key.clone(), object: there, needs: Vec::new() }, Want { key, object, needs, why }))
    };
    desired.networks.iter().filter_map(one).collect()
}

/// The observed interfaces of a network, each with its own hardware address. If the host has lost its intent, it could not
/// observe them; then all count as having no entries.
fn places(desired: &Desired, seen: &Facts, network: &str) -> Vec<(Known, String)> {
    let nics = desired.nics.iter().filter(|n| n.network == network);
    let legs = desired.networks.iter().filter(|n| n.name == network).filter_map(|n| n.leg.as_ref());
    let own = nics
        .map(|n| (format!("{}.{}", n.instance, n.name), n.mac.clone()))
        .chain(legs.map(|leg| (ROUTER.to_owned(), leg.mac.clone())));
    let blank = |at: &str| {
        let there = seen.intent.is_none() && seen.attached.iter().any(|a| a.name == at);
        let (network, digest) = (network.to_owned(), Weight::default().digest());
        there.then(|| Known { network, at: at.to_owned(), count: 0, digest })
    };
    let known = |at: &str| seen.known.iter().find(|k| k.network == network && k.at == at).cloned();
    own.filter_map(|(at, mac)| Some((known(&at).or_else(|| blank(&at))?, mac))).collect()
}

/// The warning for too many instances on a host.
pub(super) fn crowded(desired: &Desired, rows: &Rows) -> Option<Warning> {
    let pairs = pairs(desired, rows);
    (!roomy(pairs)).then(|| Warning {
        code: "net.neighbours".to_owned(),
        message: format!(
            "{}: the interfaces here would need {pairs} neighbour entries, but lsx writes at most {MOST}: only entries for gateways are written. \
             Other entries need room in the kernel's table, which all namespaces of the host share: \
             sysctl -w net.ipv4.neigh.default.gc_thresh3={pairs} net.ipv4.neigh.default.gc_thresh2={pairs}",
            desired.host
        ),
    })
}
