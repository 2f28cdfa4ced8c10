//! What a document may say and no tool serves yet. Whoever writes it is told, for silence looks like success.

use super::model::{Network, Stack};
use super::resolved::{NetworkAt, Resolved};
use super::value::{NetworkKind, Switch, Tunnel};
use super::warning::Warning;
use crate::{Failure, Kind};
use serde_json::Value;

/// Sections of tools that are not there.
const SECTIONS: [&str; 3] = ["dns", "pki", "snap"];
/// What lsx-ct reads of a volume in `store.volumes`; the rest waits for lsx-store.
const OF_VOLUMES: [&str; 4] = ["host", "mode", "owner", "shared"];
/// Places that one warning names.
const NAMED: usize = 8;

/// Paths of what has no effect, in the order of the manual.
fn paths(stack: &Stack) -> Vec<String> {
    let carried = |key: &&str| stack.carried.contains_key(*key);
    let mut paths: Vec<String> = SECTIONS.iter().filter(|key| carried(key)).map(|&key| key.into()).collect();
    if let Some(store) = stack.carried.get("store") {
        store_paths(store, &mut paths);
    }
    if !stack.balance.is_empty() {
        paths.push("balance".to_owned());
    }
    let given = |network: &Network| network.dhcp_range.is_some();
    let networks = stack.networks.iter().filter(|(_, network)| given(network));
    paths.extend(networks.map(|(name, _)| format!("networks.{name}.dhcp_range")));
    paths
}

fn store_paths(store: &Value, paths: &mut Vec<String>) {
    let Some(store) = store.as_object() else { return paths.push("store".to_owned()) };
    paths.extend(store.keys().filter(|key| *key != "volumes").map(|key| format!("store.{key}")));
    for (name, volume) in store.get("volumes").and_then(Value::as_object).into_iter().flatten() {
        let keys = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let unread = keys.filter(|key| !OF_VOLUMES.contains(key));
        paths.extend(unread.map(|key| format!("store.volumes.{name}.{key}")));
    }
}

/// One warning for everything that is carried along without effect.
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
        message: format!("not built yet, so without effect: {named}"),
        at: None,
        hint: Some("the document keeps it for the tools that will read it".to_owned()),
    };
    Some((warning, first))
}

/// Networks that no tool makes yet, each with its place; `code` is that of the plan which refuses them.
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
            "leave `switch` out: a bridge of the kernel does the same for instances",
        ),
        n if n.tunnel_type == Tunnel::Gre => {
            ("tunnel", "GRE tunnels", "leave `tunnel` out: VXLAN does the same for instances")
        }
        _ => return None,
    };
    let failure = Failure::new(Kind::Data, code, format!("{what} are not built yet"));
    Some(failure.at(format!("networks.{}.{key}", network.name)).hint(hint))
}

/// Neither is replaced by an overlay: the network that is meant is there already.
const PARENT: &str =
    "only `type: overlay` is; publish ports of the host to reach instances from its own network";
