//! The content of an age file: encrypted chunks of 64 KiB, the last one marked (STREAM of Hoang, Reyhanitabar, Rogaway and Vizar).

use super::unwrap::FileKey;
use super::wrong;
use crate::failure::Failure;
use crate::secret::derive::hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a chunk, and of its tag.
pub(super) const PIECE: usize = 64 << 10;
pub(super) const SEAL: usize = 16;
/// Bytes of the nonce before the chunks.
pub(super) const NONCE: usize = 16;

/// The key of the content.
pub(super) fn key(file: &FileKey, nonce: &[u8]) -> Option<LessSafeKey> {
    let key = hkdf(&file.0, nonce, &[b"payload"], 32)?;
    Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?))
}

/// The nonce of a chunk: its number, and whether it is the last.
pub(super) fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

/// The content, up to a maximum length.
pub(super) fn open(file: &FileKey, payload: &[u8], most: u64) -> Result<Vec<u8>, Failure> {
    let damaged = || wrong("its content is damaged or cut off");
    let (first, rest) = payload.split_at_checked(NONCE).ok_or_else(damaged)?;
    let key = key(file, first).ok_or_else(damaged)?;
    let pieces = rest.chunks(PIECE + SEAL);
    let count = pieces.len();
    let mut all = Vec::new();
    for (number, piece) in pieces.enumerate() {
        let last = number + 1 == count;
        let mut piece = piece.to_vec();
        let at = nonce(u64::try_from(number).unwrap_or(u64::MAX), last);
        let plain = key.open_in_place(at, Aad::empty(), &mut piece).map_err(|_| damaged())?;
        // An empty chunk is only valid alone.
        if plain.is_empty() && number > 0 {
            return Err(damaged());
        }
        all.extend_from_slice(plain);
        if u64::try_from(all.len()).unwrap_or(u64::MAX) > most {
            return Err(wrong(format!("it holds more than {most} bytes")));
        }
    }
    if count == 0 { Err(damaged()) } else { Ok(all) }
}
