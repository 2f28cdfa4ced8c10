//! Variables in values, as in Compose: `$NAME`, `${NAME}`, with `:-` `-` `:?` `?` `:+` `+`; `$$` is a dollar sign.

use super::{Log, Spot};
use crate::tree::{Node, Value};
use crate::{Failure, Kind};
use std::borrow::Cow;

type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Replaces them in every value of a document. Keys are not changed.
pub(super) fn tree(node: &mut Node<'_>, lookup: Lookup<'_>, log: &Log) {
    match &mut node.value {
        Value::Plain(words) | Value::Quoted(words) if words.contains('$') => match text(words, lookup) {
            Ok(made) => *words = Cow::Owned(made),
            Err(wrong) => {
                let hint = "$$ is a dollar sign; variables come from the environment and from .env";
                let failure = Failure::new(Kind::Data, "compose.variable", wrong).hint(hint);
                // The value may be a password, so the line is not shown.
                log.push(failure, Spot::Hidden(node.at));
                node.value = Value::Null; // reported once: no other code must report it again
            }
        },
        Value::List(items) => items.iter_mut().for_each(|item| tree(item, lookup, log)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| tree(&mut entry.value, lookup, log)),
        _ => {}
    }
}

/// Limits: nested variables in defaults, and the length of a value.
const DEPTH: usize = 16;
const LONGEST: usize = 1024 * 1024;

/// Replaces the variables of one text. An unset one is empty.
pub(super) fn text(words: &str, lookup: Lookup<'_>) -> Result<String, String> {
    expand(words, lookup, 0)
}

fn expand(words: &str, lookup: Lookup<'_>, depth: usize) -> Result<String, String> {
    if depth > DEPTH {
        return Err(format!("variables in defaults are nested more than {DEPTH} deep"));
    }
    let (mut made, mut rest) = (String::new(), words);
    while let Some(dollar) = rest.find('$') {
        made.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            made.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or("`${` has no closing brace")?;
            made.push_str(&braced(&after[..end], lookup, depth)?);
            rest = &after[end + 1..];
        } else {
            let end = name_end(rest);
            if end == 0 {
                return Err(format!(
                    "`${}` is not a variable",
                    rest.chars().next().map(String::from).unwrap_or_default()
                ));
            }
            made.push_str(&lookup(&rest[..end]).unwrap_or_default());
            rest = &rest[end..];
        }
        if made.len() > LONGEST {
            return Err("with its variables, a value is larger than 1 MiB".to_owned());
        }
    }
    Ok(made + rest)
}

/// The length of the name at the beginning, in bytes.
fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The position of the closing brace of an expression that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

fn braced(inside: &str, lookup: Lookup<'_>, depth: usize) -> Result<String, String> {
    let end = name_end(inside);
    let (name, rest) = inside.split_at(end);
    if name.is_empty() {
        return Err(format!("`${{{inside}}}` is not a variable"));
    }
    let (colon, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
    // With a colon, an empty value counts as unset.
    let value = lookup(name).filter(|value| !colon || !value.is_empty());
    let mut letters = rest.chars();
    let (how, word) = (letters.next(), letters.as_str());
    match (how, value) {
        (None, value) if !colon => Ok(value.unwrap_or_default()),
        (Some('-'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => expand(word, lookup, depth + 1),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), Some(value)) => Ok(value),
        (Some('?'), None) if word.is_empty() => Err(format!("the variable {name} is not set")),
        (Some('?'), None) => Err(format!("the variable {name} is not set: {word}")),
        _ => Err(format!("`${{{inside}}}` is not a variable")),
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    fn with(words: &str) -> Result<String, String> {
        text(words, &|name| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn every_form_of_the_specification_is_known() {
        for (words, made) in [
            ("x$A-${A}", "x1-1"),
            ("$$A $${A}", "$A ${A}"),
            ("${NONE:-d}${EMPTY:-d}${EMPTY-d}", "dd"),
            ("${A:+r}${NONE:+r}${EMPTY+r}${EMPTY:+r}", "rr"),
            ("${NONE:-${A:-x}/${NONE-y}}", "1/y"),
            ("$NONE|", "|"),
        ] {
            assert_eq!(with(words).as_deref(), Ok(made), "{words}");
        }
    }

    #[test]
    fn what_is_no_variable_is_told() {
        for words in ["${", "$", "$1", "${A", "${A!}", "${}", "${NONE:?}", "${NONE?why}", "${A:}"] {
            assert!(with(words).is_err(), "{words}");
        }
        assert_eq!(with("${NONE:?why}").unwrap_err(), "the variable NONE is not set: why");
    }

    #[test]
    fn defaults_within_defaults_have_an_end() {
        let deep = format!("{}x{}", "${N:-".repeat(200), "}".repeat(200));
        assert!(with(&deep).unwrap_err().contains("deep"));
    }
}
