//! Hosts that a stack had and that its document does not name any more. No run goes there, so a person is told how to.

use crate::Net;
use common::plan::Warning;
use common::tool::{Goal, ObservedOf, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// One warning for each, from what the hosts of the document have kept.
pub(super) fn gone(wish: &Wish, observed: &BTreeMap<String, ObservedOf<Net>>) -> Vec<Warning> {
    let Goal::Up(_, resolved) = &wish.goal else { return Vec::new() };
    let named: BTreeSet<Ipv4Addr> = resolved.hosts.iter().map(|host| host.address).collect();
    let kept = observed.values().filter_map(|host| host.seen.intent.as_ref());
    let had: BTreeSet<Ipv4Addr> = kept.flat_map(|intent| intent.desired.hosts.iter().copied()).collect();
    had.difference(&named).map(|address| told(&wish.stack, *address)).collect()
}

fn told(stack: &str, address: Ipv4Addr) -> Warning {
    let message = format!(
        "{address} was a host of stack {stack} and is not in the document any more. What lsx made there stays, instances included, and comes \
         back after a reboot. To remove it, run there: lsx-ct down --stack {stack}, then lsx-net down --stack {stack}"
    );
    Warning { code: "net.plan.gone".to_owned(), message }
}
