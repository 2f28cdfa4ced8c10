//! Merges the document with the intents of the hosts, entry by entry: what it does not name is kept unchanged.

use super::PlanInput;
use super::rows;
use super::{balance, carry, clash, cut, reach};
use crate::Net;
use crate::model::{Desired, Intent, Nic, Row};
use common::Failure;
use common::stack::resolved::{AllowAt, Resolved, Selector};
use common::stack::unbuilt;
use common::tool::{Draft, Goal, ObservedOf, Risk, Tool};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// The desired state of every observed host; fills the shared table and the list of kept objects.
pub(super) fn overlay(
    input: &PlanInput,
    resolved: &Resolved,
    observed: &BTreeMap<String, ObservedOf<Net>>,
    draft: &mut Draft<Net>,
    failures: &mut Vec<Failure>,
) -> BTreeMap<String, Desired> {
    failures.extend(unbuilt::networks(resolved, "net.plan.unsupported"));
    draft.warnings.extend(clash::exposed(resolved));
    draft.warnings.extend(balance::hidden(resolved));
    if let Goal::Up(stack, _) = &input.goal {
        draft.warnings.extend(balance::merged(stack, resolved));
    }
    let document = Document::new(input, resolved);
    let intents =
        observed.iter().filter_map(|(host, seen)| Some((host.as_str(), seen.seen.intent.as_ref()?)));
    let named = |instance: &str| document.prunes(instance) || document.instances.contains_key(instance);
    let resolved = &carry::carried(resolved, intents, named);
    let mut table = rows::table(resolved);
    document.narrow(&mut table);
    let mut goals = BTreeMap::new();
    for (host, mut desired) in cut(resolved) {
        let Some(seen) = observed.get(&host) else { continue };
        document.keep_selected(&mut desired);
        let kept = seen.seen.intent.as_ref().map(|intent| &intent.desired);
        desired.balance = balance::of_host(input, resolved, &host, kept);
        let others = resolved.services.iter().filter(|s| s.host == host && s.tool != crate::Net::NAME);
        desired.services = others.cloned().collect();
        if let Some(intent) = &seen.seen.intent {
            failures.extend(clash::renumbered(input, intent, &desired));
            document.lay_over(&mut desired, intent, &mut table, &mut draft.kept);
            leaving(input, &mut desired, &seen.seen, &mut draft.kept);
            if input.prune {
                failures.extend(clash::too_much(input, &host, intent, &desired));
            }
        }
        in_order(&mut desired);
        goals.insert(host, desired);
    }
    table.values_mut().for_each(|rows| rows.sort());
    reach::fill(resolved, observed, &table, &mut goals);
    draft.data.rows = table;
    goals
}

/// The same order for entries of the document and kept ones, so that a kept entry alone is no difference.
fn in_order(desired: &mut Desired) {
    desired.networks.sort_by(|a, b| a.name.cmp(&b.name));
    desired.inside.sort();
    desired.nics.sort_by(|a, b| (&a.instance, &a.name).cmp(&(&b.instance, &b.name)));
    desired.ports.sort_by(|a, b| (a.listen, &a.instance).cmp(&(b.listen, &b.instance)));
    desired.allow.sort_by_cached_key(|allow| serde_json::to_string(allow).unwrap_or_default());
}

/// A network is kept on a host as long as an instance that is to move away is attached to it there.
fn leaving(input: &PlanInput, desired: &mut Desired, seen: &crate::model::Facts, kept: &mut Vec<String>) {
    let old = seen.intent.iter().filter(|_| input.accepts(Risk::Move)).flat_map(|i| &i.desired.networks);
    for network in old {
        let there = desired.networks.iter().any(|n| n.name == network.name);
        let attached = seen.attached.iter().find(|a| a.bridge == network.bridge);
        if let (false, Some(attached)) = (there, attached) {
            kept.push(format!(
                "{}: network {}, until {} has moved",
                desired.host, network.name, attached.name
            ));
            desired.networks.push(network.clone());
        }
    }
}

/// The entries of the document.
struct Document<'a> {
    input: &'a PlanInput,
    /// All of them; the two below are the selected ones.
    whole: &'a Resolved,
    networks: BTreeSet<&'a str>,
    instances: BTreeMap<&'a str, &'a str>,
}

impl<'a> Document<'a> {
    fn new(input: &'a PlanInput, resolved: &'a Resolved) -> Self {
        let network = |name: &&str| input.only.network(name);
        Document {
            input,
            whole: resolved,
            networks: resolved.networks.iter().map(|n| n.name.as_str()).filter(network).collect(),
            instances: resolved
                .instances
                .iter()
                .filter(|i| input.only.instance(&i.of, &i.name))
                .map(|i| (i.name.as_str(), i.host.as_str()))
                .collect(),
        }
    }

    /// Whether a row belongs to the document.
    fn names(&self, network: &str, owner: &str) -> bool {
        self.networks.contains(network) && (owner.starts_with("host/") || self.instances.contains_key(owner))
    }

    /// With `--only`, the rest of the document counts as not named.
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

    /// Whether an unnamed instance is removed.
    fn prunes(&self, instance: &str) -> bool {
        self.input.prune && self.input.only.instance(instance, instance)
    }

    /// Whether an unnamed network is kept: all are without `--prune`, and with it those that are not selected.
    fn spares(&self, network: &str) -> bool {
        let pruned = self.input.prune && self.input.only.network(network);
        !pruned && !self.networks.contains(network)
    }

    /// Adds what the host keeps and the document (or its selected part) does not name.
    fn lay_over(
        &self,
        desired: &mut Desired,
        intent: &Intent,
        table: &mut BTreeMap<String, Vec<Row>>,
        kept: &mut Vec<String>,
    ) {
        let old = &intent.desired;
        let host = desired.host.clone();
        for network in old.networks.iter().filter(|n| self.spares(&n.name)) {
            if !self.whole.networks.iter().any(|n| n.name == network.name) {
                kept.push(format!("{host}: network {}", network.name));
            }
            desired.networks.push(network.clone());
        }
        let carried: BTreeSet<String> = desired.networks.iter().map(|n| n.name.clone()).collect();
        let taken: BTreeSet<_> = desired.nics.iter().map(|n| (n.network.clone(), n.address)).collect();
        let stays = |nic: &&Nic| {
            carried.contains(&nic.network)
                && !self.moved(&nic.network, &nic.instance)
                && !taken.contains(&(nic.network.clone(), nic.address))
        };
        let nics: Vec<Nic> = old.nics.iter().filter(stays).cloned().collect();
        let names: BTreeSet<&str> = nics.iter().map(|n| n.instance.as_str()).collect();
        let unnamed = |name: &&&str| !self.whole.instances.iter().any(|i| i.name == **name);
        kept.extend(names.iter().filter(unnamed).map(|name| format!("{host}: instance {name}")));
        let ports = |network: &str, instance: &str| {
            nics.iter().any(|nic| nic.instance == instance && nic.network == network)
        };
        desired.ports.extend(old.ports.iter().filter(|p| ports(&p.network, &p.instance)).cloned());
        desired.inside.extend(self.inside(old, desired));
        let allow = old.allow.iter().filter(|a| self.stays(a) && !desired.allow.contains(a));
        desired.allow.extend(allow.cloned().collect::<Vec<_>>());
        desired.nics.extend(nics);
        self.rows(intent, &carried, table);
    }

    /// Ranges of networks that the document does not name, on any host.
    fn inside(&self, old: &Desired, desired: &Desired) -> Vec<Ipv4Net> {
        let carried = |net: &Ipv4Net| desired.networks.iter().any(|n| n.cidr == *net);
        let stays = |net: &&Ipv4Net| !desired.inside.contains(net) && (!self.input.prune || carried(net));
        old.inside.iter().filter(stays).copied().collect()
    }

    /// Whether the selected document says where an instance is in a network, or that it is not in it any more.
    fn moved(&self, network: &str, instance: &str) -> bool {
        let said = self.instances.contains_key(instance) || self.prunes(instance);
        self.names(network, instance) || said && self.input.only.network(network)
    }

    /// A permission is kept while it concerns a network that the document does not name; removing a permission from the
    /// document removes it, even if its network is kept.
    fn stays(&self, allow: &AllowAt) -> bool {
        let unnamed = |s: &Selector| matches!(s, Selector::Network(name) if self.spares(name));
        unnamed(&allow.from) || unnamed(&allow.to)
    }

    fn rows(&self, intent: &Intent, carried: &BTreeSet<String>, table: &mut BTreeMap<String, Vec<Row>>) {
        for row in &intent.rows {
            if self.moved(&row.network, &row.owner) || !carried.contains(&row.network) {
                continue;
            }
            let rows = table.entry(row.network.clone()).or_default();
            if !rows.iter().any(|r| r.address == row.address || r.mac == row.mac) {
                rows.push(row.clone());
            }
        }
    }
}
