//! The smaller sections: images, defaults, balance, secrets, and the words several sections share.

use super::at::{At, string};
use crate::stack::model::{Balance, Defaults, Image, Mode, Sticky};
use crate::stack::tree::Value;
use crate::stack::value::{Driver, Restart};
use crate::stack::value::{Parsed, Wrong, address, cidr_or_address, domain, port};
use std::collections::BTreeMap;

pub(super) const DRIVERS: [(&str, Driver); 4] =
    [("oci", Driver::Oci), ("lxd", Driver::Lxd), ("incus", Driver::Incus), ("docker", Driver::Docker)];
pub(super) const RESTARTS: [(&str, Restart); 3] =
    [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("no", Restart::No)];
const MODES: [(&str, Mode); 3] = [("tcp", Mode::Tcp), ("http", Mode::Http), ("tls", Mode::Tls)];
const STICKY: [(&str, Sticky); 2] = [("cookie", Sticky::Cookie), ("source", Sticky::Source)];

/// Names of images, secrets and volumes: they become file names, never host names, so `_`, `.` and capitals are good.
pub(super) fn label(at: At<'_, '_>, key: &str) {
    let good = (1..=63).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !good {
        let hint = "at most 63 letters, digits, hyphens, underscores and dots";
        at.key_wrong(Wrong::new(format!("`{key}` is no name"), hint));
    }
}

pub(super) fn image(at: At<'_, '_>) -> Option<Image> {
    let table = at.table()?;
    let image = Image {
        oci: table.get("oci", |at| at.parse(oci)),
        lxd: table.get("lxd", string),
        incus: table.get("incus", string),
        docker: table.get("docker", string),
    };
    table.finish();
    Some(image)
}

/// An image of the `oci` driver: any text but the name of an archive without its form.
fn oci(text: &str) -> Parsed<String> {
    let packed = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"].iter().any(|end| text.ends_with(end));
    if packed && !text.contains(':') {
        return Err(Wrong::new(
            format!("`{text}` is an archive without its form"),
            format!("write tar:{text}"),
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn defaults(at: At<'_, '_>) -> Option<Defaults> {
    let table = at.table()?;
    let defaults = Defaults {
        host: table.get("host", string),
        driver: table.get("driver", |at| at.word(&DRIVERS)),
        restart: table.get("restart", |at| at.word(&RESTARTS)),
        resolver: table.get("resolver", |at| at.many(|at| at.parse(address))).unwrap_or_default(),
        ssh_keys: table.get("ssh_keys", |at| at.many(string)).unwrap_or_default(),
        env: table.get("env", pairs).unwrap_or_default(),
        values: table.get("values", pairs).unwrap_or_default(),
    };
    table.finish();
    Some(defaults)
}

pub(super) fn balance(at: At<'_, '_>) -> Option<Balance> {
    let table = at.table()?;
    let balance = Balance {
        host: table.need("host", string).unwrap_or_default(),
        listen: table.need("listen", |at| at.many(|at| at.parse(port))).unwrap_or_default(),
        address: table.get("address", |at| at.parse(address)),
        hostname: table.get("hostname", |at| at.many(|at| at.parse(domain))).unwrap_or_default(),
        to: table.need("to", string).unwrap_or_default(),
        port: table.need("port", |at| at.parse(port)).unwrap_or_default(),
        network: table.get("network", string),
        mode: table.get("mode", |at| at.word(&MODES)),
        sticky: table.get("sticky", |at| at.word(&STICKY)),
        tls: table.get("tls", string),
        from: table.get("from", |at| at.many(|at| at.parse(cidr_or_address))).unwrap_or_default(),
    };
    table.finish();
    Some(balance)
}

/// Where a secret is read. The secret itself has no business in the document.
pub(super) fn secret(at: At<'_, '_>) -> Option<String> {
    let text = at.text()?;
    if text.strip_prefix("file:").is_none_or(str::is_empty) {
        // The text may be the secret: it is neither repeated nor shown.
        at.secret(
            "stack.secret.written",
            "a secret is named, never written",
            "the file that holds it, like file:secrets/db",
        );
        return None;
    }
    Some(text.to_owned())
}

/// Texts by name, such as an environment: numbers and words stay as they are written.
pub(super) fn pairs(at: At<'_, '_>) -> Option<BTreeMap<String, String>> {
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
pub(super) fn absolute(text: &str) -> Parsed<String> {
    if text.starts_with('/') && !text.split('/').any(|part| part == "..") && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is no absolute path"), "it begins with / and has no .. in it"))
}

/// A file beside the document.
pub(super) fn source(text: &str) -> Parsed<String> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new("a file needs a name", "a path relative to the document"));
    }
    Ok(text.to_owned())
}

/// Permissions of a file, as chmod(1) takes them in digits.
pub(super) fn mode(text: &str) -> Parsed<u32> {
    let wrong = || Wrong::new(format!("`{text}` is no mode"), "three or four octal digits, like 0644");
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|_| digits).ok_or_else(wrong)
}
