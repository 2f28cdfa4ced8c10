//! Addresses: hardware addresses, IPv6, paths and URLs.

use super::{Parsed, Wrong, port};
use std::net::Ipv6Addr;

/// An IPv6 address, which is allowed in records although stacks are IPv4.
pub(crate) fn address6(text: &str) -> Parsed<Ipv6Addr> {
    text.parse().map_err(|_| Wrong::new(format!("`{text}` is not an IPv6 address"), "like 2001:db8::1"))
}

/// The hardware address of one interface, in lower case.
pub(crate) fn mac(text: &str) -> Parsed<String> {
    let octets: Vec<Option<u8>> = text
        .split(':')
        .map(|octet| {
            u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() == 2 && !octet.starts_with('+'))
        })
        .collect();
    let all: Option<Vec<u8>> = octets.into_iter().collect();
    match all.filter(|all| all.len() == 6) {
        // The lowest bit of the first octet marks group addresses (IEEE 802).
        Some(all) if all[0] & 1 == 0 && all.iter().any(|&octet| octet != 0) => Ok(text.to_ascii_lowercase()),
        Some(_) => Err(Wrong::new(format!("`{text}` is a group address, not that of an interface"), "")),
        None => Err(Wrong::new(format!("`{text}` is not a hardware address"), "like 02:00:5e:10:00:01")),
    }
}

/// The path of a request: printable characters, without blanks, query or fragment (RFC 3986 3.3).
pub(crate) fn path(text: &str) -> Parsed<String> {
    let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\' | b'<' | b'>' | b'`');
    if text.starts_with('/') && text.len() <= 1024 && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a path of a request"), "it begins with /, like /api"))
}

/// A URL: scheme, host, optionally a port and a path.
pub(crate) fn url(text: &str) -> Parsed<String> {
    let wrong = || Wrong::new(format!("`{text}` is not a URL"), "like https://s3.example.org");
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
    let (place, tail) = rest.split_once('/').map_or((rest, None), |(place, tail)| (place, Some(tail)));
    let (host, digits) = place.split_once(':').map_or((place, None), |(host, digits)| (host, Some(digits)));
    let named =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if !named || tail.is_some_and(|tail| path(&format!("/{tail}")).is_err()) {
        return Err(wrong());
    }
    digits.map(port).transpose()?;
    Ok(text.to_owned())
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// A user who logs in by ssh.
pub(crate) fn login(text: &str) -> Parsed<String> {
    match is_word(text) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("`{text}` is not a user name"),
            "letters, digits, dots, hyphens and underscores",
        )),
    }
}
