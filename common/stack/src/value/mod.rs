//! The small texts of a stack: sizes, durations, ranges, ports, selectors. Each parses from and writes to the same text.

mod names;
mod places;
mod ports;
mod records;
mod rlimit;
mod signal;
mod times;
mod words;
mod write;

pub(crate) use names::{domain, hostname, is_below, label, name, record, target};
pub(crate) use places::{address6, login, mac, path, url};
pub use ports::{PortSpec, Protocol};
pub(crate) use ports::{port, port_spec, protocol};
pub(crate) use records::{caa, mx, srv};
pub use rlimit::Rlimit;
pub(crate) use rlimit::{RLIMITS, rlimit};
pub use signal::Signal;
pub(crate) use signal::{signal, signals};
pub use times::{Clock, Pace, Percent, Rate};
pub(crate) use times::{clock, pace, percent, rate};
pub use words::{Driver, NetworkKind, Restart, Switch, Tunnel};
pub(crate) use write::{is_default, octal};

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Why a text is invalid, and what would be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Wrong { message: message.into(), hint: Some(hint.into()) }
    }
}

/// The result of parsing a text.
pub(crate) type Parsed<T> = Result<T, Wrong>;

/// Bytes; written `512M`, where K, M, G and T are powers of 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Seconds; written `30s`, `5m`, `1h`, `7d` or `2y`, which is 730 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub u64);

/// Thousandths of a processor; written `0.5` or `2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(pub u32);

/// Addresses from the first to the last, both included; written `10.0.0.10-10.0.0.20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub first: Ipv4Addr,
    /// The last address.
    pub last: Ipv4Addr,
}

/// A readiness probe by HTTP, with or without TLS: port and path on the instance itself; written `:80/health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// TCP port of the instance.
    pub port: u16,
    /// Path with its leading slash.
    pub path: String,
}

/// A TCP port and text in its first bytes; written `22:SSH-2.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// TCP port of the instance.
    pub port: u16,
    /// The words.
    pub holds: String,
}

/// One side of an `allow`, as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Select {
    /// `*`: every network of the stack; not the world, not hosts.
    Every,
    /// `world`: everything that is neither a network of the stack nor a host.
    World,
    /// A bare name: a network.
    Network(String),
    /// `instance/NAME`: all replicas of an instance.
    Instance(String),
    /// `host/NAME`.
    Host(String),
    /// An address or a CIDR outside the stack.
    Cidr(Ipv4Net),
}

const SIZES: [(&str, u64); 4] = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
const TIMES: [(&str, u64); 5] = [("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

fn units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) = units
        .iter()
        .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .unwrap_or((text, 1));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Bytes of `512M`.
pub(crate) fn size(text: &str) -> Parsed<Size> {
    let wrong = || {
        let short = text.trim_end_matches(['i', 'I', 'b', 'B', ' ']).to_uppercase();
        let digits = short.trim_end_matches(['K', 'M', 'G', 'T']).trim_end();
        let unit = short.get(digits.len()..).unwrap_or_default().trim_start();
        let near = format!("{digits}{unit}");
        let hint = match near != text && !unit.is_empty() && units(&near, &SIZES).is_some_and(|n| n > 0) {
            true => format!("write {near}; K, M, G and T are powers of 1024"),
            false => "a number with K, M, G or T, like 512M".to_owned(),
        };
        Wrong::new(format!("`{text}` is not a size"), hint)
    };
    units(text, &SIZES).filter(|&n| n > 0).map(Size).ok_or_else(wrong)
}

/// Seconds of `30s`; a number without a unit is refused.
pub(crate) fn duration(text: &str) -> Parsed<Duration> {
    let wrong = || Wrong::new(format!("`{text}` is not a duration"), "a number with s, m, h or d, like 30s");
    let unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    units(text, &TIMES).filter(|_| unit).map(Duration).ok_or_else(wrong)
}

/// Thousandths of `1.5`.
pub(crate) fn cpus(text: &str) -> Parsed<Cpus> {
    let wrong = || Wrong::new(format!("`{text}` is not a number of processors"), "like 2 or 0.5");
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(wrong());
    }
    let part = format!("{part:0<3}").parse::<u32>().map_err(|_| wrong())?;
    let whole = whole.parse::<u32>().ok().and_then(|n| n.checked_mul(1000)).ok_or_else(wrong)?;
    Some(whole + part).filter(|&n| n > 0).map(Cpus).ok_or_else(wrong)
}

/// An IPv4 address; IPv6 has its own message, since this version does not support it.
pub(crate) fn address(text: &str) -> Parsed<Ipv4Addr> {
    if text.contains(':') {
        return Err(Wrong::new(format!("`{text}` is an IPv6 address"), "stacks are IPv4 in this version"));
    }
    text.parse().map_err(|_| {
        Wrong::new(format!("`{text}` is not an IPv4 address"), "four numbers from 0 to 255, like 192.0.2.11")
    })
}

/// A network in CIDR notation, without host bits.
pub(crate) fn cidr(text: &str) -> Parsed<Ipv4Net> {
    if text.contains(':') {
        return Err(Wrong::new(format!("`{text}` is an IPv6 network"), "stacks are IPv4 in this version"));
    }
    let wrong =
        || Wrong::new(format!("`{text}` is not a network"), "an address and a prefix, like 10.100.0.0/16");
    let net: Ipv4Net = text.parse().map_err(|_| wrong())?;
    if net.trunc() == net {
        return Ok(net);
    }
    Err(Wrong::new(format!("{text} has host bits set"), format!("the network is {}", net.trunc())))
}

/// A network, or an address as a /32 network.
pub(crate) fn cidr_or_address(text: &str) -> Parsed<Ipv4Net> {
    if text.contains('/') { cidr(text) } else { address(text).map(Ipv4Net::from) }
}

/// `10.0.0.10-10.0.0.20`.
pub(crate) fn range(text: &str) -> Parsed<Range> {
    let wrong =
        || Wrong::new(format!("`{text}` is not a range"), "first and last address, like 10.0.0.10-10.0.0.20");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let range = Range { first: address(first.trim())?, last: address(last.trim())? };
    if range.first <= range.last { Ok(range) } else { Err(wrong()) }
}

/// `22:SSH-2.0`.
pub(crate) fn banner(text: &str) -> Parsed<Banner> {
    match text.split_once(':') {
        Some((digits, holds)) if !holds.is_empty() => {
            Ok(Banner { port: port(digits)?, holds: holds.to_owned() })
        }
        _ => Err(Wrong::new(format!("`{text}` is not a banner probe"), "port and words, like 22:SSH-2.0")),
    }
}

/// `:80/health`.
pub(crate) fn http(text: &str) -> Parsed<Http> {
    page(text, 80)
}

/// `:443/health`.
pub(crate) fn https(text: &str) -> Parsed<Http> {
    page(text, 443)
}

fn page(text: &str, usual: u16) -> Parsed<Http> {
    let wrong = || {
        Wrong::new(format!("`{text}` is not an HTTP probe"), format!("port and path, like :{usual}/health"))
    };
    let (before, path) = text.split_once('/').unwrap_or((text, ""));
    let port = match before.strip_prefix(':') {
        Some(digits) => port(digits)?,
        None if before.is_empty() => usual,
        None => return Err(wrong()),
    };
    if text.is_empty() || path.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok(Http { port, path: format!("/{path}") })
}

/// One side of an `allow`.
pub(crate) fn select(text: &str) -> Parsed<Select> {
    if let Some(name) = text.strip_prefix("instance/") {
        return name_of(name).map(Select::Instance);
    }
    if let Some(name) = text.strip_prefix("host/") {
        return name_of(name).map(Select::Host);
    }
    match text {
        "*" => Ok(Select::Every),
        "world" => Ok(Select::World),
        _ if text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(':') => {
            cidr_or_address(text).map(Select::Cidr)
        }
        _ => name_of(text).map(Select::Network),
    }
}

fn name_of(text: &str) -> Parsed<String> {
    name(text).map(|()| text.to_owned())
}

/// The generation of `derive` or `derive:2`, the source of a secret derived from the seed.
pub fn generation(text: &str) -> Option<u32> {
    match text.strip_prefix("derive")? {
        "" => Some(1),
        rest => {
            let digits = rest.strip_prefix(':').filter(|digits| !digits.starts_with(['0', '+']))?;
            digits.parse().ok()
        }
    }
}

impl Range {
    /// Whether an address is in the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}
