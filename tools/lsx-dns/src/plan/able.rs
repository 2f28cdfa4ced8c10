//! What a driver cannot do: a plan is refused for each of it, by name. Pure.

use crate::model::{Config, Data, Driver};
use common::stack::Dns;
use common::{Failure, Kind};
use std::collections::BTreeSet;

/// The failures of a host's server, with their places.
pub(super) fn refused(dns: &Dns, config: &Config) -> Vec<Failure> {
    let name = match config.driver {
        Driver::Embedded => return Vec::new(),
        Driver::Dnsmasq => "dnsmasq",
        Driver::Bind => "bind",
    };
    let mut all = Vec::new();
    let mut tell = |at: String, what: &str, hint: &str| {
        let message = format!("the driver {name} {what}");
        all.push(Failure::new(Kind::Data, "dns.plan.driver", message).at(at).hint(hint));
    };
    let section = |key: &str| format!("dns.{key}");
    if config.health.is_some() {
        let hint = "write health: off, or driver: embedded";
        tell(section("health"), "cannot leave out replicas that are not ready", hint);
    }
    for (key, there) in [
        ("update", !dns.update.is_empty()),
        ("transfer", dns.transfer.is_some()),
        ("rate", dns.rate.is_some()),
    ] {
        if there {
            tell(section(key), &format!("does not have {key} yet"), "write driver: embedded");
        }
    }
    if config.driver == Driver::Dnsmasq {
        dnsmasq(config, &mut tell);
    }
    all
}

/// dnsmasq answers everybody alike, and knows no wildcards of DNS, no delegations, and no aliases of names elsewhere.
fn dnsmasq(config: &Config, tell: &mut impl FnMut(String, &str, &str)) {
    let other = "write driver: bind or driver: embedded";
    let seen = |view: &crate::model::View| -> BTreeSet<usize> {
        (0..config.records.len()).filter(|i| view.sees(&config.records[*i])).collect()
    };
    let mut views = config.views.iter();
    if let Some(first) = views.next() {
        let names = seen(first);
        if let Some(differs) = views.find(|view| seen(view) != names) {
            let (one, two) = (first.networks.join(" and "), differs.networks.join(" and "));
            let what = format!("answers everybody alike, but {one} and {two} may not see the same names");
            tell("dns.driver".to_owned(), &what, other);
        }
    }
    let own: BTreeSet<&str> = config.records.iter().map(|entry| entry.name.as_str()).collect();
    let mut told = BTreeSet::new();
    for entry in &config.records {
        let what = match &entry.data {
            _ if entry.name.starts_with("*.") => "has no wildcards",
            Data::Ns(_) => "cannot delegate a zone",
            Data::Cname(to) if !own.contains(to.as_str()) => "has aliases only of names of the stack",
            _ => continue,
        };
        if told.insert(&entry.of) {
            tell(entry.of.clone(), what, other);
        }
    }
}
