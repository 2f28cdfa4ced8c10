//! Warns that a server does not enforce `limits.disk`: a storage pool with the driver dir has sizes only where the host's
//! file system has project quotas.

use super::Goals;
use crate::model::{DISK_SIZES, Engine, Instance};
use common::plan::Warning;
use common::stack::Driver;
use std::collections::BTreeMap;

/// A warning for each entry of the document. `engines` returns those of a host. With profiles the pool is not known.
pub(super) fn warnings<'a>(goals: &Goals, engines: impl Fn(&str) -> &'a [Engine]) -> Vec<Warning> {
    let mut all = BTreeMap::new();
    for (host, instances) in goals {
        let limited =
            |i: &&Instance| i.disk_bytes.is_some() && i.profiles.is_empty() && i.driver != Driver::Oci;
        for instance in instances.iter().filter(limited) {
            let engine = engines(host).iter().find(|engine| engine.driver == instance.driver && engine.works);
            if let Some(engine) = engine.filter(|engine| !engine.can.iter().any(|can| can == DISK_SIZES)) {
                all.insert(&instance.of, warning(host, instance, engine));
            }
        }
    }
    all.into_values().collect()
}

fn warning(host: &str, instance: &Instance, engine: &Engine) -> Warning {
    let (of, name) = (&instance.of, &engine.name);
    let message = format!(
        "limits.disk of {of} is not enforced on {host}: the storage pool of {name} has the driver dir, which enforces sizes only on \
         a file system with project quotas; use a pool with the driver btrfs, zfs or lvm. Without it, {of} is frozen while the disk is \
         nearly full"
    );
    Warning { code: "ct.plan.disk".to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(more: &Value, can: &[&str]) -> Vec<String> {
        let mut value = json!({
            "name": "a-1", "of": "a", "driver": "lxd", "image": {"name": "i", "digest": "d"}, "hostname": "a",
            "nics": [], "restart": "always", "hosts": "x", "running": true, "disk_bytes": 1 << 30,
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let instance: Instance = serde_json::from_value(value).unwrap();
        let second = Instance { name: "a-2".to_owned(), ..instance.clone() };
        let engine = json!({"driver": "lxd", "name": "LXD 5.0.2", "can": can, "works": true});
        let engines: Vec<Engine> = vec![serde_json::from_value(engine).unwrap()];
        let goals = [("h1".to_owned(), vec![instance, second])].into();
        warnings(&goals, |_| &engines).into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn a_limit_that_the_pool_does_not_keep_is_told_once() {
        let all = told(&json!({}), &["idmap"]);
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(
            all[0].starts_with("limits.disk of a is not enforced on h1: the storage pool of LXD 5.0.2"),
            "{all:?}"
        );
        assert!(told(&json!({}), &[DISK_SIZES]).is_empty());
        assert!(
            told(&json!({"driver": "oci"}), &[]).is_empty()
                && told(&json!({"disk_bytes": null}), &[]).is_empty()
        );
        assert!(told(&json!({"profiles": ["p"]}), &[]).is_empty());
    }
}
