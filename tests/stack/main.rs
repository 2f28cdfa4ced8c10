//! The stack document from outside: golden cases, properties, and the example stacks.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod fixtures;
mod laws;
mod lstacker;
mod manual;
mod mutation;
mod size;

use common::Failures;
use common::stack::{ReadOptions, Resolved, Stack, Warning, read, resolve};

/// Reads and resolves, as a tool does.
fn load(text: &str, options: &ReadOptions) -> Result<(Stack, Vec<Warning>, Resolved), Failures> {
    let (stack, warnings) = read(text, "stack.yaml", options)?;
    let resolved = resolve(&stack)?;
    Ok((stack, warnings, resolved))
}

/// The same for a document that is known to be good.
fn good(text: &str) -> (Stack, Resolved) {
    let (stack, _, resolved) =
        load(text, &ReadOptions::default()).unwrap_or_else(|failures| panic!("{failures}"));
    (stack, resolved)
}

/// The document `resolve` prints.
fn printed(stack: &Stack, resolved: &Resolved) -> String {
    serde_json::to_string_pretty(&common::stack::resolved_document(stack, resolved)).unwrap() + "\n"
}
