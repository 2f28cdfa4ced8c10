//! The smaller sections: images, defaults, secrets.

use super::at::{At, string};
use super::outside;
use super::words::pairs;
use crate::model::{Defaults, Image, RecipeValue};
use crate::tree::Value;
use crate::value::{Driver, Restart, generation};
use crate::value::{Parsed, Wrong, address};
use std::collections::BTreeMap;

pub(super) const DRIVERS: [(&str, Driver); 4] =
    [("oci", Driver::Oci), ("lxd", Driver::Lxd), ("incus", Driver::Incus), ("docker", Driver::Docker)];
pub(super) const RESTARTS: [(&str, Restart); 3] =
    [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("no", Restart::No)];

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

/// An image of the `oci` driver: any text except the name of an archive without its prefix.
fn oci(text: &str) -> Parsed<String> {
    let packed = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"].iter().any(|end| text.ends_with(end));
    if packed && !text.contains(':') {
        return Err(Wrong::new(
            format!("`{text}` is an archive without the prefix tar:"),
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
        proxy: table.get("proxy", outside::proxy),
        values: table.get("values", values).unwrap_or_default(),
    };
    table.finish();
    Some(defaults)
}

/// The file of a secret. The secret itself must not be in the document.
pub(super) fn secret(at: At<'_, '_>) -> Option<String> {
    let text = at.text()?;
    let path = |scheme: &str| text.strip_prefix(scheme).is_some_and(|path| !path.is_empty());
    let inner = text.strip_prefix("yaml:").and_then(|rest| rest.rsplit_once('#'));
    let value = inner.is_some_and(|(path, key)| !path.is_empty() && !key.is_empty());
    if !path("file:") && !path("age:") && !value && generation(text).is_none() {
        // The text may be the secret, so it is neither repeated nor shown.
        at.secret(
            "stack.secret.written",
            "a secret must not be in the document",
            "write the file that has it, like file:secrets/db or age:secrets/db.age, a value of one, like yaml:secrets.yml#db.password, or derive",
        );
        return None;
    }
    Some(text.to_owned())
}

/// Values for recipes: names of shell variables, and texts or names of secrets.
fn values(at: At<'_, '_>) -> Option<BTreeMap<String, RecipeValue>> {
    let name = |at: At<'_, '_>, key: &str| {
        let letters = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !letters || !key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let hint = "letters, digits and underscores, with no digit in front, like salt_master";
            at.key_wrong(Wrong::new(format!("`{key}` is not a name of a shell variable"), hint));
        }
    };
    at.entries(name, |at| match &at.node.value {
        Value::Null => Some(RecipeValue::Text(String::new())),
        Value::Map(_) => {
            let table = at.table()?;
            let secret = table.need("secret", string);
            table.finish();
            secret.map(RecipeValue::Secret)
        }
        _ => string(at).map(RecipeValue::Text),
    })
}
