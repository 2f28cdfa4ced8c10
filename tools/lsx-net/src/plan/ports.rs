//! Interfaces of instances that are not on their network's bridge or do not have their name: they were detached or renamed,
//! or the bridge was removed.

use crate::model::{Desired, Facts, Object, Port};
use common::plan::{Have, Want};

/// Existing and wanted state of each. `attach` is responsible for the others.
pub(super) fn loose(desired: &Desired, seen: &Facts) -> Vec<(Have<Object>, Want<Object>)> {
    let mut all = Vec::new();
    for nic in &desired.nics {
        let name = format!("{}.{}", nic.instance, nic.name);
        let Some(there) = seen.attached.iter().find(|a| a.name == name && a.stack == desired.stack) else {
            continue;
        };
        let Some(network) = desired.networks.iter().find(|n| n.name == nic.network) else { continue };
        if there.bridge == network.bridge && there.link == nic.link {
            continue;
        }
        let port = |link: &String, bridge: &String| {
            Object::Port(Port {
                network: nic.network.clone(),
                link: link.clone(),
                bridge: Some(bridge.clone()).filter(|bridge| !bridge.is_empty()),
            })
        };
        let key = format!("port:{name}");
        let needs = vec![format!("bridge:{}", network.name)];
        let why = format!("instance {} is on network {}", nic.instance, nic.network);
        all.push((
            Have { key: key.clone(), object: port(&there.link, &there.bridge), needs: Vec::new() },
            Want { key, object: port(&nic.link, &network.bridge), needs, why },
        ));
    }
    all
}
