//! The hash that all derived values come from. It must never change: another one would renumber every running stack.

use sha2::{Digest, Sha256};

/// Bits of SHA-256 over the parts, each followed by a zero byte so that different lists of parts differ.
pub(super) struct Hash([u8; 32]);

impl Hash {
    /// The first part names what is derived, so that an address and a MAC are independent.
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut sha = Sha256::new();
        for part in parts {
            sha.update(part.as_bytes());
            sha.update([0]);
        }
        Hash(sha.finalize().into())
    }

    /// The same for a later attempt, when an earlier value was taken.
    pub(super) fn again(parts: &[&str], attempt: u32) -> Self {
        if attempt == 0 {
            return Hash::of(parts);
        }
        let attempt = attempt.to_string();
        let parts: Vec<&str> = parts.iter().copied().chain([attempt.as_str()]).collect();
        Hash::of(&parts)
    }

    /// The first 64 bits as a number.
    pub(super) fn number(&self) -> u64 {
        self.0[..8].iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
    }

    /// A number below `size`, which is not 0. With 64 bits against at most 2^24 the bias of the remainder is negligible.
    pub(super) fn below(&self, size: u32) -> u32 {
        u32::try_from(self.number() % u64::from(size.max(1))).unwrap_or_default()
    }

    /// Bytes of the hash.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first `digits` hexadecimal digits.
    pub(super) fn hex(&self, digits: usize) -> String {
        let mut text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        text.truncate(digits);
        text
    }
}

/// SHA-256 of a text, in `digits` hexadecimal digits.
pub(super) fn plain(text: &str, digits: usize) -> String {
    Hash(Sha256::digest(text.as_bytes()).into()).hex(digits)
}
