//! Secrets on the operator's machine: their sources and values. Every tool gets the same value.
//!
//! A place is a text that a plan may contain: a path, `yaml:PATH#KEY`, `age:PATH`, or `derive:GENERATION@PLACE` with the place of the seed.

pub mod age;
mod derive;

use crate::document;
use crate::failure::{Failure, Kind};
use crate::host::{file, limit};
use crate::stack::{self, Stack};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The secret that others are derived from.
pub const SEED: &str = "seed";

const YAML: &str = "yaml:";
const AGE: &str = "age:";
const DERIVE: &str = "derive:";

/// Key files for encrypted secrets, from the flags.
static KEYS: OnceLock<age::Keys> = OnceLock::new();

/// Records these files.
pub(crate) fn unlock_with(identity: Option<PathBuf>, passphrase: Option<PathBuf>) {
    let _ = KEYS.set(age::Keys { identity, passphrase });
}

fn failed(code: &str, message: String) -> Failure {
    Failure::new(Kind::Data, code, message)
}

/// The place of a secret of the document; `beside` resolves paths of the document.
///
/// # Errors
/// If the document does not define the secret, or came from standard input.
pub fn place(
    secrets: &BTreeMap<String, String>,
    name: &str,
    beside: &dyn Fn(&str) -> PathBuf,
) -> Result<String, Failure> {
    let unknown = || {
        failed("secret.place", format!("secret {name} has no source"))
            .hint(format!("write it in `secrets`, as {name}: file:PATH"))
    };
    let source = secrets.get(name).ok_or_else(unknown)?;
    let absolute = |path: &str| {
        std::path::absolute(beside(path))
            .map(|path| path.display().to_string())
            .map_err(|e| file::failure(Path::new(path), "find", &e))
    };
    if let Some(path) = source.strip_prefix("file:") {
        return absolute(path);
    }
    if let Some(path) = source.strip_prefix(AGE) {
        return Ok(format!("{AGE}{}", absolute(path)?));
    }
    if let Some(value) = source.strip_prefix(YAML) {
        let (path, key) = value.rsplit_once('#').ok_or_else(unknown)?;
        if path == "-" {
            let message =
                format!("secret {name} is in a document from standard input, which cannot be read again");
            return Err(failed("secret.place", message).hint("name the file, as in: lsx-ct up lstacker.yml"));
        }
        return Ok(format!("{YAML}{}#{key}", absolute(path)?));
    }
    let generation = stack::generation(source).filter(|_| name != SEED).ok_or_else(unknown)?;
    Ok(format!("{DERIVE}{generation}@{}", place(secrets, SEED, beside)?))
}

/// The digest of a secret's value, as in documents.
pub fn digest(value: &[u8]) -> String {
    format!("sha256:{}", document::digest(value))
}

/// A secret that a document names, as it was found on the operator's machine. Its value stays there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The digest of its value.
    pub digest: String,
    /// Its place.
    pub place: String,
}

/// Finds a secret of a document; `beside` resolves paths of the document.
///
/// # Errors
/// As [`place`] and [`value`].
pub fn find(stack: &Stack, name: &str, beside: &dyn Fn(&str) -> PathBuf) -> Result<Found, Failure> {
    let place = place(&stack.secrets, name, beside)?;
    let digest = digest(&value(&stack.name, name, &place)?);
    Ok(Found { digest, place })
}

/// Reads a secret of a stack at its place.
///
/// # Errors
/// If the file is missing, too large or not a regular file, the value is missing, or decryption fails.
pub fn value(stack: &str, name: &str, place: &str) -> Result<Vec<u8>, Failure> {
    if let Some((path, key)) = place.strip_prefix(YAML).and_then(|place| place.rsplit_once('#')) {
        return in_document(name, path, key);
    }
    if let Some(path) = place.strip_prefix(AGE) {
        let bytes = whole(name, path, age::most(limit::SECRET))?;
        let opened = KEYS.get().unwrap_or(&age::Keys::default()).open(&bytes, limit::SECRET);
        return opened.map_err(|why| {
            let message = format!("secret {name}: cannot decrypt {path}: {}", why.message);
            Failure { hint: why.hint, ..failed("secret.age", message) }
        });
    }
    let Some((generation, seed)) = place.strip_prefix(DERIVE).and_then(|rest| rest.split_once('@')) else {
        return whole(name, place, limit::SECRET);
    };
    let seed = value(stack, SEED, seed)?;
    derive::derive(&seed, stack, name, generation).map(String::into_bytes).ok_or_else(|| {
        let message = format!("secret {name}: the seed has fewer than {} bytes", derive::LEAST);
        failed("secret.seed", message).hint("make one: head -c 32 /dev/urandom | base64 >secrets/seed")
    })
}

fn in_document(name: &str, path: &str, key: &str) -> Result<Vec<u8>, Failure> {
    let unread =
        |why: String| failed("secret.read", format!("secret {name}: cannot read {key} in {path}: {why}"));
    let bytes = whole(name, path, limit::SECRET)?;
    let text = String::from_utf8(bytes).map_err(|_| unread("it is not UTF-8".to_owned()))?;
    let found = stack::text_at(&text, key).map_err(|failure| unread(failure.message))?;
    found.map(String::into_bytes).ok_or_else(|| unread("no text at that key".to_owned()))
}

fn whole(name: &str, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let unread = |why: String| failed("secret.read", format!("secret {name}: cannot read {path}: {why}"));
    match file::read_at_most(Path::new(path), most) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(unread("no such file".to_owned())),
        Err(failure) => Err(unread(failure.message)),
    }
}
