//! SHA-256 of streams.

use super::refused;
use common::Failure;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

const PREFIX: &str = "sha256:";

/// `sha256:` and the 64 hexadecimal digits of some bytes.
pub(super) fn of(bytes: &[u8]) -> String {
    text(&Sha256::digest(bytes))
}

fn text(sum: &[u8]) -> String {
    PREFIX.to_owned() + &common::document::hex(sum)
}

/// The digits of a digest, which become a file name, so nothing else is accepted.
pub(super) fn hex(digest: &str) -> Result<&str, Failure> {
    let digits = digest.strip_prefix(PREFIX).unwrap_or_default();
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Ok(digits);
    }
    Err(refused("digest", format!("{digest}: not a SHA-256 digest"))
        .hint("write sha256: and 64 hexadecimal digits in lower case"))
}

/// A digest from the name of a file.
pub(super) fn from_hex(digits: &str) -> String {
    format!("{PREFIX}{digits}")
}

/// The failure for two different digests.
pub(super) fn differs(what: &str, wanted: &str, came: &str) -> Failure {
    refused("digest", format!("{what} does not match its digest"))
        .because(format!("its digest is {came}, expected {wanted}"))
        .hint("it was changed or truncated: fetch or create it again")
}

/// Passes a stream through, computes its digest and, on request, writes a copy.
pub(super) struct Summing<'a, R> {
    inner: R,
    sum: Sha256,
    bytes: u64,
    copy: Option<&'a mut dyn Write>,
    /// Why the copy could not be written, since decoders do not preserve the kind of an error.
    pub(super) not_written: Option<io::Error>,
}

impl<'a, R: Read> Summing<'a, R> {
    pub(super) fn new(inner: R) -> Self {
        Summing { inner, sum: Sha256::new(), bytes: 0, copy: None, not_written: None }
    }

    pub(super) fn copying(inner: R, copy: &'a mut dyn Write) -> Self {
        Summing { copy: Some(copy), ..Summing::new(inner) }
    }

    /// Reads the rest; returns digest and length of the whole.
    pub(super) fn end(&mut self) -> io::Result<(String, u64)> {
        io::copy(self, &mut io::sink())?;
        Ok((text(&self.sum.clone().finalize()), self.bytes))
    }
}

impl<R: Read> Read for Summing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sum.update(&buffer[..count]);
        self.bytes += count as u64;
        if let Some(Err(e)) = self.copy.as_mut().map(|copy| copy.write_all(&buffer[..count])) {
            let told = io::Error::new(e.kind(), "the copy could not be written");
            self.not_written = Some(e);
            return Err(told);
        }
        Ok(count)
    }
}

/// A digest that data is written to.
#[derive(Default)]
pub(super) struct Sum(Sha256);

impl Sum {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn text(self) -> String {
        text(&self.0.finalize())
    }
}
