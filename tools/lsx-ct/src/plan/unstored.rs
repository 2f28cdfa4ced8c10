//! Volumes of which the document says more than lsx-ct can do, and which lsx-store has not made. Pure.

use super::Goals;
use crate::Ct;
use common::plan::Warning;
use common::stack::{Stack, StoreDriver};
use common::tool::ObservedOf;
use std::collections::{BTreeMap, BTreeSet};

/// One warning for each host.
pub(super) fn warnings(
    stack: &Stack,
    goals: &Goals,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
) -> Vec<Warning> {
    let Some(store) = &stack.store else { return Vec::new() };
    let more = |host: &str, name: &str| {
        let volume = store.volumes.get(name);
        let own = |volume: &common::stack::Volume| volume.size.is_some() || volume.driver.is_some();
        let everywhere = store.root.is_some() || store.driver != StoreDriver::Auto;
        volume.is_some_and(|volume| own(volume) || everywhere || store.pools.contains_key(host))
    };
    let stored = |host: &str, name: &str| {
        observed.get(host).is_some_and(|seen| seen.seen.stored.iter().any(|one| one == name))
    };
    let mut all = Vec::new();
    for (host, instances) in goals {
        let names =
            instances.iter().flat_map(|instance| &instance.volumes).map(|volume| volume.name.as_str());
        let names: BTreeSet<&str> = names.filter(|name| more(host, name) && !stored(host, name)).collect();
        if !names.is_empty() {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!(
                "{host}: lsx-ct makes volume {names} itself, so size, driver, root and pool have no effect: run `lsx-store up` first"
            );
            all.push(Warning { code: "ct.store".to_owned(), message });
        }
    }
    all
}
