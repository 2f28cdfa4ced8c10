//! A recipient's part of the header of an age file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A recipient of the file.
pub(super) struct Stanza<'a> {
    pub(super) kind: &'a str,
    pub(super) args: Vec<&'a str>,
    pub(super) body: Vec<u8>,
}

/// Base64 without padding, with zero in the unused bits.
pub(super) fn unbase(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}
