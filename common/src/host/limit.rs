//! How much is taken from whom: every byte that comes from a host, a program, a file or a document has its limit here, and the one
//! read that keeps to it.

use crate::failure::{Failure, Kind};
use std::io::{self, Read};

const MIB: u64 = 1024 * 1024;

/// A line between a host and its controller: one request, one event, or one reply. An observed document of 20,000 instances
/// takes 20 MiB.
pub const LINE: u64 = 64 * MIB;
/// How many JSON values one such line may hold. Each takes up to 150 bytes of memory, so the line alone is no bound.
pub const VALUES: usize = 4_000_000;
/// How many events a host may send before the reply they belong to.
pub const EVENTS: usize = 1_000_000;
/// How many failures of one reply are told; the others are counted.
pub const FAILURES: usize = 1000;
/// How many causes, arguments and lines of output one such failure has.
pub const LINES: usize = 100;
/// The text of one failure, or of one line that a program wrote to standard error, in characters.
pub const TEXT: usize = 4096;
/// What a login may print before the tool's hello, and what a small program on a host may answer.
pub const NOISE: u64 = 64 * 1024;
/// The standard output of a program that lsx runs. Of its standard error the last [`ERRORS`] bytes are kept.
pub const OUTPUT: u64 = 64 * MIB;
/// The end of a program's standard error.
pub const ERRORS: u64 = MIB;
/// A document that a person or a tool wrote: a stack, a plan, observed documents.
pub const DOCUMENT: u64 = 256 * MIB;
/// A secret.
pub const SECRET: u64 = MIB;
/// A file of lsx's own, as the intent that a host keeps.
pub const STATE: u64 = 64 * MIB;

/// Reads to the end, but no more than `most` bytes. `what` names it for the failure, as in `the reply of h1`.
///
/// # Errors
/// Kind `Failed`: code `host.limit` when there is more; `host.read` when it cannot be read.
pub fn read(from: impl Read, most: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let failed = |e: io::Error| Failure::new(Kind::Failed, "host.read", format!("cannot read {what}: {e}"));
    take(from, most).map_err(failed)?.ok_or_else(|| exceeded(what, most))
}

/// The same without words for it: `None` when there is more.
///
/// # Errors
/// What the reader said.
pub fn take(from: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

/// The last `most` bytes of a stream, read to its end without keeping the rest.
///
/// # Errors
/// What the reader said.
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

/// What is said of something that is larger than its limit.
pub fn exceeded(what: &str, most: u64) -> Failure {
    let limit = if most >= MIB { format!("{} MiB", most / MIB) } else { format!("{most} bytes") };
    Failure::new(
        Kind::Failed,
        "host.limit",
        format!("{what} is larger than {limit}, the most that lsx reads"),
    )
}

/// The first characters of a text that somebody else wrote, with an ellipsis when there are more than [`TEXT`].
pub fn text(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether a line of JSON holds at most [`VALUES`] values. It counts what separates them, outside of strings.
pub fn values(line: &[u8]) -> bool {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    // Shorter lines cannot hold more.
    for byte in line.iter().take(if line.len() <= VALUES { 0 } else { line.len() }) {
        match (inside, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => inside = !inside,
            (false, b',' | b'[' | b'{' | b':') => count += 1,
            _ => {}
        }
    }
    count <= VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_reader_is_refused_with_what_it_is() {
        let endless = io::repeat(b'x');
        let failure = read(endless, 1000, "the log").unwrap_err();
        assert_eq!(failure.code, "host.limit");
        assert_eq!(failure.message, "the log is larger than 1000 bytes, the most that lsx reads");
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
        let many = format!("[{}0]", "0,".repeat(VALUES));
        assert!(!values(many.as_bytes()));
        let text = format!("[\"\\\"{}\"]", ",".repeat(VALUES + 1));
        assert!(values(text.as_bytes()));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(text("a"), "a");
        let long = text(&"ä".repeat(TEXT + 1));
        assert_eq!(long.chars().count(), TEXT + 3);
    }
}
