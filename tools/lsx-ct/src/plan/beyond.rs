//! Warns that files of an image belong to ids that its instance does not have.

use super::Goals;
use crate::model::{Gathered, Instance};
use common::plan::Warning;
use common::stack::Driver;
use std::collections::BTreeMap;

/// A warning for each entry of the document. LXD and Incus decide by themselves how many ids an instance has, unless the
/// document does.
pub(super) fn warnings(goals: &Goals, gathered: &Gathered) -> Vec<Warning> {
    let decided = |i: &&Instance| i.driver == Driver::Oci || i.ids.is_some();
    let beyond = |i: &Instance| {
        let highest = *gathered.highest.get(&i.image.digest)?;
        (highest >= i.ids()).then(|| (i.of.clone(), warning(i, highest)))
    };
    let all: BTreeMap<String, Warning> =
        goals.values().flatten().filter(decided).filter_map(beyond).collect();
    all.into_values().collect()
}

fn warning(instance: &Instance, highest: u32) -> Warning {
    let (of, image, ids) = (&instance.of, &instance.image.name, instance.ids());
    let message = format!(
        "files of image {image} belong to ids up to {highest}, but {of} has {ids} ids and shows those above as nobody's: \
         write instances.{of}.ids: {}",
        u64::from(highest) + 1
    );
    Warning { code: "ct.plan.ids".to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(driver: &str, ids: Option<u32>, highest: u32) -> Vec<String> {
        let instance: Instance = serde_json::from_value(json!({
            "name": "a-1", "of": "a", "driver": driver, "image": {"name": "i", "digest": "d"}, "hostname": "a", "ids": ids,
            "nics": [], "restart": "always", "hosts": "x", "running": true,
        }))
        .unwrap();
        let second = Instance { name: "a-2".to_owned(), ..instance.clone() };
        let gathered = Gathered { highest: [("d".to_owned(), highest)].into(), ..Gathered::default() };
        let goals = [("h1".to_owned(), vec![instance]), ("h2".to_owned(), vec![second])].into();
        warnings(&goals, &gathered).into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn an_image_with_higher_ids_than_its_instance_is_told_once() {
        let message = "files of image i belong to ids up to 70000, but a has 65536 ids and shows those above as nobody's: \
                       write instances.a.ids: 70001";
        assert_eq!(told("oci", None, 70_000), [message]);
        assert!(told("oci", None, 65_535).is_empty() && told("oci", Some(70_001), 70_000).is_empty());
        assert_eq!(told("oci", Some(70_000), 70_000).len(), 1);
        assert_eq!((told("lxd", None, 70_000).len(), told("incus", Some(70_000), 70_000).len()), (0, 1));
    }
}
