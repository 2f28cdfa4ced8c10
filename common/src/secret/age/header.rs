//! The header of an age file: a stanza for each recipient, and a MAC of the whole header.

use super::stanza::{Stanza, unbase};
use super::unwrap::{FileKey, Identity};
use super::{HEADER, wrong};
use crate::failure::Failure;
use crate::secret::derive::hkdf;
use ring::hmac;

/// The beginning of a file.
pub(super) const INTRO: &[u8] = b"age-encryption.org/v1\n";
/// Maximum number of stanzas.
const STANZAS: usize = 100;

/// A header.
pub(super) struct Header<'a> {
    stanzas: Vec<Stanza<'a>>,
    /// The bytes covered by the MAC.
    sealed: &'a [u8],
    seal: Vec<u8>,
}

/// The header, and the rest of the file.
pub(super) fn read(bytes: &[u8]) -> Result<(Header<'_>, &[u8]), Failure> {
    let damaged = || wrong("its header is damaged");
    let rest = bytes.strip_prefix(INTRO).ok_or_else(|| {
        wrong("it is not encrypted by age, version 1").hint("encrypt it: age -r RECIPIENT -o secrets/db.age")
    })?;
    let most = usize::try_from(HEADER).unwrap_or(usize::MAX);
    let mut at = bytes.len() - rest.len();
    let mut line = || {
        let end = bytes.get(at..bytes.len().min(most))?.iter().position(|&b| b == b'\n')?;
        let line = std::str::from_utf8(&bytes[at..at + end]).ok().filter(|line| line.is_ascii())?;
        let begin = at;
        at += end + 1;
        Some((begin, line))
    };
    let mut stanzas = Vec::new();
    let (sealed, seal) = loop {
        let (begin, first) = line().ok_or_else(damaged)?;
        if let Some(seal) = first.strip_prefix("--- ") {
            break (&bytes[..begin + 3], unbase(seal).ok_or_else(damaged)?);
        }
        let mut words = first.strip_prefix("-> ").ok_or_else(damaged)?.split(' ');
        let kind = words.next().filter(|kind| !kind.is_empty()).ok_or_else(damaged)?;
        let mut body = String::new();
        loop {
            let (_, text) = line().ok_or_else(damaged)?;
            body.push_str(text);
            match text.len() {
                64 => {}
                0..64 => break,
                _ => return Err(damaged()),
            }
        }
        let body = unbase(&body).ok_or_else(damaged)?;
        stanzas.push(Stanza { kind, args: words.collect(), body });
        if stanzas.len() > STANZAS {
            return Err(wrong(format!("it has more than {STANZAS} recipients")));
        }
    };
    let header = Header { stanzas, sealed, seal };
    if header.by_passphrase() && header.stanzas.len() > 1 {
        return Err(damaged()); // a passphrase stands alone, so that who knows one cannot pass for another recipient
    }
    Ok((header, &bytes[at..]))
}

impl Header<'_> {
    /// Whether it needs a passphrase.
    pub(super) fn by_passphrase(&self) -> bool {
        self.stanzas.iter().any(|stanza| stanza.kind == "scrypt")
    }

    /// The file key, by the first identity that opens a stanza; it must match the MAC.
    pub(super) fn key(&self, identities: &[Identity]) -> Result<FileKey, Failure> {
        for identity in identities {
            for stanza in &self.stanzas {
                let Some(key) = identity.unwrap(stanza)? else { continue };
                let sealed = hkdf(&key.0, b"", &[b"header"], 32)
                    .map(|seal| hmac::Key::new(hmac::HMAC_SHA256, &seal))
                    .is_some_and(|seal| hmac::verify(&seal, self.sealed, &self.seal).is_ok());
                return if sealed { Ok(key) } else { Err(wrong("its header was changed")) };
            }
        }
        Err(match self.by_passphrase() {
            true => wrong("the passphrase is wrong"),
            false => wrong("no identity in the identity file decrypts it"),
        })
    }
}
