//! Names on this host, from the intents that tools keep in /etc/lsx. No engine is asked; an unreadable file has no names.

use crate::host::file;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Intents larger than this are not read while somebody is typing.
const MOST: u64 = 16 * 1024 * 1024;

/// The stacks of this host.
pub(super) fn stacks(root: &Path) -> Vec<String> {
    let kept = |stack: &String| {
        root.join(stack).join("net.json").exists() || root.join(stack).join("ct.json").exists()
    };
    entries(root).into_iter().filter(kept).collect()
}

/// The instances of this host; those of the same name in several stacks as STACK/NAME.
pub(super) fn instances(root: &Path) -> Vec<String> {
    let mut stacks_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for stack in stacks(root) {
        for name in named(&root.join(&stack).join("ct.json")) {
            stacks_of.entry(name).or_default().push(stack.clone());
        }
    }
    let names = stacks_of.into_iter().flat_map(|(name, stacks)| match stacks.as_slice() {
        [_] => vec![name],
        several => several.iter().map(|stack| format!("{stack}/{name}")).collect(),
    });
    names.collect()
}

fn entries(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = all.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The instances that an intent names.
fn named(intent: &Path) -> Vec<String> {
    let bytes = file::read_at_most(intent, MOST).ok().flatten().unwrap_or_default();
    let intent: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let all = intent["instances"].as_array().into_iter().flatten();
    // A shell takes every blank or line for another name.
    let word = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    all.filter_map(|instance| instance["name"].as_str()).filter(word).map(str::to_owned).collect()
}
