//! Words that several sections share: names, texts by name, paths, modes.

use super::at::{At, string};
use crate::stack::tree::Value;
use crate::stack::value::{Parsed, Wrong};
use std::collections::BTreeMap;

/// Names of images, secrets and volumes: they become file names, never host names, so `_`, `.` and capitals are good.
pub(crate) fn label(at: At<'_, '_>, key: &str) {
    let good = (1..=63).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !good {
        let hint = "at most 63 letters, digits, hyphens, underscores and dots";
        at.key_wrong(Wrong::new(format!("`{key}` is no name"), hint));
    }
}

/// Texts by name, such as an environment: numbers and words stay as they are written.
pub(crate) fn pairs(at: At<'_, '_>) -> Option<BTreeMap<String, String>> {
    if let Value::List(items) = &at.node.value {
        let pair = |text: &str| text.split_once('=').map(|(name, value)| format!("{name}: {value:?}"));
        let pairs: Vec<String> = items.iter().filter_map(|item| pair(item.text()?)).collect();
        let like = if pairs.is_empty() { "NAME: value".to_owned() } else { pairs.join(", ") };
        at.mistake("stack.type", "expected a map, got a list".to_owned(), format!("a map: {{ {like} }}"));
        return None;
    }
    let name = |at: At<'_, '_>, key: &str| {
        let good = !key.is_empty() && !key.contains(['=', '\0']);
        if !good {
            at.key_wrong(Wrong::new("a name has no `=` in it and is not empty", "like DATABASE"));
        }
    };
    at.entries(name, |at| match at.node.value {
        Value::Null => Some(String::new()),
        _ => string(at),
    })
}

/// An absolute path without `..`.
pub(crate) fn absolute(text: &str) -> Parsed<String> {
    if text.starts_with('/') && !text.split('/').any(|part| part == "..") && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is no absolute path"), "it begins with / and has no .. in it"))
}

/// A file beside the document.
pub(crate) fn source(text: &str) -> Parsed<String> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new("a file needs a name", "a path relative to the document"));
    }
    Ok(text.to_owned())
}

/// Permissions of a file, as chmod(1) takes them in digits.
pub(crate) fn mode(text: &str) -> Parsed<u32> {
    let wrong = || Wrong::new(format!("`{text}` is no mode"), "three or four octal digits, like 0644");
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|_| digits).ok_or_else(wrong)
}
