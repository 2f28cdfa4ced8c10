//! The order of dependencies.

use crate::model::Instance;
use std::collections::BTreeMap;

/// The number of instances that must become ready one after the other before this one can: 0 if it needs none. On every
/// host those with lower numbers come first, so that a waiting one never blocks one that it waits for.
pub fn depths<'a>(instances: impl Iterator<Item = &'a Instance>) -> BTreeMap<String, usize> {
    let needs: BTreeMap<&str, Vec<&str>> =
        instances.map(|i| (i.name.as_str(), i.needs.iter().map(|n| n.instance.as_str()).collect())).collect();
    let mut depths = BTreeMap::new();
    for name in needs.keys() {
        depth(name, &needs, &mut depths);
    }
    depths
}

/// The rules of the stack refuse cycles; a cycle in an intent ends here, too, because the entry is added before its needs.
fn depth(name: &str, needs: &BTreeMap<&str, Vec<&str>>, depths: &mut BTreeMap<String, usize>) -> usize {
    if let Some(known) = depths.get(name) {
        return *known;
    }
    depths.insert(name.to_owned(), 0);
    let deepest = needs.get(name).into_iter().flatten().map(|need| depth(need, needs, depths) + 1).max();
    depths.insert(name.to_owned(), deepest.unwrap_or_default());
    deepest.unwrap_or_default()
}
