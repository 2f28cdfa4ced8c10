//! `--set key=value`: overrides on the tree, before anything is decoded.

use super::{Entry, NOWHERE, Node, Source, Value, parse};
use crate::{Failure, Failures, Kind};
use std::borrow::Cow;

/// Sets the value at a path, creating missing maps. The value is a text unless it begins with `[` or `{`; an empty value
/// removes the key.
///
/// # Errors
/// If there is no `=`, the path leads through a text, or the value is not YAML.
pub(crate) fn set<'a>(root: &mut Node<'a>, assignment: &'a str) -> Result<(), Failures> {
    let wrong = |message: String| {
        let failure = Failure::new(Kind::Usage, "stack.set", message);
        Failures::from(failure.hint("for example: --set instances.web.count=3"))
    };
    let Some((path, text)) = assignment.split_once('=').filter(|(path, _)| !path.is_empty()) else {
        return Err(wrong(format!("--set {assignment}: expected key=value")));
    };
    let value = value(text).map_err(|why| wrong(format!("--set {path}: {why}")))?;
    put(root, path, Node { at: NOWHERE, value }, NOWHERE).map_err(|why| wrong(format!("--set {path}: {why}")))
}

/// Sets a value at a path; missing maps are created, with the given position in the text. Null removes the key.
pub(super) fn put<'a>(root: &mut Node<'a>, path: &str, value: Node<'a>, at: u32) -> Result<(), String> {
    let (above, last) = path.rsplit_once('.').map_or((None, path), |(above, last)| (Some(above), last));
    let mut node = root;
    for key in above.into_iter().flat_map(|above| above.split('.')) {
        if matches!(node.value, Value::Null) {
            node.value = Value::Map(Vec::new());
        }
        node = match &mut node.value {
            Value::Map(entries) => below(entries, key, at),
            Value::List(items) => item(items, key)?,
            _ => return Err(format!("`{key}` is below a text")),
        };
    }
    if matches!(node.value, Value::Null) {
        node.value = Value::Map(Vec::new());
    }
    match &mut node.value {
        Value::Map(entries) if matches!(value.value, Value::Null) => {
            entries.retain(|entry| entry.key != last)
        }
        Value::Map(entries) => *below(entries, last, at) = value,
        Value::List(items) => *item(items, last)? = value,
        _ => return Err(format!("`{last}` is below a text")),
    }
    Ok(())
}

fn item<'n, 'a>(items: &'n mut [Node<'a>], key: &str) -> Result<&'n mut Node<'a>, String> {
    let found = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
    found.ok_or_else(|| format!("the list has no item `{key}`"))
}

fn below<'n, 'a>(entries: &'n mut Vec<Entry<'a>>, key: &str, at: u32) -> &'n mut Node<'a> {
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let value = Node { at, value: Value::Null };
        entries.push(Entry { key: Cow::Owned(key.to_owned()), at, value });
        entries.len() - 1
    });
    &mut entries[index].value
}

fn value(text: &str) -> Result<Value<'_>, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    if !text.starts_with(['[', '{']) {
        return Ok(Value::Plain(Cow::Borrowed(text)));
    }
    let mut node = parse(text).map_err(|faults| {
        faults
            .into_iter()
            .next()
            .map_or_else(String::new, |fault| fault.failure(&Source::new("", text)).message)
    })?;
    forget(&mut node);
    Ok(node.value)
}

/// Places in a flag's value are not places in the file.
fn forget(node: &mut Node<'_>) {
    node.at = NOWHERE;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(forget),
        Value::Map(entries) => {
            for entry in entries {
                entry.at = NOWHERE;
                forget(&mut entry.value);
            }
        }
        _ => {}
    }
}
