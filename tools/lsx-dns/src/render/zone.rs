//! Zone files (RFC 1035 5) of a view. Pure.

use super::{seen, within};
use crate::model::{Config, Data, EXPIRE, Entry, REFRESH, RETRY, View};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The longest string of a text (RFC 1035 3.3).
const STRING: usize = 255;

/// The file of a zone as a view sees it, with the names of zones below it left out; none if there is no such zone.
pub fn zone(config: &Config, view: &View, apex: &str, serial: u32) -> Option<String> {
    let apex = config.zones.iter().find(|zone| zone.eq_ignore_ascii_case(apex))?;
    let server = format!("ns.{}", config.domain);
    let mut text = String::new();
    let _ = writeln!(text, "$TTL {}", config.ttl);
    let times = format!("{serial} {REFRESH} {RETRY} {EXPIRE} {}", config.negative_ttl);
    let _ = writeln!(text, "{apex}. IN SOA {server}. hostmaster.{}. ( {times} )", config.domain);
    let _ = writeln!(text, "{apex}. IN NS {server}.");
    let own = |name: &str| {
        let zones = config.zones.iter().filter(|zone| within(name, zone));
        zones.max_by_key(|zone| zone.len()) == Some(apex)
    };
    let mut lines = BTreeSet::new();
    let addressed = addressed(config, view);
    for entry in seen(config, view).filter(|entry| own(&entry.name)) {
        let ttl = entry.ttl.map(|ttl| format!("{ttl} ")).unwrap_or_default();
        let line = format!("{}. {ttl}IN {}", entry.name, data(&entry.data));
        // Servers refuse a zone with a delegation that leads to a name of the zone without an address.
        let lost = matches!(&entry.data, Data::Ns(to) if own(to) && !addressed.contains(to.as_str()));
        lines.insert(if lost {
            format!("; left out, since this network may not reach it: {line}")
        } else {
            line
        });
    }
    lines.iter().for_each(|line| _ = writeln!(text, "{line}"));
    Some(text)
}

/// Names with addresses.
pub(super) fn addressed<'c>(config: &'c Config, view: &'c View) -> BTreeSet<&'c str> {
    let address = |entry: &&Entry| matches!(entry.data, Data::A(_) | Data::Aaaa(_));
    seen(config, view).filter(address).map(|entry| entry.name.as_str()).collect()
}

/// Type and data of a record.
fn data(data: &Data) -> String {
    match data {
        Data::A(address) => format!("A {address}"),
        Data::Aaaa(address) => format!("AAAA {address}"),
        Data::Cname(name) => format!("CNAME {name}."),
        Data::Mx(preference, name) => format!("MX {preference} {name}."),
        Data::Txt(text) => {
            let strings: Vec<String> = text.as_bytes().chunks(STRING).map(quoted).collect();
            format!("TXT {}", if strings.is_empty() { "\"\"".to_owned() } else { strings.join(" ") })
        }
        Data::Srv(priority, weight, port, name) => format!("SRV {priority} {weight} {port} {name}."),
        Data::Ptr(name) => format!("PTR {name}."),
        Data::Ns(name) => format!("NS {name}."),
        Data::Caa(flags, tag, value) => format!("CAA {flags} {tag} {}", quoted(value.as_bytes())),
        Data::Other(kind, hex) => format!("TYPE{kind} \\# {} {hex}", hex.len() / 2),
    }
}

/// A string in quotes; bytes that are not printable as decimal numbers.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => _ = write!(text, "\\{byte:03}"),
        }
    }
    text + "\""
}
