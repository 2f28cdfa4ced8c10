//! The reply to a request of HTTP for a file, whole or a part of it.

use super::volume::{self, Refused};
use super::{Delivery, Server};
use crate::http::{Answer, Part, Reply, Request};
use std::net::Ipv4Addr;
use std::sync::Arc;

impl Answer for Arc<Server> {
    fn answer(&self, source: Ipv4Addr, request: &Request) -> Reply {
        if self.network(source).is_none() {
            return Reply::refused(403, "this address is not of a network whose machines boot here");
        }
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            let reply = Reply::refused(405, "files can only be read: GET or HEAD");
            return reply.with("Allow", "GET, HEAD".to_owned());
        }
        let Some(name) = path(&request.target) else {
            return Reply::refused(400, "this is no path of a file");
        };
        let found = volume::plain(&name).and_then(|name| {
            let opened = self.volume.open(&name)?;
            Ok((opened, self.turn(source, &name)?, name))
        });
        let ((file, size), ticket, name) = match found {
            Ok(found) => found,
            Err(refused) => {
                let status = if refused == Refused::Missing { 404 } else { 403 };
                return Reply::refused(status, refused.why());
            }
        };
        // A part of what the client has asked for earlier may be one of another file, which nobody can tell here.
        let wanted = request.line("range").filter(|_| request.line("if-range").is_none());
        let (status, from, length) = match wanted.map_or(Range::Whole, |range| part(range, size)) {
            Range::Whole => (200, 0, size),
            Range::Part(from, length) => (206, from, length),
            Range::Beyond => {
                let reply = Reply::refused(416, "the file is shorter");
                return reply.with("Content-Range", format!("bytes */{size}"));
            }
        };
        // Without its last bytes a file is not whole.
        let ticket = ticket.filter(|_| from + length == size);
        let sent = Box::new(Delivery::new(self, (source, "http"), &name, ticket));
        let reply = Reply::part(status, kind(&name), Part { file, from, length, sent });
        let reply = reply.with("Accept-Ranges", "bytes".to_owned());
        if status == 200 {
            return reply;
        }
        let last = (from + length).saturating_sub(1);
        reply.with("Content-Range", format!("bytes {from}-{last}/{size}"))
    }
}

/// The type of a file. Firmware takes a boot program by it (UEFI 2.10, 24.7.3.2.3).
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("img") => "application/vnd.efi-img",
        _ => "application/octet-stream",
    }
}

/// The path of a target, without its query: `%2F` is decoded (RFC 3986 2.1).
fn path(target: &str) -> Option<String> {
    let path = target.split(['?', '#']).next().filter(|path| path.starts_with('/'))?;
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let plain = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| plain)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// First byte and length.
    Part(u64, u64),
    Beyond,
}

/// One range of bytes; of several, and of other units, the client gets the whole file (RFC 9110 14.2).
fn part(range: &[u8], size: u64) -> Range {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok());
    let text = std::str::from_utf8(range).ok().and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = text.and_then(|text| text.trim().split_once('-')) else { return Range::Whole };
    let (from, end) = match (first, last) {
        ("", "") => return Range::Whole,
        ("", last) => match number(last).flatten() {
            Some(length) => (size.saturating_sub(length), size),
            None => return Range::Whole,
        },
        (first, "") => match number(first).flatten() {
            Some(first) => (first, size),
            None => return Range::Whole,
        },
        (first, last) => match (number(first).flatten(), number(last).flatten()) {
            (Some(first), Some(last)) if first <= last => (first, size.min(last.saturating_add(1))),
            _ => return Range::Whole,
        },
    };
    if from < end { Range::Part(from, end - from) } else { Range::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::soak;

    #[test]
    fn a_path_is_decoded_once() {
        for (target, decoded) in [
            ("/a/b?x=/y", "/a/b"),
            ("/a%20b", "/a b"),
            ("/%2e%2E/a", "/../a"),
            ("/%252e", "/%2e"),
            ("/%00", "/\0"),
        ] {
            assert_eq!(path(target).as_deref(), Some(decoded), "{target}");
        }
        for target in ["", "a", "*", "http://a/b", "/%", "/%2", "/%zz", "/%+1", "/%ff"] {
            assert_eq!(path(target), None, "{target}");
        }
    }

    #[test]
    fn a_range_is_within_the_file() {
        for (range, wanted) in [
            ("bytes=0-", Range::Part(0, 10)),
            ("bytes=3-5", Range::Part(3, 3)),
            ("bytes=9-99", Range::Part(9, 1)),
            ("bytes=-4", Range::Part(6, 4)),
            ("bytes=-99", Range::Part(0, 10)),
            ("bytes=10-", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=5-3", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("bytes=99999999999999999999-", Range::Whole),
            ("lines=1-2", Range::Whole),
        ] {
            assert_eq!(part(range.as_bytes(), 10), wanted, "{range}");
        }
        assert_eq!(part(b"bytes=0-", 0), Range::Beyond);
    }

    #[test]
    fn soak_target() {
        let parts =
            ["/", "a", "..", "%2e", "%2F", "%", "%00", "?", "#", "b.efi", "\u{e9}", "bytes=", "5", "-", ","];
        let make = |dice: &mut lsx_tests::Dice| {
            let text: String = (0..dice.below(12)).map(|_| parts[dice.below(parts.len())]).collect();
            format!("/{text}").into_bytes()
        };
        soak("dns-target", 20_000, 20, make, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Range::Part(from, length) = part(text.trim_start_matches('/').as_bytes(), 7) {
                assert!(length > 0 && from + length <= 7, "{text}");
            }
            let Some(Ok(name)) = path(&text).map(|path| volume::plain(&path)) else { return false };
            assert!(
                !name.starts_with('/') && !name.contains('\0') && name.split('/').all(|part| part != "..")
            );
            true
        });
    }
}
