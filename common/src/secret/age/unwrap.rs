//! Decrypts file keys from stanzas.

use super::stanza::{Stanza, unbase};
use super::{bech32, wrong};
use crate::failure::Failure;
use crate::secret::derive::hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use x25519_dalek::{PublicKey, StaticSecret};

/// The key of one file.
pub(super) struct FileKey(pub(super) [u8; 16]);

/// An identity that can decrypt files.
pub(super) enum Identity {
    /// A key of X25519 (RFC 7748).
    X25519(Box<StaticSecret>),
    /// A passphrase, by scrypt (RFC 7914).
    Passphrase(String),
}

/// Memory of scrypt is 1 KiB times two to this power: at most 1 GiB here, and age asks for 256 MiB.
const WORK: u8 = 20;
pub(super) const X25519: &[u8] = b"age-encryption.org/v1/X25519";
pub(super) const SCRYPT: &[u8] = b"age-encryption.org/v1/scrypt";

impl Identity {
    /// A line of age-keygen.
    pub(super) fn read(line: &str) -> Option<Identity> {
        let bytes: [u8; 32] = bech32::decode("age-secret-key-", line)?.try_into().ok()?;
        Some(Identity::X25519(Box::new(StaticSecret::from(bytes))))
    }

    /// The key in a stanza; `None` if the stanza is for another identity.
    ///
    /// # Errors
    /// If the stanza violates the format.
    pub(super) fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Failure> {
        match (self, stanza.kind) {
            (Identity::X25519(secret), "X25519") => x25519(secret, stanza),
            (Identity::Passphrase(passphrase), "scrypt") => scrypt(passphrase, stanza),
            _ => Ok(None),
        }
    }
}

fn x25519(secret: &StaticSecret, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Failure> {
    let damaged = || wrong("a recipient in its header is damaged");
    let [share] = stanza.args[..] else { return Err(damaged()) };
    let share: [u8; 32] = unbase(share).and_then(|share| share.try_into().ok()).ok_or_else(damaged)?;
    let shared = secret.diffie_hellman(&PublicKey::from(share));
    if !shared.was_contributory() {
        return Err(damaged()); // a share of low order, which gives everyone the same key
    }
    let salt = [share, PublicKey::from(secret).to_bytes()].concat();
    let key = hkdf(shared.as_bytes(), &salt, &[X25519], 32).ok_or_else(damaged)?;
    opened(&key, &stanza.body)
}

fn scrypt(passphrase: &str, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Failure> {
    let damaged = || wrong("the passphrase's part of its header is damaged");
    let [salt, work] = stanza.args[..] else { return Err(damaged()) };
    let salt = unbase(salt).filter(|salt| salt.len() == 16).ok_or_else(damaged)?;
    let digits = !work.starts_with('0') && work.bytes().all(|b| b.is_ascii_digit());
    let work: u8 = work.parse().ok().filter(|&n| digits && n > 0).ok_or_else(damaged)?;
    if work > WORK {
        let message =
            format!("its passphrase needs 2^{work} KiB of memory; at most 2^{WORK} KiB are allowed");
        return Err(wrong(message).hint("encrypt it with a lower work factor"));
    }
    let params = scrypt::Params::new(work, 8, 1).map_err(|_| damaged())?;
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.as_bytes(), &[SCRYPT, &salt].concat(), &params, &mut key)
        .map_err(|_| damaged())?;
    opened(&key, &stanza.body)
}

/// Decrypts a wrapped key.
fn opened(key: &[u8], body: &[u8]) -> Result<Option<FileKey>, Failure> {
    if body.len() != 32 {
        return Err(wrong("a key in its header has the wrong length"));
    }
    let Ok(key) = UnboundKey::new(&CHACHA20_POLY1305, key) else { return Ok(None) };
    let mut body = body.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let plain = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), &mut body).ok();
    Ok(plain.and_then(|plain| (&*plain).try_into().ok()).map(FileKey))
}
