//! A digest of a set: the sum of the SHA-256 values of its lines. The order does not matter, and the part of one host can
//! be subtracted, so that the digests of all hosts cost one pass over the table instead of one pass per host.

use sha2::{Digest, Sha256};

/// The sum and the number of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Number of lines.
    pub count: usize,
    sum: u128,
}

impl Weight {
    /// Adds a line.
    pub fn add(&mut self, line: &str) {
        let hash = Sha256::digest(line.as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(first));
        self.count += 1;
    }

    /// Adds another set that has no line in common.
    #[must_use]
    pub fn plus(self, other: Weight) -> Weight {
        Weight { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }

    /// Subtracts a part of the set.
    #[must_use]
    pub fn less(self, part: Weight) -> Weight {
        Weight { count: self.count - part.count, sum: self.sum.wrapping_sub(part.sum) }
    }

    /// The digest of lines.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a String>) -> Weight {
        let mut weight = Weight::default();
        lines.into_iter().for_each(|line| weight.add(line));
        weight
    }

    /// As text, 32 hexadecimal digits.
    pub fn digest(self) -> String {
        format!("{:032x}", self.sum)
    }
}
