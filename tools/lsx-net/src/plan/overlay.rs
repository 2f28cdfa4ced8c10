//! The document laid over what the hosts keep, entry by entry: what it does not name stays as it was.

use super::rows;
use super::{carry, clash, cut};
use crate::Net;
use crate::model::{Desired, Intent, Nic, Row};
use common::Failure;
use common::stack::resolved::{AllowAt, Resolved, Selector};
use common::tool::{Draft, ObservedOf, Wish};
use std::collections::{BTreeMap, BTreeSet};

/// What every observed host should have; fills the shared table and the list of what is kept.
pub(super) fn overlay(
    wish: &Wish,
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<Net>>,
    draft: &mut Draft<Net>,
    failures: &mut Vec<Failure>,
) -> BTreeMap<String, Desired> {
    failures.extend(clash::unsupported(resolved));
    draft.warnings.extend(clash::exposed(resolved));
    let document = Document::new(wish, resolved);
    let intents =
        observed.iter().filter_map(|(host, seen)| Some((host.as_str(), seen.seen.intent.as_ref()?)));
    let named = |instance: &str| wish.prune || document.instances.contains_key(instance);
    let resolved = &carry::carried(resolved, intents, named);
    let mut table = rows::table(resolved);
    document.narrow(&mut table);
    let mut goals = BTreeMap::new();
    for (host, mut desired) in cut(resolved) {
        let Some(seen) = observed.get(&host) else { continue };
        document.keep_selected(&mut desired);
        if let Some(intent) = &seen.seen.intent {
            failures.extend(clash::renumbered(wish, intent, &desired));
            if wish.prune {
                failures.extend(clash::too_much(wish, &host, intent, &desired));
            } else {
                document.lay_over(&mut desired, intent, &mut table, &mut draft.kept);
            }
        }
        in_order(&mut desired);
        goals.insert(host, desired);
    }
    table.values_mut().for_each(|rows| rows.sort());
    draft.data.rows = table;
    goals
}

/// One order for what the document names and for what is kept beside it: else a thing that merely stays would differ.
fn in_order(desired: &mut Desired) {
    desired.networks.sort_by(|a, b| a.name.cmp(&b.name));
    desired.inside.sort();
    desired.nics.sort_by(|a, b| (&a.instance, &a.name).cmp(&(&b.instance, &b.name)));
    desired.ports.sort_by(|a, b| (a.listen, &a.instance).cmp(&(b.listen, &b.instance)));
    desired.allow.sort_by_cached_key(|allow| serde_json::to_string(allow).unwrap_or_default());
}

/// What the document speaks of.
struct Document<'a> {
    wish: &'a Wish,
    networks: BTreeSet<&'a str>,
    instances: BTreeMap<&'a str, &'a str>,
}

impl<'a> Document<'a> {
    fn new(wish: &'a Wish, resolved: &'a Resolved) -> Self {
        let network = |name: &&str| wish.only.network(name);
        Document {
            wish,
            networks: resolved.networks.iter().map(|n| n.name.as_str()).filter(network).collect(),
            instances: resolved
                .instances
                .iter()
                .filter(|i| wish.only.instance(&i.of, &i.name))
                .map(|i| (i.name.as_str(), i.host.as_str()))
                .collect(),
        }
    }

    /// Whether a row is the document's business.
    fn names(&self, network: &str, owner: &str) -> bool {
        self.networks.contains(network) && (owner.starts_with("host/") || self.instances.contains_key(owner))
    }

    /// With `--only`, the rest of the document is as if nobody had named it.
    fn narrow(&self, table: &mut BTreeMap<String, Vec<Row>>) {
        for (network, rows) in table.iter_mut() {
            rows.retain(|row| self.names(network, &row.owner));
        }
        table.retain(|network, _| self.networks.contains(network.as_str()));
    }

    fn keep_selected(&self, desired: &mut Desired) {
        desired.networks.retain(|n| self.networks.contains(n.name.as_str()));
        desired.nics.retain(|n| self.names(&n.network, &n.instance));
        desired.ports.retain(|p| self.names(&p.network, &p.instance));
    }

    /// Adds what the host keeps and the document does not name.
    fn lay_over(
        &self,
        desired: &mut Desired,
        intent: &Intent,
        table: &mut BTreeMap<String, Vec<Row>>,
        kept: &mut Vec<String>,
    ) {
        let old = &intent.desired;
        for network in old.networks.iter().filter(|n| !self.networks.contains(n.name.as_str())) {
            kept.push(format!("{}: network {}", desired.host, network.name));
            desired.networks.push(network.clone());
        }
        let carried: BTreeSet<String> = desired.networks.iter().map(|n| n.name.clone()).collect();
        let taken: BTreeSet<_> = desired.nics.iter().map(|n| (n.network.clone(), n.address)).collect();
        let stays = |nic: &&Nic| {
            carried.contains(&nic.network)
                && !self.names(&nic.network, &nic.instance)
                && !self.instances.contains_key(nic.instance.as_str())
                && !taken.contains(&(nic.network.clone(), nic.address))
        };
        let nics: Vec<Nic> = old.nics.iter().filter(stays).cloned().collect();
        let names: BTreeSet<&str> = nics.iter().map(|n| n.instance.as_str()).collect();
        kept.extend(names.iter().map(|name| format!("{}: instance {name}", desired.host)));
        let ports = old.ports.iter().filter(|p| names.contains(p.instance.as_str()));
        desired.ports.extend(ports.cloned());
        desired.inside.extend(
            old.inside.iter().filter(|net| !desired.inside.contains(net)).copied().collect::<Vec<_>>(),
        );
        desired.allow.extend(
            old.allow
                .iter()
                .filter(|a| self.stays(a) && !desired.allow.contains(a))
                .cloned()
                .collect::<Vec<_>>(),
        );
        desired.nics.extend(nics);
        self.rows(intent, &carried, table);
    }

    /// A permission stays while it concerns a network that the document does not name: taking one out of the document
    /// takes it away, even when what it opened stays.
    fn stays(&self, allow: &AllowAt) -> bool {
        let unnamed =
            |s: &Selector| matches!(s, Selector::Network(name) if !self.networks.contains(name.as_str()));
        unnamed(&allow.from) || unnamed(&allow.to)
    }

    fn rows(&self, intent: &Intent, carried: &BTreeSet<String>, table: &mut BTreeMap<String, Vec<Row>>) {
        for row in &intent.rows {
            let moved =
                self.instances.contains_key(row.owner.as_str()) && self.wish.only.network(&row.network);
            if moved || self.names(&row.network, &row.owner) || !carried.contains(&row.network) {
                continue;
            }
            let rows = table.entry(row.network.clone()).or_default();
            if !rows.iter().any(|r| r.address == row.address || r.mac == row.mac) {
                rows.push(row.clone());
            }
        }
    }
}
