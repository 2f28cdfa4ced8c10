//! Parts of a document that no tool supports yet; they give a warning.

use super::model::Stack;
use super::resolved::{NetworkAt, Resolved};
use super::section::{Pki, Snap, Store};
use super::value::{NetworkKind, Switch, Tunnel};
use super::warning::Warning;
use crate::{Failure, Kind};

/// The number of places named in one warning.
const NAMED: usize = 8;

/// Paths that have no effect, in the order of the manual.
fn paths(stack: &Stack) -> Vec<String> {
    let mut paths = stack.pki.as_ref().map(pki_paths).unwrap_or_default();
    if let Some(snap) = &stack.snap {
        snap_paths(snap, &mut paths);
    }
    if let Some(store) = &stack.store {
        store_paths(store, &mut paths);
    }
    let certified = stack.instances.iter().filter(|(_, instance)| instance.certificate.is_some());
    paths.extend(certified.map(|(name, _)| format!("instances.{name}.certificate")));
    paths
}

/// Keys of `pki` without effect: nobody is told to trust the authority, and it issues what is in the document only.
fn pki_paths(pki: &Pki) -> Vec<String> {
    let keys = [
        ("trust", !pki.trust.is_empty()),
        ("acme", pki.acme.is_some()),
        ("revocation", pki.revocation.is_some()),
        ("ssh", pki.ssh.is_some()),
    ];
    keys.into_iter().filter(|(_, said)| *said).map(|(key, _)| format!("pki.{key}")).collect()
}

/// Keys of `snap` without effect: nothing runs by itself yet, and nothing is deleted. The state is saved unless it is said otherwise.
fn snap_paths(snap: &Snap, paths: &mut Vec<String>) {
    for (name, job) in &snap.what {
        let keys = [("every", job.every.is_some()), ("at", !job.at.is_empty()), ("keep", job.keep.is_some())];
        let said = keys.into_iter().filter(|(_, said)| *said);
        paths.extend(said.map(|(key, _)| format!("snap.what.{name}.{key}")));
    }
    let keys = [("state", snap.state != Some(false)), ("check", snap.check.is_some())];
    paths.extend(keys.into_iter().filter(|(_, said)| *said).map(|(key, _)| format!("snap.{key}")));
}

/// Keys of `store` without effect: those of disks and of the registry.
fn store_paths(store: &Store, paths: &mut Vec<String>) {
    let keys = [("disks", !store.disks.is_empty()), ("registry", store.registry.is_some())];
    paths.extend(keys.into_iter().filter(|(_, said)| *said).map(|(key, _)| format!("store.{key}")));
}

/// One warning for everything that has no effect.
pub(super) fn warning(stack: &Stack) -> Option<(Warning, String)> {
    let paths = paths(stack);
    let first = paths.first()?.clone();
    let more = paths.len().saturating_sub(NAMED);
    let mut named = paths[..paths.len() - more].join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    let warning = Warning {
        code: "stack.unbuilt".to_owned(),
        message: format!("not supported yet and without effect: {named}"),
        at: None,
        hint: Some("it is kept in the document for later tools".to_owned()),
    };
    Some((warning, first))
}

/// Networks that no tool can create yet, each with its place; `code` is the code of the failure.
pub fn networks(resolved: &Resolved, code: &str) -> Vec<Failure> {
    resolved.networks.iter().filter_map(|network| unmade(network, code)).collect()
}

fn unmade(network: &NetworkAt, code: &str) -> Option<Failure> {
    let (key, what, hint) = match network {
        n if n.kind == NetworkKind::Macvlan => ("type", "macvlan networks", PARENT),
        n if n.kind == NetworkKind::Vlan => ("type", "VLAN networks", PARENT),
        n if n.switch == Switch::Ovs => (
            "switch",
            "networks on Open vSwitch",
            "leave `switch` out: a kernel bridge is equivalent for instances",
        ),
        n if n.tunnel_type == Tunnel::Gre => {
            ("tunnel", "GRE tunnels", "leave `tunnel` out: VXLAN is equivalent for instances")
        }
        _ => return None,
    };
    let failure = Failure::new(Kind::Data, code, format!("{what} are not supported yet"));
    Some(failure.at(format!("networks.{}.{key}", network.name)).hint(hint))
}

/// An overlay cannot replace these, since the network exists already.
const PARENT: &str = "use `type: overlay`, and publish ports of the host to reach instances from its network";
