//! The target of a probe, and its settings.

mod http;

use std::net::IpAddr;

use serde::Serialize;

use super::expect::Expect;
use super::problem::Problem;
pub use http::Http;

/// The longest time limit of a probe, in milliseconds (10 minutes).
pub const MAX_TIMEOUT_MS: u64 = 600_000;
/// The largest ICMP echo payload, in bytes: 65,535 less 20 (IPv4) and 8 (ICMP header).
pub const MAX_SIZE_BYTES: u32 = 65_507;

/// One target: address, kind of probe, and the expected answer.
///
/// Read from JSON as an object (`{"probe": "tcp", "address": "10.0.0.1", "port": 22}`) or from the short form
/// `tcp:10.0.0.1:22`; written as an object with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// A name, repeated in the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind of probe, key `probe` in JSON.
    #[serde(flatten)]
    pub probe: Probe,
    /// IPv4, IPv6 (with `%interface` if link-local), or a name in /etc/hosts.
    pub address: String,
    /// Time limit in milliseconds; for icmp the wait after each echo, so the whole takes at most `(count - 1) * interval_ms
    /// + timeout_ms`.
    pub timeout_ms: u64,
    /// Source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Outgoing interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The expected answer.
    #[serde(skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
}

/// The kinds of probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "probe", rename_all = "snake_case")]
pub enum Probe {
    /// Echo requests (RFC 792, RFC 4443).
    Icmp(Icmp),
    /// A TCP handshake (RFC 9293).
    Tcp(Tcp),
    /// The first line that a TCP service sends.
    Banner(Banner),
    /// An HTTP GET (RFC 9112), by TLS if the target says so.
    Http(Http),
}

/// A series of echo requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Icmp {
    /// Number of requests, 1 to 65,535.
    pub count: u32,
    /// Milliseconds between requests.
    pub interval_ms: u64,
    /// Payload in bytes; the IPv4 packet is 28 larger, the IPv6 packet 48.
    pub size_bytes: u32,
    /// Forbid fragmentation, here and on the path: the packet fits or the answer is `too_big`.
    pub df: bool,
}

/// A TCP handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tcp {
    /// The port.
    pub port: u16,
}

/// The first line of a TCP service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Banner {
    /// The port.
    pub port: u16,
    /// Text to send first, for services that wait for a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// Maximum number of bytes to read, 1 to 65,536; fewer if a newline or the end comes first.
    pub max_bytes: u32,
}

impl Icmp {
    /// Three echoes of 56 bytes, 200 ms apart, fragmentation allowed.
    pub fn new() -> Self {
        Self { count: 3, interval_ms: 200, size_bytes: 56, df: false }
    }
}

impl Default for Icmp {
    fn default() -> Self {
        Self::new()
    }
}

impl Banner {
    /// Up to 256 bytes, without sending anything first.
    pub fn new(port: u16) -> Self {
        Self { port, send: None, max_bytes: 256 }
    }
}

impl Probe {
    /// The tag in JSON and the scheme of the short form.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Icmp(_) => "icmp",
            Self::Tcp(_) => "tcp",
            Self::Banner(_) => "banner",
            Self::Http(_) => "http",
        }
    }

    /// Default time limit, in milliseconds.
    pub fn default_timeout_ms(&self) -> u64 {
        match self {
            Self::Icmp(_) => 1_000,
            Self::Tcp(_) | Self::Banner(_) | Self::Http(_) => 5_000,
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Self::Icmp(_) => None,
            Self::Tcp(Tcp { port }) | Self::Banner(Banner { port, .. }) => Some(*port),
            Self::Http(http) => Some(http.port),
        }
    }
}

impl Target {
    /// A target with the default time limit, no name, no expectations.
    pub fn new(probe: Probe, address: impl Into<String>) -> Self {
        Self {
            name: None,
            timeout_ms: probe.default_timeout_ms(),
            probe,
            address: address.into(),
            source: None,
            interface: None,
            expect: Expect::default(),
        }
    }

    /// Refuses invalid values; called by decoding and parsing.
    ///
    /// # Errors
    /// The first problem: key, value, reason and hint.
    pub fn check(&self) -> Result<(), Problem> {
        self.check_address()?;
        if self.probe.port() == Some(0) {
            return Err(Problem::new("port: 0 is not a port").hint("ports are 1 to 65535"));
        }
        within("timeout_ms", self.timeout_ms, 1, MAX_TIMEOUT_MS)?;
        match &self.probe {
            Probe::Icmp(icmp) => icmp.check()?,
            Probe::Tcp(_) => {}
            Probe::Banner(banner) => within("max_bytes", banner.max_bytes.into(), 1, 65_536)?,
            Probe::Http(http) => http.check()?,
        }
        self.check_expectations()
    }

    fn check_address(&self) -> Result<(), Problem> {
        let address = &self.address;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/[]@#?".contains(c);
        if address.is_empty() || address.contains(odd) {
            return Err(Problem::new(format!("address: {address:?} is neither an address nor a host name"))
                .hint("write 10.0.0.1, fd00::1, fe80::1%eth0 or a name of /etc/hosts"));
        }
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Ok(());
        };
        let many = ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::from([255; 4]);
        if many {
            return Err(Problem::new(format!(
                "address: {ip} does not name one host (multicast, broadcast or unspecified)"
            ))
            .hint("a probe has exactly one target host"));
        }
        match self.source {
            Some(source) if source.is_ipv4() != ip.is_ipv4() => {
                Err(Problem::new(format!("source: {source} and address {ip} are of different IP versions")))
            }
            _ => Ok(()),
        }
    }

    fn check_expectations(&self) -> Result<(), Problem> {
        let word = self.probe.word();
        let expect = &self.expect;
        let http = matches!(self.probe, Probe::Http(_));
        let misplaced = [
            ("status", !expect.status.is_empty() && !http),
            ("headers", !expect.headers.is_empty() && !http),
            ("banner", !expect.banner.is_empty() && !matches!(self.probe, Probe::Banner(_))),
        ];
        match misplaced.iter().find(|(_, wrong)| *wrong) {
            Some((key, _)) => {
                Err(Problem::new(format!("expect.{key}: not available in a probe of kind {word}"))
                    .hint(if *key == "banner" { "use probe: banner" } else { "use probe: http" }))
            }
            None => Ok(()),
        }
    }
}

impl Icmp {
    fn check(&self) -> Result<(), Problem> {
        within("count", self.count.into(), 1, 65_535)?;
        within("interval_ms", self.interval_ms, 1, 60_000)?;
        within("size_bytes", self.size_bytes.into(), 0, MAX_SIZE_BYTES.into())
    }
}

fn within(key: &str, value: u64, least: u64, most: u64) -> Result<(), Problem> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Problem::new(format!("{key}: {value} is out of range")).hint(format!("allowed: {least} to {most}")))
}
