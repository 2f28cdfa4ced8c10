//! Data of DNS records other than addresses, in the format of zone files (RFC 1035 5.1).

use super::{Parsed, Wrong, target};

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// `10 mail`: preference and host (RFC 1035 3.3.9).
pub(crate) fn mx(text: &str) -> Parsed<String> {
    match text.split(' ').collect::<Vec<_>>()[..] {
        [preference, host] if number(preference).is_some() => target(host).map(|_| text.to_owned()),
        _ => Err(Wrong::new(
            format!("`{text}` is not a mail exchanger"),
            "preference and host, like \"10 mail\"",
        )),
    }
}

/// `0 5 443 web.production`: priority, weight, port and host (RFC 2782).
pub(crate) fn srv(text: &str) -> Parsed<String> {
    match text.split(' ').collect::<Vec<_>>()[..] {
        [a, b, c, host] if [a, b, c].iter().all(|n| number(n).is_some()) => {
            target(host).map(|_| text.to_owned())
        }
        _ => Err(Wrong::new(
            format!("`{text}` is not a service location"),
            "priority, weight, port and host, like \"0 5 443 web.production\"",
        )),
    }
}

/// `0 issue letsencrypt.org`: flags, tag and value (RFC 8659 4.1).
pub(crate) fn caa(text: &str) -> Parsed<String> {
    let wrong = || {
        let hint = "flags, tag and value, like \"0 issue ca.example.org\"";
        Wrong::new(format!("`{text}` is not a CAA record"), hint)
    };
    let mut parts = text.splitn(3, ' ');
    let (flags, tag, value) = (parts.next(), parts.next(), parts.next());
    let flagged = flags.and_then(number).is_some_and(|flags| flags <= 255);
    let tagged = tag.is_some_and(|tag| {
        (1..=15).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    let valued =
        value.is_some_and(|value| value.len() <= 255 && value.bytes().all(|b| (32..127).contains(&b)));
    if flagged && tagged && valued { Ok(text.to_owned()) } else { Err(wrong()) }
}
