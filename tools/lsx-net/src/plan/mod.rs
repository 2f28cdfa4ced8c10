//! Plans for all hosts: what each should have, what is kept, what conflicts, and the steps. Pure.

mod balance;
mod carry;
mod clash;
mod cut;
mod neighbours;
mod overlay;
mod ports;
mod reach;
mod routes;
mod rows;
mod secrets;
mod stale;
mod told;
mod wants;

pub(crate) use balance::backends;
pub use cut::{cut, prefixes};
pub use neighbours::{ROUTER, digest as digest_of, entries, peers, roomy};
pub use rows::{Data, by_network, lines, rows_digest};
pub use secrets::{Gathered, gather, needs};
pub use stale::Stale;

use crate::Net;
use crate::model::{Desired, Facts, Intent, IntentFile, Object};
use common::document;
use common::plan::{Have, Object as _, Plan, Step, Want, Warning, diff};
use common::tool::{Draft, Goal, ObservedOf};

/// The input of a plan.
pub type PlanInput = common::tool::PlanInput<Gathered>;

use common::{Failure, Failures, Kind};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// The digest of the intent.
pub fn intent_digest(desired: &Desired) -> String {
    document::digest_of(desired).unwrap_or_default()
}

/// Makes the plan.
///
/// # Errors
/// All conflicts and other reasons.
pub fn plan(input: &PlanInput, observed: &BTreeMap<String, ObservedOf<Net>>) -> Result<Draft<Net>, Failures> {
    let mut draft = Draft::default();
    let mut failures = Vec::new();
    let mut goals = match &input.goal {
        Goal::Down if !input.only.all() => {
            let message = "down removes all networks of a stack; --only is not supported";
            let hint = "remove the network from the document and run `lsx-net up --prune`";
            return Err(Failure::new(Kind::Usage, "net.plan.only", message).hint(hint).into());
        }
        Goal::Down => BTreeMap::new(),
        Goal::Boot(kept) => booted(kept, observed, &mut draft)?,
        Goal::Up(_, resolved) => {
            failures.extend(clash::moved(input, resolved, observed));
            overlay::overlay(input, resolved, observed, &mut draft, &mut failures)
        }
    };
    for (host, desired) in &mut goals {
        failures.extend(uplink(desired, observed.get(host)));
    }
    let weights = weights(&goals, &draft.data);
    for (host, seen) in observed {
        let loose = goals.get(host).map(|desired| loose(desired, &seen.seen, &mut draft));
        let (loose, plugged): (Vec<_>, Vec<_>) = loose.unwrap_or_default().into_iter().unzip();
        let mut wants = match goals.get(host) {
            Some(desired) => {
                failures.extend(clash::clashes(desired, seen));
                failures.extend(balance::failures(desired, &seen.seen).into_iter().map(|f| f.on(host)));
                draft.warnings.extend(clash::missing(desired, &seen.seen));
                draft.warnings.extend(balance::uncertified(desired, &seen.seen));
                let (refused, warned) = routes::routes(input, desired, &seen.seen);
                failures.extend(refused);
                draft.warnings.extend(warned);
                wants::wants(desired, &seen.seen, &weights, &mut draft)
            }
            None => Vec::new(),
        };
        wants.extend(plugged);
        let others = others(input, goals.get(host));
        wants.retain(|want| selected(input, &others, &want.object));
        let objects: Vec<_> =
            seen.objects.iter().chain(&loose).filter(|have| selected(input, &others, &have.object)).collect();
        let keys: BTreeSet<&str> = wants.iter().map(|w| w.key.as_str()).collect();
        let down = matches!(input.goal, Goal::Down);
        let goes = |bridge: &str| down || goes(&objects, &keys, bridge);
        failures.extend(clash::still_attached(host, &seen.seen, goes));
        failures.extend(clash::inhabited(host, seen, keys.contains("router:host")));
        draft.warnings.extend(said(host, seen));
        let steps = diff(host, &wants, &standing(&objects, &keys));
        draft.told.extend(goals.get(host).into_iter().flat_map(|d| ruled(d, &seen.seen, &steps)));
        draft.steps.extend(steps);
    }
    draft.data.secrets = input.gathered.places();
    once(&mut failures);
    Failures(failures).verdict()?;
    spare(&mut draft);
    Ok(draft)
}

/// Existing and wanted state of what is not created by a plan of its own: ports of instances, and rows of others.
fn loose(desired: &Desired, seen: &Facts, draft: &mut Draft<Net>) -> Vec<(Have<Object>, Want<Object>)> {
    draft.warnings.extend(neighbours::crowded(desired, &draft.data.rows));
    let mut loose = ports::loose(desired, seen);
    loose.extend(neighbours::strange(desired, seen, &draft.data.rows));
    loose
}

/// The changed rules of a host, for people.
fn ruled(desired: &Desired, seen: &Facts, steps: &[Step<Object>]) -> Vec<common::plan::show::Line> {
    let rules = |step: &Step<Object>| matches!(step.after, Some(Object::Firewall(_)));
    let kept = seen.intent.as_ref().map(|intent| &intent.desired);
    if steps.iter().any(rules) { told::told(kept, desired) } else { Vec::new() }
}

/// An instance that must not move is reported once, and not also as still attached.
fn once(failures: &mut Vec<Failure>) {
    let moves = failures.iter().any(|f| f.code == "net.plan.move");
    failures.retain(|f| !moves || f.code != "net.plan.attached");
}

/// Messages of a host.
fn said(host: &str, seen: &ObservedOf<Net>) -> Vec<Warning> {
    let ours = seen.warnings.iter().filter(|w| w.code == "net.router.replaced");
    ours.map(|w| Warning { message: format!("{host}: {}", w.message), ..w.clone() }).collect()
}

/// With `--only`: the ranges of a host's networks that are not selected.
fn others(input: &PlanInput, desired: Option<&Desired>) -> BTreeSet<Ipv4Net> {
    let networks = desired.into_iter().flat_map(|d| &d.networks);
    networks.filter(|n| !input.only.network(&n.name)).map(|n| n.cidr).collect()
}

/// Whether an object is considered at all: with `--only`, objects of a network that is not selected are left unchanged.
/// Objects that networks of a host share are always considered.
fn selected(input: &PlanInput, others: &BTreeSet<Ipv4Net>, object: &Object) -> bool {
    match object {
        Object::Route(route) => !others.contains(&route.to),
        object => object.network().is_none_or(|name| input.only.network(name)),
    }
}

/// The weights of all networks that a host has, once for all hosts.
fn weights(goals: &BTreeMap<String, Desired>, data: &Data) -> wants::Shares {
    let flood: BTreeMap<&str, bool> =
        goals.values().flat_map(|d| &d.networks).map(|n| (n.name.as_str(), n.flood)).collect();
    let rows = |name: &str| data.rows.get(name).map(Vec::as_slice).unwrap_or_default();
    flood.into_iter().map(|(name, flood)| (name.to_owned(), rows::Weights::of(rows(name), flood))).collect()
}

/// Texts and rows that no step needs are left out of the plan, so that an empty plan is small.
fn spare(draft: &mut Draft<Net>) {
    let used: BTreeSet<&str> = draft.steps.iter().filter_map(|s| s.after.as_ref()?.content()).collect();
    draft.contents.retain(|digest, _| used.contains(digest.as_str()));
    draft.data.secrets.retain(|name, _| secrets::named(&draft.contents, name));
    if draft.steps.is_empty() {
        draft.data = Data::default();
    }
}

/// The rows for steps of one host: its forwarding entries, and its intent.
pub fn share(data: &Data, steps: &[Step<Object>], contents: &BTreeMap<String, String>) -> Data {
    let mut names = BTreeSet::new();
    for step in steps {
        match &step.after {
            Some(Object::Forwarding(f)) => _ = names.insert(f.network.clone()),
            Some(Object::Neighbours(n)) => _ = names.insert(n.network.clone()),
            Some(Object::Leg(l)) => _ = names.insert(l.network.clone()),
            Some(Object::Intent(file)) => {
                let desired =
                    contents.get(&file.digest).and_then(|text| serde_json::from_str::<Desired>(text).ok());
                names.extend(desired.into_iter().flat_map(|d| d.networks).map(|n| n.name));
            }
            _ => {}
        }
    }
    Data {
        rows: data
            .rows
            .iter()
            .filter(|(name, _)| names.contains(*name))
            .map(|(n, r)| (n.clone(), r.clone()))
            .collect(),
        ..Data::default()
    }
}

/// The object of an intent.
pub fn intent_file(intent: &Intent) -> IntentFile {
    let rows = rows_digest(&intent.desired, &by_network(&intent.rows));
    IntentFile { digest: intent_digest(&intent.desired), rows }
}

/// The desired state that an object of a plan stands for, if the plan has it.
pub fn desired_of(plan: &Plan<Object, Data>, object: &Object) -> Option<Desired> {
    let Object::Intent(file) = object else { return None };
    serde_json::from_str(plan.contents.get(&file.digest)?).ok()
}

/// The intent of a host: the step has its digest, the plan the rest.
///
/// # Errors
/// When the plan lacks it.
pub fn intent(plan: &Plan<Object, Data>, object: &Object) -> Result<Intent, Failure> {
    let missing = || Failure::new(Kind::Data, "net.plan.contents", "the plan lacks the intent of the host");
    let desired = desired_of(plan, object).ok_or_else(missing)?;
    let rows = desired.networks.iter().filter_map(|network| plan.data.rows.get(&network.name));
    let rows = rows.flatten().cloned().collect();
    Ok(Intent { schema: document::schema("net", "intent"), stack: plan.stack.clone(), desired, rows })
}

/// A host whose input is filtered needs the name of the interface towards the world: the one with its address, if the
/// document names none.
fn uplink(desired: &mut Desired, seen: Option<&ObservedOf<Net>>) -> Option<Failure> {
    if desired.firewall.is_none() || desired.uplink.is_some() {
        return None;
    }
    let addresses = seen.map(|o| o.seen.addresses.as_slice()).unwrap_or_default();
    desired.uplink =
        addresses.iter().find(|(address, _)| *address == desired.address).map(|(_, link)| link.clone());
    desired.uplink.is_none().then(|| {
        let message =
            format!("no interface has the address {}, so its input cannot be filtered", desired.address);
        let failure = Failure::new(Kind::Data, "net.plan.uplink", message).on(&desired.host);
        failure
            .at(format!("hosts.{}.firewall", desired.host))
            .hint("write `uplink` with the interface towards the world")
    })
}

/// Whether a bridge is about to be removed.
fn goes(objects: &[&Have<Object>], wanted: &BTreeSet<&str>, bridge: &str) -> bool {
    let is = |have: &&&Have<Object>| matches!(&have.object, Object::Bridge(b) if b.link == bridge);
    objects.iter().find(is).is_some_and(|have| !wanted.contains(have.key.as_str()))
}

/// Entries are removed with their tunnel and rules with the router, so they need no step.
fn standing(objects: &[&Have<Object>], wanted: &BTreeSet<&str>) -> Vec<Have<Object>> {
    let carried = |have: &Have<Object>| match &have.object {
        Object::Forwarding(f) => !wanted.contains(format!("tunnel:{}", f.network).as_str()),
        Object::Firewall(f) => f.place == crate::model::RulesAt::Router && !wanted.contains("router:host"),
        Object::Route(_) => !wanted.contains("world:host"),
        _ => false,
    };
    let stands = |have: &&&Have<Object>| wanted.contains(have.key.as_str()) || !carried(have);
    objects.iter().filter(stands).map(|have| (*have).clone()).collect()
}

/// After a reboot: the host's intent, unchanged.
fn booted(
    kept: &serde_json::Value,
    observed: &BTreeMap<String, ObservedOf<Net>>,
    draft: &mut Draft<Net>,
) -> Result<BTreeMap<String, Desired>, Failures> {
    let intent: Intent = serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "net.intent", format!("the intent of this host cannot be read: {e}"))
            .hint("run `lsx-net up` with the stack's document")
    })?;
    draft.data.rows = by_network(&intent.rows);
    Ok(observed.keys().map(|host| (host.clone(), intent.desired.clone())).collect())
}

/// What a plan depends on: lsx's objects, and whatever could conflict. Listeners change by themselves and are left out.
pub fn base(objects: &[Have<Object>], seen: &Facts) -> String {
    let intent = seen.intent.as_ref().map(|i| intent_digest(&i.desired));
    let matters = (
        objects,
        intent,
        &seen.routes,
        &seen.tunnels,
        &seen.strangers,
        &seen.chains,
        &seen.inputs,
        &seen.attached,
    );
    document::digest_of(&matters).unwrap_or_default()
}
