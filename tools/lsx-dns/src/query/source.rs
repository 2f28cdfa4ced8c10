//! Which parts of the document give an answer, and which are hidden from the asker. Pure.

use super::answer::{Answer, Queried, Record, Source};
use crate::model::{Config, Entry, Seen, View};
use crate::zone;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The number of parts that are shown.
const SHOWN: usize = 1000;

/// Of the records of an answer, and of those that the name has for others.
pub(super) fn sources(
    config: &Config,
    source: Ipv4Addr,
    asked: (&str, &str),
    answer: &Answer,
) -> Vec<Source> {
    let view = config.view(source);
    let mut all: Vec<Source> = answer.records.iter().map(|record| given(config, view, record)).collect();
    let (name, kind) = asked;
    let of_name = config.records.iter().filter(|entry| is_named(entry, name));
    let hidden = of_name.filter(|entry| !view.is_some_and(|view| view.sees(entry)));
    for entry in hidden {
        let Some((known, data)) = zone::text(&entry.data) else { continue };
        if known == kind || known == "CNAME" {
            let record = format!("{} {known} {data}", entry.name);
            all.push(Source { record, path: entry.of.clone(), at: None, why: Some(why(&entry.seen, view)) });
        }
    }
    all.truncate(SHOWN);
    all
}

/// Of an answer without records.
pub(super) fn none(told: &Queried, beyond: &BTreeMap<String, Vec<Ipv4Addr>>) -> Source {
    let name = told.name.to_lowercase();
    let within = |zone: &&String| {
        name.strip_suffix(zone.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let zone = beyond.keys().filter(within).max_by_key(|zone| zone.len());
    let (path, why) = match (told.forward.as_slice(), zone) {
        ([], _) => {
            let why = told.expected.why.clone().unwrap_or_else(|| "nothing in the document".to_owned());
            ("dns".to_owned(), why)
        }
        (servers, Some(zone)) => (format!("dns.zones.{zone}"), format!("asked from {}", servers.join(", "))),
        (servers, None) => (format!("dns.{}", "forward"), format!("asked from {}", servers.join(", "))),
    };
    Source { record: format!("{} {}", told.name, told.kind), path, at: None, why: Some(why) }
}

fn given(config: &Config, view: Option<&View>, record: &Record) -> Source {
    let same = |entry: &&Entry| {
        let text = || zone::text(&entry.data);
        is_named(entry, &record.name)
            && view.is_some_and(|view| view.sees(entry))
            && text().is_some_and(|(kind, data)| kind == record.kind && data == record.data)
    };
    // SOA and NS of a zone, and names such as localhost, are the server's own.
    let path = config.records.iter().find(same).map_or("dns", |entry| entry.of.as_str());
    let record = format!("{} {} {}", record.name, record.kind, record.data);
    Source { record, path: path.to_owned(), at: None, why: None }
}

/// Whether a record is one of a name, or a wildcard that covers it.
fn is_named(entry: &Entry, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let covers = |rest: &str| {
        let tail = name.len().checked_sub(rest.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(rest))
    };
    entry.name.eq_ignore_ascii_case(name) || entry.name.strip_prefix('*').is_some_and(covers)
}

fn why(seen: &Seen, view: Option<&View>) -> String {
    let networks = view.map(|view| view.networks.join(", ")).unwrap_or_default();
    match seen {
        Seen::All => "the asker is no source of the stack".to_owned(),
        Seen::Reaching(address) => {
            format!("no allow leads from {networks} to {address}")
        }
        Seen::Networks(all) => format!("only for {}", all.join(", ")),
    }
}
