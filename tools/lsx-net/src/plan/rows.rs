//! The forwarding table that all hosts share, and each host's part of it.

use crate::model::{Desired, Network, Row, Weight};
use common::document;
use common::stack::resolved::Resolved;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The shared data of a plan: rows by network. A step names its network and digest, since a row for every host would make
/// millions for a hundred hosts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Data {
    /// By network, in the order of addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, Vec<Row>>,
    /// The places of secrets on the operator's machine, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// The table of a stack: the location of every interface and leg.
pub(super) fn table(resolved: &Resolved) -> BTreeMap<String, Vec<Row>> {
    let address: BTreeMap<&str, Ipv4Addr> =
        resolved.hosts.iter().map(|h| (h.name.as_str(), h.address)).collect();
    let mut rows = Vec::new();
    for instance in &resolved.instances {
        let Some(remote) = address.get(instance.host.as_str()) else { continue };
        rows.extend(instance.nics.iter().map(|nic| Row {
            network: nic.network.clone(),
            address: nic.address.addr(),
            mac: nic.mac.clone(),
            remote: *remote,
            owner: instance.name.clone(),
        }));
    }
    for network in &resolved.networks {
        rows.extend(network.legs.iter().filter_map(|leg| {
            let remote = *address.get(leg.host.as_str())?;
            let (network, mac, owner) = (network.name.clone(), leg.mac.clone(), format!("host/{}", leg.host));
            Some(Row { network, address: leg.address, mac, remote, owner })
        }));
    }
    by_network(&rows)
}

/// Rows by network, sorted.
pub fn by_network(rows: &[Row]) -> BTreeMap<String, Vec<Row>> {
    let mut all: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        all.entry(row.network.clone()).or_default().push(row.clone());
    }
    all.values_mut().for_each(|rows| rows.sort());
    all
}

/// The entries for a row, on every host but its own.
fn of(row: &Row, flood: bool) -> impl Iterator<Item = String> {
    let forward = format!("forward {} {}", row.mac, row.remote);
    let neighbour = (!flood).then(|| format!("neighbour {} {}", row.address, row.mac));
    std::iter::once(forward).chain(neighbour)
}

/// The entries of a network on a host.
pub fn lines(rows: &[Row], me: Ipv4Addr, flood: bool) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> =
        rows.iter().filter(|r| r.remote != me).flat_map(|r| of(r, flood)).collect();
    if flood {
        lines.extend(rows.iter().filter(|r| r.remote != me).map(|r| format!("flood {}", r.remote)));
    }
    lines
}

/// The weights of one network: of all rows, and of those of each host.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    all: Weight,
    own: BTreeMap<Ipv4Addr, Weight>,
    hosts: BTreeSet<Ipv4Addr>,
}

impl Weights {
    pub(super) fn of(rows: &[Row], flood: bool) -> Weights {
        let mut weights = Weights::default();
        for row in rows {
            let mut one = Weight::default();
            of(row, flood).for_each(|line| one.add(&line));
            weights.all = weights.all.plus(one);
            let own = weights.own.entry(row.remote).or_default();
            *own = own.plus(one);
            weights.hosts.insert(row.remote);
        }
        weights
    }

    /// A host's part: everything but its own rows.
    pub(super) fn share(&self, me: Ipv4Addr, flood: bool) -> Weight {
        let own = self.own.get(&me).copied().unwrap_or_default();
        let mut share = self.all.less(own);
        for host in self.hosts.iter().filter(|h| flood && **h != me) {
            share.add(&format!("flood {host}"));
        }
        share
    }
}

/// The digest of a host's forwarding entries.
pub fn rows_digest(desired: &Desired, rows: &BTreeMap<String, Vec<Row>>) -> String {
    let one = |n: &Network| {
        let weights = Weights::of(rows.get(&n.name).map(Vec::as_slice).unwrap_or_default(), n.flood);
        weights.share(desired.address, n.flood)
    };
    digest(desired.networks.iter().filter(|n| !n.tunnel.is_empty()).map(one))
}

/// The digest of several networks' parts, in the order of their names.
pub(super) fn digest(shares: impl Iterator<Item = Weight>) -> String {
    let digests: Vec<String> = shares.map(Weight::digest).collect();
    document::digest(digests.join("\n").as_bytes())
}
