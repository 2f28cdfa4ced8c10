//! The compact form of a target, for flags and one-liners: `icmp:10.0.0.1`, `tcp:[fd00::1]:22`,
//! `banner:10.0.0.1:22`, `http://10.0.0.1:80/health`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::problem::Problem;
use super::target::{Banner, Http, Icmp, Probe, Target, Tcp};

const FORMS: &str = "write icmp:10.0.0.1, tcp:10.0.0.1:22, banner:10.0.0.1:22, http://10.0.0.1:80/health or https://10.0.0.1/";

impl FromStr for Target {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| Problem::new(format!("{text:?} does not name a kind of probe")).hint(FORMS))?;
        let (address, probe) = match scheme {
            "icmp" => (bare(text, rest)?, Probe::Icmp(Icmp::new())),
            "tcp" => {
                let (address, port) = with_port(text, rest)?;
                (address, Probe::Tcp(Tcp { port }))
            }
            "banner" => {
                let (address, port) = with_port(text, rest)?;
                (address, Probe::Banner(Banner::new(port)))
            }
            "http" => url(text, rest, false)?,
            "https" => url(text, rest, true)?,
            _ => {
                return Err(Problem::new(format!("{text:?}: {scheme:?} is not a kind of probe")).hint(FORMS));
            }
        };
        let target = Target::new(probe, address);
        target.check()?;
        Ok(target)
    }
}

impl fmt::Display for Target {
    /// The short form of kind, address, port and path; it has no other keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.probe.word();
        let host = match self.address.contains(':') {
            true => format!("[{}]", self.address),
            false => self.address.clone(),
        };
        match &self.probe {
            Probe::Icmp(_) => write!(f, "{word}:{}", self.address),
            Probe::Tcp(Tcp { port }) | Probe::Banner(Banner { port, .. }) => {
                write!(f, "{word}:{host}:{port}")
            }
            Probe::Http(http) => write!(f, "{}://{host}:{}{}", http.scheme(), http.port, http.path),
        }
    }
}

/// An address alone: brackets around IPv6 are optional, a port is an error.
fn bare(text: &str, rest: &str) -> Result<String, Problem> {
    if let Some(inner) = rest.strip_prefix('[').and_then(|r| r.strip_suffix(']')) {
        return Ok(inner.to_owned());
    }
    let v6 = rest.split('%').next().unwrap_or_default();
    if rest.contains(':') && v6.parse::<Ipv6Addr>().is_err() {
        return Err(Problem::new(format!("{text:?}: {rest:?} is not an address; ICMP has no ports"))
            .hint("write icmp:10.0.0.1, or tcp:10.0.0.1:22 to probe a port"));
    }
    Ok(rest.to_owned())
}

/// An address and a required port.
fn with_port(text: &str, rest: &str) -> Result<(String, u16), Problem> {
    let (address, port) = authority(text, rest)?;
    let port = port.ok_or_else(|| {
        let scheme = text.split(':').next().unwrap_or_default();
        Problem::new(format!("{text:?}: the port is missing")).hint(format!("write {scheme}:10.0.0.1:22"))
    })?;
    Ok((address, port))
}

fn url(text: &str, rest: &str, tls: bool) -> Result<(String, Probe), Problem> {
    let rest = rest.strip_prefix("//").ok_or_else(|| {
        let example = if tls { "https://10.0.0.1/health" } else { "http://10.0.0.1:80/health" };
        Problem::new(format!("{text:?}: two slashes are missing")).hint(format!("write {example}"))
    })?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    if host.contains('@') {
        return Err(Problem::new(format!("{text:?}: probes send no user name or password"))
            .hint("remove the part before @"));
    }
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    let (address, port) = authority(text, host)?;
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    Ok((address, Probe::Http(Http { tls, ..Http::new(port, path) })))
}

/// Splits `address[:port]`, where an IPv6 address with a port stands in brackets (RFC 3986).
fn authority(text: &str, rest: &str) -> Result<(String, Option<u16>), Problem> {
    if let Some(inside) = rest.strip_prefix('[') {
        let (address, after) = inside
            .split_once(']')
            .ok_or_else(|| Problem::new(format!("{text:?}: the closing ] is missing")))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((address.to_owned(), Some(number(text, port)?))),
            None if after.is_empty() => Ok((address.to_owned(), None)),
            None => Err(Problem::new(format!("{text:?}: {after:?} after ] is not a port"))),
        };
    }
    match rest.split_once(':') {
        None => Ok((rest.to_owned(), None)),
        Some((_, port)) if port.contains(':') => {
            Err(Problem::new(format!("{text:?}: an IPv6 address with a port needs brackets"))
                .hint(format!("write [{rest}]:22")))
        }
        Some((address, port)) => Ok((address.to_owned(), Some(number(text, port)?))),
    }
}

fn number(text: &str, port: &str) -> Result<u16, Problem> {
    port.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Problem::new(format!("{text:?}: {port:?} is not a port")).hint("ports are 1 to 65535"))
}
