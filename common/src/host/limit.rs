//! Limits for everything that comes from a host, a program, a file or a document, and the function that reads within a
//! limit.

use crate::failure::{Failure, Kind};
use std::io::{self, Read};

const MIB: u64 = 1024 * 1024;

/// A line between a host and its controller: one request, event or reply. An observed document of 20,000 instances takes 20
/// MiB.
pub const LINE: u64 = 64 * MIB;
/// The memory that the JSON values of such a line may take, as estimated by [`values`]: a megabyte of them can take
/// 200, so the line's length alone is no limit. An observed document takes 24 times its length.
pub const VALUES: u64 = 768 * MIB;
/// The memory that the output of all hosts to one request may take beyond the hosts' shares, which are the same again in sum.
pub(crate) const COMMON: u64 = 1024 * MIB;
/// The memory of one value in an array that grows: twice its size, and half of it again while it is moved.
const VALUE: u64 = 180;
/// The memory of an object with few keys, in addition to that of its values.
const OBJECT: u64 = 640;
/// The number of events that a host may send before the reply.
pub const EVENTS: usize = 1_000_000;
/// The number of failures of one reply that are shown; the others are counted.
pub(crate) const FAILURES: usize = 1000;
/// The number of causes, arguments and lines of output of such a failure.
pub const LINES: usize = 100;
/// The text of one failure, or of one line of a program's standard error, in characters.
pub const TEXT: usize = 4096;
/// The output of a login before the tool's hello, and of a small program on a host.
pub(crate) const NOISE: u64 = 64 * 1024;
/// The standard output of a program that lsx runs. Of its standard error the last [`ERRORS`] bytes are kept.
pub(crate) const OUTPUT: u64 = 64 * MIB;
/// The last part of a program's standard error that is kept.
pub(crate) const ERRORS: u64 = MIB;
/// A document written by a person or a tool: a stack, a plan, observed documents.
pub const DOCUMENT: u64 = 256 * MIB;
/// A secret.
pub const SECRET: u64 = MIB;
/// A file of lsx itself, such as the intent that a host keeps.
pub(crate) const STATE: u64 = 64 * MIB;

/// What is read at once of something that is usually shorter.
const PIECE: usize = 8192;

/// Reads to the end, but at most `most` bytes. `what` names the source in the failure, such as `the reply of h1`.
///
/// # Errors
/// Kind `Failed`: code `host.limit` when there is more; `host.read` when it cannot be read.
pub fn read(from: impl Read, most: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let failed = |e: io::Error| Failure::new(Kind::Failed, "host.read", format!("cannot read {what}: {e}"));
    take(from, most).map_err(failed)?.ok_or_else(|| exceeded(what, most))
}

/// The same without a failure: `None` when there is more.
///
/// # Errors
/// Errors of the reader.
pub fn take(from: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    // An empty one would be filled by 32 bytes at first.
    let mut bytes = Vec::with_capacity(PIECE);
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

/// The last `most` bytes of a stream, which is read to its end.
///
/// # Errors
/// Errors of the reader.
pub fn last(mut from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let (mut kept, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => kept.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if kept.len() >= most.saturating_mul(2) {
            kept.drain(..kept.len() - most);
        }
    }
    let more = kept.len().saturating_sub(most);
    kept.drain(..more);
    Ok(kept)
}

/// The failure for something larger than its limit.
pub fn exceeded(what: &str, most: u64) -> Failure {
    let limit = if most >= MIB { format!("{} MiB", most / MIB) } else { format!("{most} bytes") };
    Failure::new(Kind::Failed, "host.limit", format!("{what} exceeds the limit of {limit}"))
}

/// The first characters of a text from elsewhere, with an ellipsis when there are more than [`TEXT`].
pub fn text(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether the values of a line of JSON take at most [`VALUES`] in memory.
pub fn values(line: &[u8]) -> bool {
    // No byte of a line takes more than an object.
    line.len() as u64 <= VALUES / OBJECT || memory(line) <= VALUES
}

/// An estimate of the memory that the values of a line of JSON take, without their texts. It counts separators outside
/// strings.
pub(crate) fn memory(line: &[u8]) -> u64 {
    let (mut memory, mut inside, mut escaped) = (0, false, false);
    for byte in line {
        match (inside, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => inside = !inside,
            (false, b'{') => memory += OBJECT,
            (false, b',' | b'[' | b':') => memory += VALUE,
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_reader_is_refused_with_what_it_is() {
        let endless = io::repeat(b'x');
        let failure = read(endless, 1000, "the log").unwrap_err();
        assert_eq!(failure.code, "host.limit");
        assert_eq!(failure.message, "the log exceeds the limit of 1000 bytes");
        assert_eq!(read([1; 1000].as_slice(), 1000, "it").unwrap().len(), 1000);
        assert_eq!(take([1; 1001].as_slice(), 1000).unwrap(), None);
        assert!(exceeded("it", LINE).message.contains("64 MiB"));
    }

    #[test]
    fn the_end_of_a_long_stream_is_kept() {
        let all: Vec<u8> = (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        assert_eq!(last(all.as_slice(), 1000).unwrap(), all[all.len() - 1000..]);
        assert_eq!(last(&all[..10], 1000).unwrap(), all[..10]);
    }

    #[test]
    fn values_are_counted_outside_of_strings() {
        let most = usize::try_from(VALUES / VALUE).unwrap();
        assert!(values(format!("[{}0]", "0,".repeat(most - 1)).as_bytes()));
        assert!(!values(format!("[{}0]", "0,".repeat(most)).as_bytes()));
        let objects = usize::try_from(VALUES / (OBJECT + VALUE)).unwrap();
        assert!(values(format!("[{}0]", "{},".repeat(objects - 1)).as_bytes()));
        assert!(!values(format!("[{}0]", "{},".repeat(objects + 1)).as_bytes()));
        let text = format!("[\"\\\"{}\"]", ",".repeat(most + 1));
        assert!(values(text.as_bytes()));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(text("a"), "a");
        let long = text(&"ä".repeat(TEXT + 1));
        assert_eq!(long.chars().count(), TEXT + 3);
    }
}
