//! The envelope of every document: schema names, canonical bytes, digests.

use crate::failure::{Failure, Failures, Kind, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Canonical bytes: compact JSON, keys in the order of the type, one newline at the end.
///
/// # Errors
/// A bug: a value of ours that cannot be written as JSON.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec(value).map_err(|e| bug("document.write", &e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// SHA-256 of bytes (FIPS 180-4), as 64 lower-case hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a value's canonical bytes.
///
/// # Errors
/// A bug: a value of ours that cannot be written as JSON.
pub fn digest_of(value: &impl Serialize) -> Result<String, Failure> {
    Ok(digest(&canonical(value)?))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// The schema name of a document, like `lsx.net.plan/1`.
pub fn schema(tool: &str, document: &str) -> String {
    format!("lsx.{tool}.{document}/1")
}

/// Reads a document that a tool wrote: unknown keys are ignored, an unknown major version is refused.
///
/// # Errors
/// Kind `Data`: not JSON, another document, or another major version.
pub fn read<T: DeserializeOwned>(text: &str, file: &str, schema: &str) -> Result<T, Failures> {
    let value: Value = serde_json::from_str(text).map_err(|e| not_json(&e, text, file))?;
    shape(value, file, schema)
}

/// Reads several documents in a row, one per line or indented.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_all<T: DeserializeOwned>(
    text: &str,
    file: &str,
    schema: &str,
) -> Result<Vec<T>, Failures> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    values.map(|value| shape(value.map_err(|e| not_json(&e, text, file))?, file, schema)).collect()
}

fn shape<T: DeserializeOwned>(value: Value, file: &str, schema: &str) -> Result<T, Failures> {
    let found = value.get("schema").and_then(|s| s.as_str()).unwrap_or("no schema");
    if found != schema {
        let hint = match (found.rsplit_once('/'), schema.rsplit_once('/')) {
            (Some((a, _)), Some((b, _))) if a == b => {
                "it was written by another version of lsx; create it again with this version"
            }
            _ => "use the output of the verb before this one in the pipeline",
        };
        let message = format!("expected a document {schema}, got {found}");
        return Err(Failure {
            at: Some(file_place(file)),
            ..Failure::new(Kind::Data, "document.schema", message)
        }
        .hint(hint)
        .into());
    }
    serde_json::from_value(value).map_err(|e| {
        Failure { at: Some(file_place(file)), ..Failure::new(Kind::Data, "document.shape", e.to_string()) }
            .into()
    })
}

fn not_json(error: &serde_json::Error, text: &str, file: &str) -> Failures {
    let line = error.line();
    let place = Place {
        line: u32::try_from(line).unwrap_or(0),
        column: u32::try_from(error.column()).unwrap_or(0),
        text: text.lines().nth(line.saturating_sub(1)).unwrap_or_default().chars().take(200).collect(),
        ..file_place(file)
    };
    let message = error.to_string();
    let message = format!("not JSON: {}", message.split(" at line ").next().unwrap_or_default());
    Failure { at: Some(place), ..Failure::new(Kind::Data, "document.json", message) }.into()
}

fn file_place(file: &str) -> Place {
    Place { file: file.to_owned(), ..Place::default() }
}

fn bug(code: &str, error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Bug, code, error.to_string())
}
