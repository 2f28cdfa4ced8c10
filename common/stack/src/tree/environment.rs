//! `environments`: one document for several stacks. The selected one is applied to the rest before decoding.

use super::set::put;
use super::{Node, Value};
use crate::value::name;

/// A mistake in the section: its byte position, path and message.
pub(crate) struct Mistake {
    pub(crate) at: u32,
    pub(crate) path: String,
    pub(crate) message: String,
}

/// The names of the environments, if any.
pub(crate) fn names(root: &Node<'_>) -> Option<Vec<String>> {
    let entries = root.get("environments")?.entries()?;
    Some(entries.iter().map(|entry| entry.key.to_string()).collect())
}

/// Whether the section exists and is not a map.
pub(crate) fn odd(root: &Node<'_>) -> bool {
    root.get("environments").is_some_and(|section| section.entries().is_none())
}

/// Removes the section from the document, and applies one environment to the rest. All are validated, so that a mistake
/// in one is reported whichever is selected.
pub(crate) fn lay(root: &mut Node<'_>, wanted: &str) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let Some((at, section)) = take(root) else { return mistakes };
    let environments = match section.value {
        Value::Map(environments) => environments,
        Value::Null => return mistakes,
        _ => {
            let message = "expected a map from names to differences".to_owned();
            return vec![Mistake { at, path: "environments".to_owned(), message }];
        }
    };
    for environment in environments {
        let path = format!("environments.{}", environment.key);
        if name(&environment.key).is_err() {
            let message = format!("`{}` is not a name", environment.key);
            mistakes.push(Mistake { at: environment.at, path: path.clone(), message });
        }
        let Value::Map(changes) = environment.value.value else {
            if !matches!(environment.value.value, Value::Null) {
                let message = "expected a map from keys to values".to_owned();
                mistakes.push(Mistake { at: environment.at, path, message });
            }
            continue;
        };
        for change in changes {
            let path = format!("{path}.{}", change.key);
            let words = change.key.split('.').all(|word| !word.is_empty());
            let mut mistake =
                |message: String| mistakes.push(Mistake { at: change.at, path: path.clone(), message });
            if !words
                || ["environments", "resolved"].contains(&change.key.split('.').next().unwrap_or_default())
            {
                mistake(format!("`{}` is not a key of the document", change.key));
            } else if environment.key == wanted
                && let Err(why) = put(root, &change.key, change.value, change.at)
            {
                mistake(why);
            }
        }
    }
    mistakes
}

fn take<'a>(root: &mut Node<'a>) -> Option<(u32, Node<'a>)> {
    let Value::Map(entries) = &mut root.value else { return None };
    let index = entries.iter().position(|entry| entry.key == "environments")?;
    let entry = entries.remove(index);
    Some((entry.at, entry.value))
}
