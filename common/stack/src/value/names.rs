//! Names of the stack and of DNS.

use super::{Parsed, Wrong};

/// Whether a text is a name: `[a-z][a-z0-9-]{0,30}`.
pub(crate) fn name(text: &str) -> Parsed<()> {
    let bytes = text.as_bytes();
    let first = bytes.first().is_some_and(u8::is_ascii_lowercase);
    let rest = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if first && rest && bytes.len() <= 31 {
        return Ok(());
    }
    Err(Wrong::new(
        format!("`{text}` is not a name"),
        "a lower-case letter, then at most 30 lower-case letters, digits or hyphens",
    ))
}

/// Longest domain: with a label and a network's name before it, the name still fits in 253 bytes (RFC 1035 2.3.4).
const MAX_DOMAIN: usize = 150;
/// Longest name of an instance in DNS: a replica's number is appended, and a label has at most 63 bytes.
const MAX_LABEL: usize = 57;

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a DNS domain of letters, digits and hyphens (RFC 1123).
pub(crate) fn domain(text: &str) -> Parsed<String> {
    if text.len() <= MAX_DOMAIN && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    let hint = "labels of lower-case letters, digits and hyphens, at most 150 bytes, like office.internal";
    Err(Wrong::new(format!("`{text}` is not a domain"), hint))
}

/// Whether a text is one label of a DNS name.
pub(crate) fn label(text: &str) -> Parsed<String> {
    if is_label(text) && text.len() <= MAX_LABEL {
        return Ok(text.to_owned());
    }
    let hint = "at most 57 lower-case letters, digits and hyphens";
    Err(Wrong::new(format!("`{text}` is not a name in DNS"), hint))
}

/// The name of a host in certificates and requests; `*` may stand for its first label (RFC 9525 6.3).
pub(crate) fn hostname(text: &str) -> Parsed<String> {
    let wild = text.strip_prefix("*.");
    let rest = wild.unwrap_or(text);
    if text.len() <= 253 && rest.split('.').all(is_label) && wild.is_none_or(|rest| rest.contains('.')) {
        return Ok(text.to_owned());
    }
    let hint = "labels of lower-case letters, digits and hyphens, like www.internal or *.www.internal";
    Err(Wrong::new(format!("`{text}` is not a host name"), hint))
}

/// The name of a record below a domain: `@` is the domain itself, `*` may be the first label (RFC 4592).
pub(crate) fn record(text: &str) -> Parsed<String> {
    let rest = text.strip_prefix("*.").unwrap_or(text);
    if ["@", "*"].contains(&text) || (text.len() <= MAX_DOMAIN && rest.split('.').all(is_label)) {
        return Ok(text.to_owned());
    }
    let hint = "labels below the stack's domain, like printer or web.office; @ is the domain itself";
    Err(Wrong::new(format!("`{text}` is not a name of a DNS record"), hint))
}

/// The target name of a record; with a dot at its end it is fully qualified.
pub(crate) fn target(text: &str) -> Parsed<String> {
    let rest = text.strip_suffix('.').unwrap_or(text);
    if text.len() <= 253 && rest.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    let hint = "a name below the stack's domain, like web.production, or a fully qualified one, like www.example.org.";
    Err(Wrong::new(format!("`{text}` is not a name in DNS"), hint))
}

/// Whether a name is a domain or below it.
pub(crate) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
