//! The lines in which dnsmasq records leases. What clients say in them is not trusted. Pure.

use crate::model::Named;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The most names of clients.
const NAMES: usize = 100_000;
/// Names with which a client would become a proxy or a router of all others in its network (RFC 5214 8.3.2), or their own machine.
const RESERVED: [&str; 3] = ["isatap", "localhost", "wpad"];

/// A lease.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'t> {
    /// Its end, in seconds since 1970.
    pub(super) end: u64,
    pub(super) mac: &'t str,
    pub(super) address: Ipv4Addr,
    /// What the client calls itself, in lower case, if that can be a name of a host.
    pub(super) name: Option<String>,
}

/// The leases that are not over. A line without an end is still being written.
pub(super) fn lines(text: &str, now: u64) -> impl Iterator<Item = Line<'_>> {
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(line).filter(move |line| line.end > now)
}

/// One line: end, hardware address, address, name or `*`, client.
fn line(text: &str) -> Option<Line<'_>> {
    let mut words = text.split(' ');
    let end = words.next()?.parse().ok()?;
    let mac =
        words.next().filter(|mac| mac.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'-')))?;
    let address = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| *name != "*" && good(name)).map(str::to_ascii_lowercase);
    Some(Line { end, mac, address, name })
}

/// Whether a name is one label of a host (RFC 1123 2.1).
fn good(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The name of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) address: Ipv4Addr,
    pub(crate) ttl: u32,
    /// When the lease ends.
    pub(crate) end: u64,
}

/// The names of clients in these networks, fully qualified.
pub(crate) fn told(bytes: &[u8], networks: &[Named], now: u64) -> BTreeMap<String, Told> {
    let text = String::from_utf8_lossy(bytes);
    let mut all = BTreeMap::new();
    for Line { end, address, name, .. } in lines(&text, now) {
        let Some(network) = networks.iter().find(|network| network.cidr.contains(&address)) else { continue };
        let Some(name) = name.filter(|name| !RESERVED.contains(&name.as_str())) else { continue };
        if all.len() == NAMES {
            break;
        }
        let told = Told { address, ttl: network.ttl, end };
        all.entry(format!("{name}.{}", network.domain)).or_insert(told);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, String)> {
        let network = |cidr: &str, domain: &str| Named {
            cidr: cidr.parse().unwrap(),
            domain: domain.to_owned(),
            ttl: 60,
            elsewhere: false,
        };
        let networks = [network("10.0.0.0/24", "a.internal"), network("10.0.1.0/24", "b.internal")];
        let all = told(text.as_bytes(), &networks, 100);
        all.into_iter().map(|(name, told)| (name, told.address.to_string())).collect()
    }

    #[test]
    fn clients_have_the_names_that_they_tell_in_their_own_network() {
        let text = "200 02:00:00:00:00:01 10.0.0.7 Desk *\n200 02:00:00:00:00:02 10.0.1.7 desk 01:02\n";
        let desk = |domain: &str, address: &str| (format!("desk.{domain}.internal"), address.to_owned());
        assert_eq!(names(text), [desk("a", "10.0.0.7"), desk("b", "10.0.1.7")]);
    }

    #[test]
    fn what_is_over_damaged_or_dangerous_has_no_name() {
        for line in [
            "100 02:00:00:00:00:01 10.0.0.7 desk *\n",
            "200 02:00:00:00:00:01 10.0.0.7 desk *",
            "200 02:00:00:00:00:01 10.0.2.7 desk *\n",
            "200 02:00:00:00:00:01 10.0.0.7 * *\n",
            "200 02:00:00:00:00:01 10.0.0.7 a.b *\n",
            "200 02:00:00:00:00:01 10.0.0.7 -desk *\n",
            "200 02:00:00:00:00:01 10.0.0.7 WPAD *\n",
            "200 02:00:00:00:00:01 10.0.0.7 d\u{e9}sk *\n",
            "200 $(reboot) 10.0.0.7 desk *\n",
            "duid 00:01:00:01\n",
            "200\n\n \n",
        ] {
            assert_eq!(names(line), [], "{line:?}");
        }
        let long = format!("200 02:00:00:00:00:01 10.0.0.7 {} *\n", "a".repeat(64));
        assert_eq!(names(&long), []);
    }
}
