//! `environments`: one document for several stacks. The one that is meant is laid over the rest, before anything is decoded.

use super::set::put;
use super::{Node, Value};
use crate::stack::value::name;

/// A mistake in the section: the byte it stands at, its path, what is wrong.
pub(crate) struct Mistake {
    pub(crate) at: u32,
    pub(crate) path: String,
    pub(crate) message: String,
}

/// The names of the environments, when there are any.
pub(crate) fn names(root: &Node<'_>) -> Option<Vec<String>> {
    let entries = root.get("environments")?.entries()?;
    Some(entries.iter().map(|entry| entry.key.to_string()).collect())
}

/// Whether the section is there and no map.
pub(crate) fn odd(root: &Node<'_>) -> bool {
    root.get("environments").is_some_and(|section| section.entries().is_none())
}

/// Takes the section out of the document, and lays one environment over the rest. All of them are looked at, so that a mistake
/// in one shows whichever is meant.
pub(crate) fn lay(root: &mut Node<'_>, wanted: &str) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let Some((at, section)) = take(root) else { return mistakes };
    let environments = match section.value {
        Value::Map(environments) => environments,
        Value::Null => return mistakes,
        _ => {
            let message = "expected a map from names to what differs there".to_owned();
            return vec![Mistake { at, path: "environments".to_owned(), message }];
        }
    };
    for environment in environments {
        let path = format!("environments.{}", environment.key);
        if name(&environment.key).is_err() {
            let message = format!("`{}` is no name", environment.key);
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
                mistake(format!("`{}` is no key of the document", change.key));
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
