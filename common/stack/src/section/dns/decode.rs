//! The section `dns`: reads it from the document.

use super::dhcp;
use super::{Dns, DnsDriver, DnsService, Record, RecordType, Transfer, Update, UpdateOwner};
use crate::decode::at::{At, string, truth};
use crate::decode::words::label;
use crate::tree::Value;
use crate::value::{
    Parsed, Protocol, Wrong, address, address6, caa, domain, mx, pace, port, record, srv, target,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const DRIVERS: [(&str, DnsDriver); 3] =
    [("embedded", DnsDriver::Embedded), ("dnsmasq", DnsDriver::Dnsmasq), ("bind", DnsDriver::Bind)];
const OWNERS: [(&str, UpdateOwner); 4] = [
    ("reservation", UpdateOwner::Reservation),
    ("lease", UpdateOwner::Lease),
    ("service", UpdateOwner::Service),
    ("acme", UpdateOwner::Acme),
];
const TYPES: [(&str, RecordType); 8] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::Aaaa),
    ("CNAME", RecordType::Cname),
    ("DHCID", RecordType::Dhcid),
    ("MX", RecordType::Mx),
    ("PTR", RecordType::Ptr),
    ("SRV", RecordType::Srv),
    ("TXT", RecordType::Txt),
];

pub(crate) fn dns(at: At<'_, '_>) -> Option<Dns> {
    let table = at.table()?;
    let dns = Dns {
        driver: table.get("driver", |at| at.word(&DRIVERS)).unwrap_or_default(),
        forward: table.get("forward", |at| at.many(|at| at.parse(address))),
        zones: table.get("zones", zones).unwrap_or_default(),
        ttl: table.get("ttl", |at| at.span(0, 604800)),
        negative_ttl: table.get("negative_ttl", |at| at.span(0, 86400)),
        cache: table.get("cache", |at| at.number(0, 1000000)),
        rate: table.get("rate", |at| at.number(1, 1000000)),
        log: table.get("log", truth).unwrap_or_default(),
        records: table.get("records", records).unwrap_or_default(),
        services: table.get("services", services).unwrap_or_default(),
        health: table.get("health", |at| at.parse(pace)),
        update: table.get("update", updates).unwrap_or_default(),
        host: table.get("host", string),
        transfer: table.get("transfer", transfer),
        dhcp: table.get("dhcp", dhcp::networks).unwrap_or_default(),
        boot: table.get("boot", dhcp::boot),
    };
    table.finish();
    Some(dns)
}

pub(super) fn long(at: At<'_, '_>) -> Option<Record> {
    let table = at.table()?;
    let long = Record {
        a: table.get("a", |at| at.many(|at| at.parse(address))).unwrap_or_default(),
        aaaa: table.get("aaaa", |at| at.many(|at| at.parse(address6))).unwrap_or_default(),
        cname: table.get("cname", |at| at.parse(target)),
        mx: table.get("mx", |at| at.many(|at| at.parse(mx))).unwrap_or_default(),
        txt: table.get("txt", |at| at.many(|at| at.parse(text))).unwrap_or_default(),
        srv: table.get("srv", |at| at.many(|at| at.parse(srv))).unwrap_or_default(),
        ptr: table.get("ptr", |at| at.many(|at| at.parse(target))).unwrap_or_default(),
        caa: table.get("caa", |at| at.many(|at| at.parse(caa))).unwrap_or_default(),
        ns: table.get("ns", |at| at.many(|at| at.parse(target))).unwrap_or_default(),
        ttl: table.get("ttl", |at| at.span(0, 604800)),
        networks: table.get("networks", |at| at.many(string)).unwrap_or_default(),
    };
    table.finish();
    Some(long)
}

pub(super) fn service(at: At<'_, '_>) -> Option<DnsService> {
    let table = at.table()?;
    let service = DnsService {
        to: table.need("to", string).unwrap_or_default(),
        port: table.need("port", |at| at.parse(port)).unwrap_or_default(),
        protocol: table.get("protocol", |at| at.word(&PROTOCOLS)),
    };
    table.finish();
    Some(service)
}

pub(super) fn update(at: At<'_, '_>) -> Option<Update> {
    let table = at.table()?;
    let update = Update {
        key: table.need("key", string).unwrap_or_default(),
        names: table.need("names", |at| at.many(|at| at.parse(pattern))).unwrap_or_default(),
        types: table.need("types", |at| at.many(|at| at.word(&TYPES))).unwrap_or_default(),
        owner: table.get("owner", |at| at.word(&OWNERS)).unwrap_or_default(),
    };
    table.finish();
    Some(update)
}

pub(super) fn transfer(at: At<'_, '_>) -> Option<Transfer> {
    let table = at.table()?;
    let transfer = Transfer {
        to: table.need("to", |at| at.many(|at| at.parse(address))).unwrap_or_default(),
        key: table.get("key", string),
    };
    table.finish();
    Some(transfer)
}

/// A map from domains to servers.
fn zones(at: At<'_, '_>) -> Option<BTreeMap<String, Vec<Ipv4Addr>>> {
    let key = |at: At<'_, '_>, key: &str| drop(domain(key).map_err(|wrong| at.key_wrong(wrong)));
    at.entries(key, |at| at.many(|at| at.parse(address)))
}

/// A map from names to records.
fn records(at: At<'_, '_>) -> Option<BTreeMap<String, Record>> {
    let key = |at: At<'_, '_>, key: &str| drop(record(key).map_err(|wrong| at.key_wrong(wrong)));
    at.entries(key, |at| match at.node.value {
        Value::Map(_) => long(at),
        _ => Some(Record { a: at.many(|at| at.parse(address))?, ..Record::default() }),
    })
}

fn services(at: At<'_, '_>) -> Option<BTreeMap<String, DnsService>> {
    at.entries(service_name, service)
}

/// RFC 6335 5.1: at most 15 letters, digits and hyphens, including a letter.
fn service_name(at: At<'_, '_>, key: &str) {
    let good = (1..=15).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && key.bytes().any(|b| b.is_ascii_lowercase())
        && !key.starts_with('-')
        && !key.ends_with('-')
        && !key.contains("--");
    if !good {
        let hint = "at most 15 lower-case letters, digits and hyphens, like http".to_owned();
        at.key_mistake("stack.dns.service", format!("`{key}` is not a service name"), hint);
    }
}

fn updates(at: At<'_, '_>) -> Option<BTreeMap<String, Update>> {
    at.entries(label, update)
}

/// Patterns of names, with `*` for any text.
fn pattern(text: &str) -> Parsed<String> {
    let good =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'*' | b'@');
    if (1..=253).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a pattern of names"), "like _acme-challenge.*"))
}

/// The text of a record; the server splits it into strings of 255 bytes (RFC 1035 3.3.14).
fn text(text: &str) -> Parsed<String> {
    if text.len() <= 4000 && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new("the text is too long, or has control characters", "at most 4000 bytes"))
}

const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
