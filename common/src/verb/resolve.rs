//! `resolve` and `schema`: the stack and its derived values; no host is contacted.

use super::report::Document as CheckDocument;
use super::{ResolveArgs, StackArgs};
use crate::document;
use crate::failure::{Failure, Failures, Kind, Place};
use crate::host::file::{self, Mode};
use crate::host::named;
use crate::log;
use crate::plan::{Plan, Report};
use crate::stack::{self, ReadOptions, Resolved, Stack};
use crate::stdio::{self, Output};
use crate::tool::{ObservedOf, Tool};
use schemars::schema_for;
use serde_json::json;
use std::path::Path;

pub(super) fn run(args: &ResolveArgs, output: &Output) -> Result<(), Failures> {
    let (stack, resolved) = read_stack(&args.stack)?;
    keep_lock(args.stack.lock.as_deref(), &resolved)?;
    // A plan refuses them; here only addresses are derived.
    let unmade = stack::unbuilt::networks(&resolved, "stack.unbuilt");
    unmade.iter().for_each(|failure| log::warning(&failure.to_string()));
    Ok(output.emit(&[stack::resolved_document(&stack, &resolved)])?)
}

/// Reads, validates and resolves the stack that flags name.
///
/// # Errors
/// Every problem of the document at once, kind `Data`.
pub fn read_stack(args: &StackArgs) -> Result<(Stack, Resolved), Failures> {
    let from = args.file();
    super::hint::remember(args.input.as_deref().filter(|p| p.as_os_str() != "-"), from.is_some());
    let (text, file) = stdio::read(from.as_deref()).map_err(whence)?;
    let lock = args.lock.as_deref().map(read_lock).transpose()?.flatten();
    let (mut stack, warnings) = stack::read(&text, &file, &options(args))?;
    if let Some(lock) = lock.filter(|lock| lock.stack == stack.name) {
        stack.resolved = Some(Box::new(lock));
    }
    let resolved = stack::resolve(&stack)?;
    for warning in warnings {
        let told = Failure::new(Kind::Data, &warning.code, warning.message);
        log::warning(&Failure { at: warning.at, hint: warning.hint, ..told }.to_string());
    }
    Ok((stack, resolved))
}

/// Adds line and column to failures that have only a path of the document, if that is a file.
pub fn located(failures: Failures, from: &StackArgs) -> Failures {
    let again = from.file().and_then(|path| stdio::read(Some(&path)).ok());
    match again {
        Some((text, file)) => stack::located(&text, &file, &options(from), failures),
        None => failures,
    }
}

/// Where parts of a document are, as `FILE:LINE:COLUMN`, if it is a file that has them.
pub fn places(paths: Vec<String>, from: &StackArgs) -> Vec<Option<String>> {
    let aimed = |path: String| Failure::new(Kind::Data, "", "").at(path);
    let Failures(aimed) = located(Failures(paths.into_iter().map(aimed).collect()), from);
    let place = |at: Place| (at.line > 0).then(|| format!("{}:{}:{}", at.file, at.line, at.column));
    aimed.into_iter().map(|failure| failure.at.and_then(place)).collect()
}

fn options(args: &StackArgs) -> ReadOptions {
    ReadOptions { environment: args.environment(), set: args.set.clone(), keep_going: args.keep_going }
}

/// Explains where a stack was looked for when none was named.
fn whence(failure: Failure) -> Failure {
    match failure.code.as_str() {
        "usage.stdin" => failure
            .hint("name a stack file, use a pipe, set LSX_STACK, or change to a folder with a stack.yaml"),
        _ => failure,
    }
}

fn read_lock(path: &Path) -> Result<Option<Resolved>, Failures> {
    let Some(text) = file::read(path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| {
        let message = format!("{}: not a lock file written by lsx: {e}", path.display());
        Failure::new(Kind::Data, "stack.lock", message)
            .hint("remove the file to derive every value again")
            .into()
    })
}

/// Writes the lock file if the flags name one.
pub(super) fn keep_lock(path: Option<&Path>, resolved: &Resolved) -> Result<(), Failure> {
    match path {
        Some(path) => named::write(path, &document::canonical(resolved)?, Mode::Public).map(|_| ()),
        None => Ok(()),
    }
}

pub(super) fn schema<T: Tool>(tool: &T, output: &Output) -> Result<(), Failures> {
    let mut documents = json!({
        "stack": stack::schema(),
        "observed": schema_for!(ObservedOf<T>),
        "plan": schema_for!(Plan<T::Object, T::Data>),
        "report": schema_for!(Report),
        "check": schema_for!(CheckDocument<'_>),
        "event": schema_for!(log::Event),
        "failure": schema_for!(Failure),
    });
    tool.schemas().into_iter().for_each(|(name, schema)| documents[name] = json!(schema));
    Ok(output.emit(&[documents])?)
}
