//! The stack document from the outside: golden fixtures, laws, and the examples that ship.

use common::stack::{ReadOptions, Resolved, Stack, read, resolve};
use std::path::PathBuf;

/// A path from the top of the repository.
fn top(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn load(text: &str) -> (Stack, Resolved) {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    (stack, resolved)
}

#[test]
fn examples_resolve() {
    for name in ["office.yaml", "two-hosts.yaml", "one-host.yaml"] {
        let text = std::fs::read_to_string(top("scripts/stacks").join(name)).unwrap();
        let (stack, resolved) = load(&text);
        println!("{}", serde_json::to_string_pretty(&common::stack::resolved_document(&stack, &resolved)).unwrap());
    }
}
