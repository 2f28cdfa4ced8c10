//! Secrets derived from one seed by HKDF with SHA-256 (RFC 5869), so that every tool derives the same value without communication.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

/// Minimum length of a seed in bytes.
pub(super) const LEAST: usize = 16;
/// Length of derived values in bytes; 256 bits.
const LENGTH: usize = 32;
/// Separates these values from other values derived from the same seed.
const SALT: &[u8] = b"lsx.secret/1";

/// A length of output.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF with SHA-256; `None` if the output would be too long.
pub(super) fn hkdf(ikm: &[u8], salt: &[u8], info: &[&[u8]], length: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; length];
    Salt::new(HKDF_SHA256, salt).extract(ikm).expand(info, Length(length)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

/// 43 letters, digits, hyphens and underscores: base64url (RFC 4648 section 5) of 32 bytes. `None` if the seed is too short; its
/// final line feed does not count.
pub(super) fn derive(seed: &[u8], stack: &str, name: &str, generation: &str) -> Option<String> {
    let seed = seed.strip_suffix(b"\n").unwrap_or(seed);
    let seed = seed.strip_suffix(b"\r").unwrap_or(seed);
    if seed.len() < LEAST {
        return None;
    }
    // No name contains a zero byte, so different names give different texts.
    let info = [stack.as_bytes(), b"\0", name.as_bytes(), b"\0", generation.as_bytes()];
    Some(URL_SAFE_NO_PAD.encode(hkdf(seed, SALT, &info, LENGTH)?))
}

#[cfg(test)]
mod tests {
    use super::{derive, hkdf};
    use crate::document::hex;

    /// RFC 5869 A.1, A.2 and A.3.
    #[test]
    fn is_the_hkdf_of_the_rfc() {
        let range = |first: u8, last: u8| (first..=last).collect::<Vec<u8>>();
        let a1 = hkdf(&[0x0b; 22], &range(0, 0x0c), &[&range(0xf0, 0xf9)], 42).unwrap();
        assert_eq!(
            hex(&a1),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
        let a2 = hkdf(&range(0, 0x4f), &range(0x60, 0xaf), &[&range(0xb0, 0xff)], 82).unwrap();
        assert_eq!(
            hex(&a2),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        );
        let a3 = hkdf(&[0x0b; 22], b"", &[], 42).unwrap();
        assert_eq!(
            hex(&a3),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    #[test]
    fn every_part_makes_another_secret() {
        let seed = [7; 32];
        let one = derive(&seed, "office", "db", "1").unwrap();
        assert_eq!(one.len(), 43);
        assert_eq!(derive(&[&seed[..], b"\n"].concat(), "office", "db", "1").unwrap(), one);
        for (stack, name, generation) in
            [("test", "db", "1"), ("office", "db2", "1"), ("office", "db", "2"), ("officed", "b", "1")]
        {
            assert_ne!(derive(&seed, stack, name, generation).unwrap(), one);
        }
        assert_ne!(derive(&[8; 32], "office", "db", "1").unwrap(), one);
        assert_eq!(derive(&[7; 15], "office", "db", "1"), None);
    }

    /// Must not change: another value would change every secret in use.
    #[test]
    fn is_the_same_for_ever() {
        let seed = b"0123456789abcdef0123456789abcdef";
        assert_eq!(
            derive(seed, "office", "s3_web", "1").unwrap(),
            "gFmDkkM4Rw_-nA6QXwf9n9TDMXBbUhWLTLKzCWkIujI"
        );
    }
}
