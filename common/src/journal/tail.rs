//! The last entry of a journal, from its end: what a reader of a long one needs to know how far it is.

use super::lines;
use crate::failure::Failure;
use serde::de::DeserializeOwned;
use std::io;
use std::os::unix::fs::FileExt;

/// The bytes that are read first; twice as many while the last line is longer.
pub(super) const PIECE: u64 = 16 * 1024;

/// Of a file of this length; none without a whole line. Lines before it are not looked at.
///
/// # Errors
/// Errors of the file system; entries that are not of this kind.
pub(super) fn last<T: DeserializeOwned>(file: &impl FileExt, length: u64) -> Result<Option<T>, Failure> {
    let mut size = PIECE.min(length);
    loop {
        let from = length - size;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        match file.read_exact_at(&mut bytes, from) {
            Ok(()) => {}
            // It was replaced by a shorter one meanwhile.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(super::failed("read", e)),
        }
        // What comes before the first line feed may be a part of a line.
        let whole =
            if from == 0 { Some(0) } else { bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1) };
        let own = whole.and_then(|at| bytes.get(at..)).unwrap_or_default();
        for line in own.split_inclusive(|byte| *byte == b'\n').rev() {
            if let Some(entries) = lines::entries::<T>(line)? {
                return Ok(entries.into_iter().last());
            }
        }
        if from == 0 {
            return Ok(None);
        }
        size = size.saturating_mul(2).min(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};
    use std::cell::Cell;

    /// Bytes that count how many of them are read.
    struct Counted<'a>(&'a [u8], Cell<u64>);

    impl FileExt for Counted<'_> {
        fn read_at(&self, to: &mut [u8], from: u64) -> io::Result<usize> {
            let rest = self.0.get(usize::try_from(from).unwrap()..).unwrap_or_default();
            let length = rest.len().min(to.len());
            to[..length].copy_from_slice(&rest[..length]);
            self.1.set(self.1.get() + length as u64);
            Ok(length)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }

    /// The last entry, and the number of bytes that were read for it.
    fn read(bytes: &[u8]) -> (Option<String>, u64) {
        let counted = Counted(bytes, Cell::new(0));
        let entry = last::<String>(&counted, bytes.len() as u64).unwrap();
        (entry, counted.1.get())
    }

    fn written(entries: &[&[String]]) -> Vec<u8> {
        let line = |(at, entries): (usize, &&[String])| lines::line(at as u64 + 1, entries).unwrap();
        entries.iter().enumerate().flat_map(line).collect()
    }

    #[test]
    fn a_long_journal_is_not_read_for_its_last_entry() {
        let (many, one) = (vec!["entry".to_owned(); 100_000], ["last".to_owned()]);
        let long = written(&[&many, &many, &one]);
        assert!(long.len() > 1_000_000);
        assert_eq!(read(&long), (Some("last".to_owned()), PIECE));
        // A line that is not whole is none.
        let torn = &long[..long.len() - 3];
        assert_eq!(read(torn).0.as_deref(), Some("entry"));
        // Only as far back as the last line begins.
        let large = written(&[&many, &["x".repeat(100_000)]]);
        let (entry, bytes) = read(&large);
        assert!(entry.is_some_and(|entry| entry.len() == 100_000) && bytes < 300_000, "{bytes}");
        assert_eq!(read(b""), (None, 0));
        assert_eq!(read(&[0; 50_000]).0, None);
    }

    #[test]
    fn soak_tail() {
        let make = |dice: &mut Dice| {
            let entry = |dice: &mut Dice| "x".repeat([1, 50, 20_000][dice.below(3)]);
            let all: Vec<Vec<String>> =
                (0..dice.below(6)).map(|_| (0..=dice.below(3)).map(|_| entry(dice)).collect()).collect();
            let mut bytes = written(&all.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let at = dice.below(bytes.len() + 1);
            match dice.below(6) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
                _ => {}
            }
            bytes
        };
        soak("journal-tail", 2_000, 30, make, |bytes| {
            // Where the whole file can be read, both say the same.
            let Ok(all) = lines::read::<String>(bytes, None) else { return false };
            assert_eq!(read(bytes).0, all.entries.last().cloned());
            true
        });
    }
}
