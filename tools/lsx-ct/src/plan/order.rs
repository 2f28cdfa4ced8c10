//! Who waits for whom.

use crate::model::Instance;
use std::collections::BTreeMap;

/// How many others have to be ready, one after the other, before an instance can be: 0 for one that needs nobody. On every host
/// those with fewer come first, so that a waiting one never keeps from beginning what it waits for.
pub fn depths<'a>(instances: impl Iterator<Item = &'a Instance>) -> BTreeMap<String, usize> {
    let needs: BTreeMap<&str, Vec<&str>> =
        instances.map(|i| (i.name.as_str(), i.needs.iter().map(|n| n.instance.as_str()).collect())).collect();
    let mut depths = BTreeMap::new();
    for name in needs.keys() {
        depth(name, &needs, &mut depths);
    }
    depths
}

/// The rules of the stack allow no circles; one in what a host kept ends here all the same, as the entry stands before its needs.
fn depth(name: &str, needs: &BTreeMap<&str, Vec<&str>>, depths: &mut BTreeMap<String, usize>) -> usize {
    if let Some(known) = depths.get(name) {
        return *known;
    }
    depths.insert(name.to_owned(), 0);
    let deepest = needs.get(name).into_iter().flatten().map(|need| depth(need, needs, depths) + 1).max();
    depths.insert(name.to_owned(), deepest.unwrap_or_default());
    deepest.unwrap_or_default()
}
