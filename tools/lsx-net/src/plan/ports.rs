//! Interfaces of instances that are there, and not on their network's bridge or not by their name: somebody took them off, removed
//! that bridge, or renamed them.

use crate::model::{Desired, Object, Port, Seen};
use common::plan::{Have, Want};

/// What is there of each, and what shall be. One that is where it belongs is nobody's business but `attach`'s.
pub(super) fn loose(desired: &Desired, seen: &Seen) -> Vec<(Have<Object>, Want<Object>)> {
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
