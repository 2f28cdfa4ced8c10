//! Decodes services outside the stack: the proxy, registries, monitoring.

use super::at::{At, string, truth};
use crate::model::{Monitoring, Proxy, RegistryAccess};
use crate::tree::Value;
use crate::value::{Parsed, Wrong, port, url};

pub(super) fn proxy(at: At<'_, '_>) -> Option<Proxy> {
    let table = at.table()?;
    let proxy = Proxy {
        http: table.get("http", proxy_url),
        https: table.get("https", proxy_url),
        except: table.get("except", |at| at.many(|at| at.parse(excepted))).unwrap_or_default(),
    };
    table.finish();
    Some(proxy)
}

/// The URL of a proxy. A password in it would be in every document and in every instance; the message does not show it.
pub(crate) fn proxy_url(at: At<'_, '_>) -> Option<String> {
    if at.text()?.contains('@') {
        at.secret(
            "stack.proxy.password",
            "the URL of a proxy must not contain a user or a password",
            "let the proxy identify its clients by their addresses",
        );
        return None;
    }
    at.parse(url)
}

/// A destination without the proxy. It becomes part of a comma-separated list, in files that a shell reads.
fn excepted(text: &str) -> Parsed<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'/' | b'*');
    if !text.is_empty() && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a name, domain or address"), "like .internal or 10.0.0.0/8"))
}

/// A registry: a list of mirrors, or a map.
pub(super) fn registry(at: At<'_, '_>) -> Option<RegistryAccess> {
    let mirrors = |at: At<'_, '_>| at.many(|at| at.parse(place));
    if !matches!(at.node.value, Value::Map(_)) {
        let registry = RegistryAccess { mirrors: mirrors(at)?, ..RegistryAccess::default() };
        return Some(registry).filter(has_settings);
    }
    let table = at.table()?;
    let registry = RegistryAccess {
        mirrors: table.get("mirrors", mirrors).unwrap_or_default(),
        ca: table.get("ca", |at| at.parse(file)),
        login: table.get("login", string),
        insecure: table.get("insecure", truth).unwrap_or_default(),
    };
    if at.node.entries().is_some_and(<[_]>::is_empty) {
        at.wrong(Wrong::new("the registry has no settings", "write mirrors, ca, login or insecure"));
    }
    table.finish();
    Some(registry).filter(has_settings)
}

/// False for an entry with default values alone, which is left out.
fn has_settings(registry: &RegistryAccess) -> bool {
    *registry != RegistryAccess::default()
}

/// The path of a file. `file:` in front of it is accepted, as in `secrets`.
fn file(text: &str) -> Parsed<String> {
    match text.strip_prefix("file:").unwrap_or(text) {
        "" => Err(Wrong::new("the path of the file is empty", "like registry.pem")),
        path => Ok(path.to_owned()),
    }
}

/// The name of a registry, as in image references.
pub(super) fn registry_name(at: At<'_, '_>, key: &str) {
    if let Err(wrong) = place(key).and_then(|_| match key.contains('/') {
        true => Err(Wrong::new(format!("`{key}` has a path"), "a registry is a host, like docker.io")),
        false => Ok(()),
    }) {
        at.key_wrong(wrong);
    }
}

/// `HOST[:PORT][/PATH]`.
fn place(text: &str) -> Parsed<String> {
    let hint = "a host, like mirror.example:5000 or cache.example/hub";
    let wrong = || Wrong::new(format!("`{text}` is not a registry"), hint);
    if text.contains("://") {
        return Err(Wrong::new(format!("`{text}` is a URL; write a registry without `https://`"), hint));
    }
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let (name, digits) = host.split_once(':').map_or((host, None), |(name, digits)| (name, Some(digits)));
    let named =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'/');
    if !named || !path.bytes().all(good) {
        return Err(wrong());
    }
    digits.map(port).transpose()?;
    Ok(text.to_owned())
}

pub(super) fn monitoring(at: At<'_, '_>) -> Option<Monitoring> {
    let table = at.table()?;
    let monitoring = Monitoring {
        network: table.get("network", string),
        port: table.get("port", |at| at.parse(port)),
        instance: table.get("instance", string),
        site: table.get("site", |at| at.parse(site)),
    };
    table.finish();
    Some(monitoring)
}

/// The name of a Checkmk site, which is also a user name there.
pub(crate) fn site(text: &str) -> Parsed<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if (1..=16).contains(&text.len()) && text.bytes().all(good) && text.as_bytes()[0].is_ascii_alphabetic() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is not a site name"),
        "at most 16 letters, digits and underscores, beginning with a letter",
    ))
}
