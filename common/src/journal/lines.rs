//! The lines of a journal. Pure.

use crate::document;
use crate::failure::{Failure, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;

/// The digits of a sum, and what is around them.
const DIGITS: usize = 16;
const BEFORE: &[u8] = b"{\"sum\":\"";
const AFTER: &[u8] = b"\",";
const REST: usize = BEFORE.len() + DIGITS + AFTER.len();

/// What follows the sum.
#[derive(Serialize, Deserialize)]
struct Rest<E> {
    n: u64,
    is: E,
}

/// What a file holds.
pub(super) struct Found<T> {
    pub(super) entries: Vec<T>,
    /// The number of the next line.
    pub(super) next: u64,
    /// The length without a last line that was not written to its end.
    pub(super) length: usize,
}

/// A line with its line feed.
pub(super) fn line<T: Serialize>(number: u64, entries: &[T]) -> io::Result<Vec<u8>> {
    let rest = serde_json::to_vec(&Rest { n: number, is: entries }).map_err(io::Error::other)?;
    let rest = &rest[1..]; // without the brace
    let sum = sum(rest);
    Ok([BEFORE, sum.as_bytes(), AFTER, rest, b"\n"].concat())
}

fn sum(rest: &[u8]) -> String {
    let mut sum = document::digest(rest);
    sum.truncate(DIGITS);
    sum
}

/// What follows the sum, if it is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let digits = line.strip_prefix(BEFORE)?.get(..DIGITS)?;
    let rest = line.get(REST..)?;
    (line[..REST].ends_with(AFTER) && sum(rest).as_bytes() == digits).then_some(rest)
}

/// The entries of a line with its line feed; none if it is not whole.
///
/// # Errors
/// Entries of another kind.
pub(super) fn entries<T: DeserializeOwned>(line: &[u8]) -> Result<Option<Vec<T>>, Failure> {
    let Some(rest) = line.strip_suffix(b"\n").and_then(checked) else { return Ok(None) };
    let wrong =
        |e| Failure::new(Kind::Data, "journal", format!("the last line of the journal cannot be read: {e}"));
    let read: Rest<Vec<T>> = serde_json::from_slice(&[b"{", rest].concat()).map_err(wrong)?;
    Ok(Some(read.is))
}

/// Reads lines to the end of a file; the first one may have any number, unless it is given.
///
/// # Errors
/// Damage, except of a last line.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], first: Option<u64>) -> Result<Found<T>, Failure> {
    let mut found = Found { entries: Vec::new(), next: first.unwrap_or(1), length: 0 };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    while let Some((i, line)) = lines.next() {
        let damaged = |why: &str| {
            let message = format!("line {} of the journal {why}", i + 1);
            let hint = "restore the file from a backup; or move it away, which loses what it records";
            Failure::new(Kind::Data, "journal", message).hint(hint)
        };
        let Some(rest) = line.strip_suffix(b"\n").and_then(checked) else {
            // Lines are on the disk before the next one is written.
            return if lines.next().is_some() { Err(damaged("is damaged")) } else { Ok(found) };
        };
        let text = [b"{", rest].concat();
        let read: Rest<Vec<T>> =
            serde_json::from_slice(&text).map_err(|e| damaged(&format!("cannot be read: {e}")))?;
        if (i > 0 || first.is_some()) && read.n != found.next {
            return Err(damaged(&format!("has the number {}, and {} should follow", read.n, found.next)));
        }
        found.next = read.n.saturating_add(1);
        found.entries.extend(read.is);
        found.length += line.len();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};
    use serde_json::{Value, json};

    /// Whole lines, then damage in any of them.
    fn written(dice: &mut Dice) -> Vec<u8> {
        let entry =
            |dice: &mut Dice| [json!("text"), json!({"a": [1, null]}), json!(7)][dice.below(3)].clone();
        let mut bytes = Vec::new();
        for number in 1..=dice.below(5) as u64 {
            let entries: Vec<Value> = (0..=dice.below(3)).map(|_| entry(dice)).collect();
            bytes.extend(line(number + u64::from(dice.below(40) == 0), &entries).unwrap());
        }
        for _ in 0..[0, 0, 1, 2][dice.below(4)] {
            let at = dice.below(bytes.len() + 1);
            match dice.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, b'\n'),
                2 => bytes.extend_from_within(at..),
                _ if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
                _ => {}
            }
        }
        bytes
    }

    #[test]
    fn soak_journal() {
        soak("journal", 5_000, 30, written, |bytes| {
            let Ok(found) = read::<Value>(bytes, None) else { return false };
            // What is kept is read in the same way, and only a last line is dropped.
            assert!(found.length <= bytes.len());
            let again = read::<Value>(&bytes[..found.length], None).ok().unwrap();
            assert!(
                again.entries == found.entries && again.next == found.next && again.length == found.length
            );
            let dropped = &bytes[found.length..];
            assert!(
                dropped
                    .split_inclusive(|byte| *byte == b'\n')
                    .all(|line| { line.strip_suffix(b"\n").and_then(checked).is_none() })
            );
            true
        });
    }
}
