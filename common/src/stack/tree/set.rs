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
    let mut node = root;
    for key in path.split('.') {
        if matches!(node.value, Value::Null) {
            node.value = Value::Map(Vec::new());
        }
        node = match &mut node.value {
            Value::Map(entries) => entry(entries, key),
            Value::List(items) => match key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => item,
                None => return Err(wrong(format!("--set {path}: the list has no item `{key}`"))),
            },
            _ => return Err(wrong(format!("--set {path}: `{key}` is below a text"))),
        };
    }
    node.at = NOWHERE;
    node.value = value(text).map_err(|why| wrong(format!("--set {path}: {why}")))?;
    Ok(())
}

fn entry<'n, 'a>(entries: &'n mut Vec<Entry<'a>>, key: &'a str) -> &'n mut Node<'a> {
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let value = Node { at: NOWHERE, value: Value::Null };
        entries.push(Entry { key: Cow::Borrowed(key), at: NOWHERE, value });
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
