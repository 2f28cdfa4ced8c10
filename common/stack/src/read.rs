//! The entry point: text in, a stack or all its problems out.

use super::decode::{self, Log};
use super::lstacker;
use super::model::Stack;
use super::resolved::Resolved;
use super::rules;
use super::tree::{self, Aim, Node, Source, environment};
use super::unbuilt;
use super::warning::Warning;
use crate::{Failure, Failures, Kind, Place};
use serde::Deserialize;

/// How to read a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The selected entry of `environments`.
    pub environment: Option<String>,
    /// `key=value` overrides, applied in order, after the environment and before anything else.
    pub set: Vec<String>,
    /// Mistakes in an LStacker file become warnings, and what they concern is left out.
    pub keep_going: bool,
}

/// Reads a stack from YAML, JSON or an LStacker file; `file` is named in failures (`-` for standard input).
///
/// # Errors
/// All problems with their places: of kind `Empty` for an empty document, `Usage` for an invalid override, `Data` for the
/// rest.
pub fn read(text: &str, file: &str, options: &ReadOptions) -> Result<(Stack, Vec<Warning>), Failures> {
    let mut source = Source::new(file, text);
    let mut root = tree::parse(text).map_err(|faults| {
        Failures(faults.into_iter().map(|fault: tree::Fault| fault.failure(&source)).collect())
    })?;
    choose(&mut root, &source, options.environment.as_deref())?;
    for assignment in &options.set {
        tree::set(&mut root, assignment)?;
    }
    if !lstacker::is(&root) {
        return from_stack(&root, &source);
    }
    lstacker::unshown(&root).into_iter().for_each(|at| source.hide(at));
    from_lstacker(&root, (&source, file), options)
}

/// Adds file, line and column to failures that have only a path of the document: those found after it was read. An LStacker
/// file has other paths, and a text that cannot be parsed again (it has changed) has no places: then nothing is added.
#[must_use]
pub fn located(text: &str, file: &str, options: &ReadOptions, failures: Failures) -> Failures {
    let source = Source::new(file, text);
    let Ok(mut root) = tree::parse(text) else { return failures };
    let changed = choose(&mut root, &source, options.environment.as_deref()).is_err()
        || options.set.iter().any(|assignment| tree::set(&mut root, assignment).is_err());
    if changed || lstacker::is(&root) {
        return failures;
    }
    let mut failures = failures.0;
    let bare = |place: &&mut Place| place.file.is_empty() && !place.path.is_empty();
    for place in failures.iter_mut().filter_map(|failure| failure.at.as_mut()).filter(bare) {
        *place = source.locate(&root, &place.path, Aim::Value);
    }
    Failures(failures)
}

/// The text under `path` (`lstack.ldap.password`) in any YAML document; none if there is no text.
///
/// # Errors
/// If the document is not YAML; the failure repeats no part of it.
pub fn text_at(document: &str, path: &str) -> Result<Option<String>, Failure> {
    let unread = || Failure::new(Kind::Data, "stack.yaml", "it is neither YAML nor JSON");
    let root = tree::parse(document).map_err(|_| unread())?;
    let node = path.split('.').try_fold(&root, |node, key| node.get(key));
    Ok(node.and_then(Node::text).map(str::to_owned))
}

/// Applies the selected environment to the document.
fn choose(root: &mut Node<'_>, source: &Source<'_>, wanted: Option<&str>) -> Result<(), Failures> {
    let usage = |message: String, hint: String| {
        Err(Failures::from(Failure::new(Kind::Usage, "stack.environment", message).hint(hint)))
    };
    match (environment::names(root), wanted) {
        (None, _) if environment::odd(root) => laid(root, source, ""),
        (None, None) => Ok(()),
        // A resolved document already has its environment applied.
        (None, Some(_)) if root.get("resolved").is_some() => Ok(()),
        (None, Some(wanted)) => usage(
            format!("--env {wanted}: the document has no environments"),
            "remove --env and unset LSX_ENVIRONMENT, or write environments:".to_owned(),
        ),
        (Some(names), None) => usage(
            "the document has environments, and none is selected".to_owned(),
            format!("use --env or LSX_ENVIRONMENT with one of: {}", names.join(", ")),
        ),
        (Some(names), Some(wanted)) if !names.iter().any(|name| name == wanted) => usage(
            format!("--env {wanted}: the document has no such environment"),
            decode::hint(wanted, names.iter().map(String::as_str)),
        ),
        (Some(_), Some(wanted)) => laid(root, source, wanted),
    }
}

fn laid(root: &mut Node<'_>, source: &Source<'_>, wanted: &str) -> Result<(), Failures> {
    let hint = "write keys as in --set; a short form is replaced as a whole, like networks.lan: 10.9.0.0/16; null removes a key";
    let failure = |mistake: environment::Mistake| Failure {
        at: Some(source.place(mistake.at, mistake.path)),
        ..Failure::new(Kind::Data, "stack.environment.value", mistake.message).hint(hint)
    };
    Failures(environment::lay(root, wanted).into_iter().map(failure).collect()).verdict()
}

fn from_stack(root: &Node<'_>, source: &Source<'_>) -> Result<(Stack, Vec<Warning>), Failures> {
    let (log, mut warnings) = (Log::default(), Vec::new());
    let mut stack = decode::stack(root, &log);
    if let Some(stack) = &mut stack {
        stack.resolved = lock(root, &stack.name, &log, source, &mut warnings);
        let found = rules::check(stack, log.broken());
        log.extend(found);
    }
    match stack {
        Some(stack) if log.is_empty() => {
            warnings.extend(unbuilt::warning(&stack).map(|(warning, path)| {
                let at = Some(source.locate(root, &path, Aim::Key));
                Warning { at, ..warning }
            }));
            Ok((stack, warnings))
        }
        _ => Err(log.close(root, source)),
    }
}

fn from_lstacker(
    root: &Node<'_>,
    (source, file): (&Source<'_>, &str),
    options: &ReadOptions,
) -> Result<(Stack, Vec<Warning>), Failures> {
    let (log, soft) = (Log::default(), Log::default());
    let made = lstacker::import(root, file, &log, &soft);
    let (hard, warned) = if options.keep_going { (Log::default(), Some(log)) } else { (log, None) };
    let mut warnings: Vec<Warning> = warned
        .into_iter()
        .chain([soft])
        .flat_map(|log| log.close(root, source).0)
        .map(Warning::from)
        .collect();
    let Some((mut stack, origins)) = made else { return Err(hard.close(root, source)) };
    stack.resolved = lock(root, &stack.name, &hard, source, &mut warnings);
    for failure in rules::check(&stack, hard.broken()) {
        origins.place(failure, &hard);
    }
    if hard.is_empty() { Ok((stack, warnings)) } else { Err(hard.close(root, source)) }
}

/// The lock of the document, if it is for this stack.
fn lock(
    root: &Node<'_>,
    name: &str,
    log: &Log,
    source: &Source<'_>,
    warnings: &mut Vec<Warning>,
) -> Option<Box<Resolved>> {
    let node = root.get("resolved")?;
    let of = node.get("stack").and_then(Node::text).unwrap_or_default();
    if of != name {
        warnings.push(Warning {
            code: "stack.resolved.foreign".to_owned(),
            message: format!(
                "the derived values are of stack `{of}`, so they are dropped and derived again for `{name}`"
            ),
            at: Some(source.locate(root, "resolved", Aim::Key)),
            hint: None,
        });
        return None;
    }
    match Resolved::deserialize(node) {
        Ok(resolved) => Some(Box::new(resolved)),
        Err(error) => {
            let failure =
                Failure::new(Kind::Data, "stack.resolved.malformed", "the derived values cannot be read")
                    .at("resolved")
                    .because(error)
                    .hint("remove `resolved`; the values are then derived again");
            log.push(failure, decode::Spot::Path(Aim::Key));
            None
        }
    }
}
