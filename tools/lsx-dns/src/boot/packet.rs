//! Packets of TFTP (RFC 1350) and their options: blksize (RFC 2348), timeout and tsize (RFC 2349), windowsize (RFC 7440). Pure.

use std::time::Duration;

/// The bytes of a block without an option, and the fewest and most with it.
const BLOCK: u16 = 512;
const LEAST_BLOCK: u16 = 8;
const MOST_BLOCK: u16 = 65464;
/// The bytes of the headers of IPv4, UDP and TFTP.
const HEADERS: u32 = 20 + 8 + 4;
/// The most blocks that are sent before one is acknowledged.
const MOST_WINDOW: u16 = 32;

/// Codes of errors (RFC 1350 5, RFC 2347).
pub(super) mod code {
    pub(in super::super) const OTHER: u16 = 0;
    pub(in super::super) const MISSING: u16 = 1;
    pub(in super::super) const DENIED: u16 = 2;
    pub(in super::super) const BUSY: u16 = 3;
}

/// A request to read a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) file: String,
    /// Bytes of a block, if the client says so.
    block: Option<u16>,
    /// How long it waits before it sends again.
    pub(super) timeout: Option<u8>,
    size: bool,
    window: Option<u16>,
}

/// How a file is given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) block: u16,
    pub(super) window: u16,
    pub(super) timeout: Option<Duration>,
    /// What the client is told of its options; none if it has none.
    pub(super) told: Option<Vec<u8>>,
}

/// What the first packet of a client is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    Read(Asked),
    /// An error is sent, and nothing else.
    Wrong(u16, &'static str),
    /// Nobody is answered.
    Garbage,
}

/// A later packet of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Later {
    /// The last block that it has.
    Has(u16),
    /// It has ended the transfer.
    Ends,
    Garbage,
}

/// Reads the first packet.
pub(super) fn first(bytes: &[u8]) -> First {
    let Some((number, rest)) = bytes.split_at_checked(2) else { return First::Garbage };
    match number {
        [0, 1] => {}
        [0, 2] => return First::Wrong(code::DENIED, "files can only be read"),
        _ => return First::Garbage,
    }
    let Some(rest) = rest.strip_suffix(b"\0") else { return First::Garbage };
    let Ok(text) = std::str::from_utf8(rest) else {
        return First::Wrong(code::MISSING, "this is no name of a file");
    };
    let mut words = text.split('\0');
    let (Some(file), Some(mode)) = (words.next(), words.next()) else { return First::Garbage };
    if !mode.eq_ignore_ascii_case("octet") {
        return First::Wrong(code::OTHER, "only the mode octet (binary) is possible");
    }
    let mut asked = Asked { file: file.to_owned(), block: None, timeout: None, size: false, window: None };
    // What is not understood is left out of the answer (RFC 2347).
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let number = value.parse::<u64>().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
        let small = number.map(|number| u16::try_from(number).unwrap_or(u16::MAX));
        match name.to_ascii_lowercase().as_str() {
            "blksize" => asked.block = small.filter(|bytes| *bytes >= LEAST_BLOCK),
            "timeout" => asked.timeout = number.and_then(|s| u8::try_from(s).ok()).filter(|s| *s > 0),
            "tsize" => asked.size = number.is_some(),
            "windowsize" => asked.window = small.filter(|blocks| *blocks > 0),
            _ => {}
        }
    }
    First::Read(asked)
}

/// How a file of a size is given in a network with this size of packets. No packet has to be divided.
pub(super) fn terms(asked: &Asked, size: u64, mtu: u32) -> Terms {
    let fits = u16::try_from(mtu.saturating_sub(HEADERS)).unwrap_or(MOST_BLOCK).clamp(BLOCK, MOST_BLOCK);
    let block = asked.block.map(|bytes| bytes.min(fits));
    let window = asked.window.map(|blocks| blocks.min(MOST_WINDOW));
    let options = [
        ("blksize", block.map(u64::from)),
        ("timeout", asked.timeout.map(u64::from)),
        ("tsize", asked.size.then_some(size)),
        ("windowsize", window.map(u64::from)),
    ];
    let mut told = vec![0, 6];
    for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        told.extend(format!("{name}\0{value}\0").bytes());
    }
    Terms {
        block: block.unwrap_or(BLOCK),
        window: window.unwrap_or(1),
        timeout: asked.timeout.map(|seconds| Duration::from_secs(seconds.into())),
        told: (told.len() > 2).then_some(told),
    }
}

/// Reads a later packet.
pub(super) fn later(bytes: &[u8]) -> Later {
    match bytes {
        [0, 4, a, b, ..] => Later::Has(u16::from_be_bytes([*a, *b])),
        [0, 5, ..] => Later::Ends,
        _ => Later::Garbage,
    }
}

/// The header of a block.
pub(super) const fn data(number: u16) -> [u8; 4] {
    let [a, b] = number.to_be_bytes();
    [0, 3, a, b]
}

/// An error.
pub(super) fn error(code: u16, why: &str) -> Vec<u8> {
    [&[0, 5][..], &code.to_be_bytes(), why.as_bytes(), b"\0"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};

    fn asked(words: &str) -> Asked {
        match first(&[b"\0\x01", words.as_bytes()].concat()) {
            First::Read(asked) => asked,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_has_a_name_and_options() {
        let plain = asked("a/b\0OCTET\0");
        assert_eq!(plain.file, "a/b");
        let none = Terms { block: 512, window: 1, timeout: None, told: None };
        assert_eq!(terms(&plain, 5, 1500), none);
        let all = asked("a\0octet\0blksize\x009000\0TSIZE\x000\0timeout\x003\0windowsize\x00500\0other\0x\0");
        let told = b"\0\x06blksize\x001418\0timeout\x003\0tsize\x005\0windowsize\x0032\0".to_vec();
        let wanted =
            Terms { block: 1418, window: 32, timeout: Some(Duration::from_secs(3)), told: Some(told) };
        assert_eq!(terms(&all, 5, 1450), wanted);
        let odd = asked("a\0octet\0blksize\x007\0timeout\x000\0windowsize\0-1\0tsize\0x\0blksize\0");
        assert_eq!(terms(&odd, 5, 1500), none);
    }

    #[test]
    fn other_packets_get_an_error_or_nothing() {
        for bytes in
            [&b""[..], b"\0", b"\0\x01", b"\0\x01a", b"\0\x01a\0", b"\0\x03a\0octet\0", b"\x01\x01a\0octet\0"]
        {
            assert_eq!(first(bytes), First::Garbage, "{bytes:?}");
        }
        assert!(matches!(first(b"\0\x02a\0octet\0"), First::Wrong(code::DENIED, _)));
        assert!(matches!(first(b"\0\x01a\0netascii\0"), First::Wrong(code::OTHER, _)));
        assert!(matches!(first(b"\0\x01\xff\0octet\0"), First::Wrong(code::MISSING, _)));
    }

    #[test]
    fn soak_tftp() {
        let words =
            ["a", "octet", "blksize", "512", "0", "65536", "tsize", "timeout", "255", "windowsize", "-1", ""];
        let make = |dice: &mut Dice| {
            let text: String =
                (0..dice.below(10)).map(|_| format!("{}\0", words[dice.below(words.len())])).collect();
            let text = format!("a\0octet\0{text}");
            let text = if dice.below(3) == 0 { dice.broken(&text) } else { text };
            [&[0, [1, 1, 1, 2, 4][dice.below(5)]][..], text.as_bytes()].concat()
        };
        soak("dns-tftp", 20_000, 20, make, |bytes| {
            let _ = later(bytes);
            let First::Read(asked) = first(bytes) else { return false };
            let terms = terms(&asked, 7, 1500);
            assert!(
                (8..=1468).contains(&terms.block) && (1..=MOST_WINDOW).contains(&terms.window),
                "{terms:?}"
            );
            assert!(terms.told.is_none_or(|told| told.len() < 100));
            true
        });
    }
}
