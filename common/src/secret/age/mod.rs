//! Decrypts age files (age-encryption.org/v1) with an X25519 identity or a passphrase.

mod bech32;
mod header;
mod stanza;
mod stream;
#[cfg(test)]
mod tests;
mod unwrap;

use crate::failure::{Failure, Kind};
use crate::host::{file, limit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use unwrap::Identity;

/// Maximum length of a header in bytes; each recipient takes about a hundred.
const HEADER: u64 = 64 << 10;
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// Files on this machine with the keys for encrypted files.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Identities, as age-keygen writes them; the file may itself be encrypted with the passphrase.
    pub identity: Option<PathBuf>,
    /// A file whose first line is a passphrase.
    pub passphrase: Option<PathBuf>,
}

/// Maximum length of a file with this much content, including armor.
pub(crate) fn most(content: u64) -> u64 {
    2 * content + HEADER
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Data, "secret.age", message)
}

impl Keys {
    /// The content of an encrypted file.
    ///
    /// # Errors
    /// If the file or a key is damaged, or no key decrypts it.
    pub fn open(&self, bytes: &[u8], most: u64) -> Result<Vec<u8>, Failure> {
        let plain = unarmored(bytes)?;
        let (header, payload) = header::read(&plain)?;
        let identities = if header.by_passphrase() { vec![self.passphrase()?] } else { self.identities()? };
        let key = header.key(&identities)?;
        stream::open(&key, payload, most)
    }

    fn passphrase(&self) -> Result<Identity, Failure> {
        let path = self.passphrase.as_deref().ok_or_else(|| {
            wrong("it needs a passphrase")
                .hint("name the file that has it: --age-passphrase FILE, or LSX_AGE_PASSPHRASE")
        })?;
        let text = text(path)?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(wrong(format!("the first line of {} is empty", path.display())));
        }
        Ok(Identity::Passphrase(line.to_owned()))
    }

    fn identities(&self) -> Result<Vec<Identity>, Failure> {
        let path = self.identity.as_deref().ok_or_else(|| {
            wrong("it needs an identity")
                .hint("name the file that has it: --age-identity FILE, or LSX_AGE_IDENTITY")
        })?;
        let bytes = whole(path)?;
        let text = if bytes.starts_with(header::INTRO) || bytes.starts_with(BEGIN.as_bytes()) {
            let plain = unarmored(&bytes)?;
            let (header, payload) = header::read(&plain)?;
            if !header.by_passphrase() {
                return Err(wrong(format!("{} is encrypted with another identity", path.display())));
            }
            let key = header.key(&[self.passphrase()?])?;
            stream::open(&key, payload, limit::SECRET)?
        } else {
            bytes
        };
        let text = String::from_utf8(text).map_err(|_| wrong(format!("{} is not text", path.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &str| {
            Identity::read(line).ok_or_else(|| {
                // The line may be a key, so it is not repeated.
                wrong(format!("{} has a line that is not an identity", path.display()))
                    .hint("age-keygen writes such lines: AGE-SECRET-KEY-1...")
            })
        };
        let all: Vec<Identity> = lines.map(read).collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(wrong(format!("{} has no identity", path.display())));
        }
        Ok(all)
    }
}

fn whole(path: &Path) -> Result<Vec<u8>, Failure> {
    file::read_at_most(path, limit::SECRET)?.ok_or_else(|| wrong(format!("{}: no such file", path.display())))
}

fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(whole(path)?).map_err(|_| wrong(format!("{} is not text", path.display())))
}

/// The file without its armor, if any: base64 in lines of 64 (RFC 7468, strict).
fn unarmored(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.trim_start().starts_with(BEGIN))
    else {
        return Ok(bytes.to_vec());
    };
    let damaged = || wrong("its armor is damaged");
    let inside =
        text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or_else(damaged)?;
    let lines: Vec<&str> = inside.trim().lines().map(str::trim_end).collect();
    let full = lines.split_last().is_some_and(|(last, others)| {
        (1..=64).contains(&last.len()) && others.iter().all(|line| line.len() == 64)
    });
    if !full {
        return Err(damaged());
    }
    STANDARD.decode(lines.concat()).map_err(|_| damaged())
}
