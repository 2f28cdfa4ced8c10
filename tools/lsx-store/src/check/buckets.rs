//! What clients get of the S3 server: it is asked at every address, with the keys of the stack.

use super::order::{Asker, From, Order, Tried};
use crate::model::Objects;
use crate::plan::{Keys, objects};
use common::fleet;
use common::stack::Resolved;
use common::stack::resolved::NetworkAt;
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// Asks the host of the server.
pub(super) fn check(input: &PlanInput<Keys>, each: Each<'_>, checked: &mut Checked) {
    let Goal::Up(stack, resolved) = &input.goal else { return };
    let served =
        resolved.hosts.iter().find_map(|at| Some((&at.name, objects::of(stack, resolved, &at.name)?)));
    let Some((keeper, mut objects)) = served else { return };
    objects.buckets.retain(|name, bucket| input.only.stored(name) || input.only.stored(&bucket.volume));
    if objects.buckets.is_empty() {
        return;
    }
    let networks = served_networks(resolved, &objects);
    let mut orders: BTreeMap<String, Value> = BTreeMap::new();
    for host in input.hosts.iter().map(|host| &host.name) {
        let from: Vec<From> =
            networks.iter().filter_map(|(name, at)| from(resolved, host, name, *at)).collect();
        if from.is_empty() && host == keeper {
            // Whoever uses it from elsewhere says only that it answers.
            let why =
                format!("no instance of {host} is in its networks, so that its buckets were not asked for");
            checked.row(json!({"host": host, "why": why}));
        }
        let order = |objects: &Objects| Order { stack: input.stack.clone(), objects: objects.clone(), from };
        let others = Objects { buckets: BTreeMap::new(), ..objects.clone() };
        let order = order(if host == keeper { &objects } else { &others });
        if !order.from.is_empty() {
            orders.insert(host.clone(), json!(order));
        }
    }
    if orders.is_empty() {
        return;
    }
    for (host, answer) in each("buckets", orders) {
        match answer.and_then(|told| Ok(fleet::shape::<Vec<Tried>>(told)?)) {
            Ok(all) => told(checked, &host, &all),
            Err(failures) => checked.found(Finding {
                code: "store.server".to_owned(),
                message: failures.to_string(),
                host,
                hint: None,
            }),
        }
    }
}

/// The networks that reach the server, with its address there.
fn served_networks(resolved: &Resolved, objects: &Objects) -> Vec<(String, SocketAddrV4)> {
    let at = |network: &NetworkAt| {
        let address = network.gateway_address?;
        let at = objects.listen.iter().find(|at| *at.ip() == address)?;
        Some((network.name.clone(), *at))
    };
    resolved.networks.iter().filter_map(at).collect()
}

/// Who asks for a network: the first instance of a host that runs.
fn from(resolved: &Resolved, host: &str, network: &str, server: SocketAddrV4) -> Option<From> {
    let here = resolved.instances.iter().filter(|at| at.host == host);
    let askers = here.flat_map(|at| {
        let nics =
            at.nics.iter().filter(|nic| nic.network == network && !nic.address.addr().is_unspecified());
        nics.map(|nic| Asker {
            name: at.name.clone(),
            address: nic.address.addr(),
            mac: nic.mac.to_lowercase(),
        })
    });
    let askers: Vec<Asker> = askers.collect();
    (!askers.is_empty()).then(|| From { network: network.to_owned(), server, askers })
}

/// Each request is a check; those of a bucket are one row.
fn told(checked: &mut Checked, host: &str, all: &[Tried]) {
    let mut rows: BTreeMap<(&str, SocketAddrV4, &Option<String>), (usize, usize)> = BTreeMap::new();
    for tried in all {
        let Tried { from, server, bucket, what, why, hint } = tried;
        let row = rows.entry((from, *server, bucket)).or_default();
        row.0 += 1;
        let Some(why) = why else {
            row.1 += 1;
            checked.passed();
            continue;
        };
        let (code, of) = match bucket {
            Some(bucket) => ("store.bucket", format!("bucket {bucket} at {server}, asked from {from},")),
            None => ("store.server", format!("the S3 server at {server}, asked from {from},")),
        };
        let message = format!("{of} {what}: {why}");
        checked.found(Finding { code: code.to_owned(), host: host.to_owned(), message, hint: hint.clone() });
    }
    for ((from, server, bucket), (asked, answered)) in rows {
        let mut row =
            json!({"host": host, "from": from, "server": server, "asked": asked, "answered": answered});
        if let Some(bucket) = bucket {
            row["bucket"] = json!(bucket);
        }
        checked.row(row);
    }
}
