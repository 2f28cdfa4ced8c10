//! Values that several sections share: names, maps of texts, paths, modes.

use super::at::{At, string};
use crate::tree::Value;
use crate::value::{Parsed, Wrong};
use std::collections::BTreeMap;

/// Names of images, secrets and volumes: they become file names, never host names, so `_`, `.` and capitals are allowed.
pub(crate) fn label(at: At<'_, '_>, key: &str) {
    let good = (1..=63).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !good {
        let hint = "at most 63 letters, digits, hyphens, underscores and dots";
        at.key_wrong(Wrong::new(format!("`{key}` is not a name"), hint));
    }
}

/// A map of texts, such as an environment: numbers and words are kept as written.
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
            at.key_wrong(Wrong::new("a name must not be empty or contain `=`", "like DATABASE"));
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
    Err(Wrong::new(format!("`{text}` is not an absolute path"), "it must begin with / and not contain .."))
}

/// A file relative to the document.
pub(crate) fn source(text: &str) -> Parsed<String> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new("the name of the file is empty", "a path relative to the document"));
    }
    Ok(text.to_owned())
}

/// Permissions of a file in octal digits, as for chmod(1).
pub(crate) fn mode(text: &str) -> Parsed<u32> {
    let wrong =
        || Wrong::new(format!("`{text}` is not a file mode"), "three or four octal digits, like 0644");
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|_| digits).ok_or_else(wrong)
}
