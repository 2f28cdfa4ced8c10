//! Names: used once, with existing targets, and supported by the driver.

use super::names::{Names, whole};
use super::{Dns, DnsDriver, Record};
use crate::resolve::gateway_address;
use crate::rules::Check;
use crate::value::is_below;
use std::collections::{BTreeMap, BTreeSet};

impl<'s> Check<'s> {
    /// The section `dns`.
    pub(crate) fn dns(&mut self) {
        let Some(dns) = &self.stack.dns else { return };
        self.serves("dns");
        self.asked(dns);
        self.able(dns);
        let names = Names::of(self.stack, &dns.records);
        for (key, record) in &dns.records {
            self.record(key, record, &names);
        }
        self.aliases(dns, &names);
        for (name, service) in &dns.services {
            let path = format!("dns.services.{name}.to");
            if !service.to.is_empty() && self.instance(&service.to, || path.clone()).is_some() {
                self.reachable(&service.to, None, &path);
            }
        }
        self.changed(dns);
        self.dhcp(dns);
    }

    /// Servers for names of others.
    fn asked(&mut self, dns: &'s Dns) {
        let mut servers: Vec<(String, std::net::Ipv4Addr)> = Vec::new();
        for (i, &server) in dns.forward.iter().flatten().enumerate() {
            servers.push((format!("dns.forward.{i}"), server));
        }
        for (zone, asked) in &dns.zones {
            let path = format!("dns.zones.{zone}");
            if is_below(zone, &self.stack.domain) {
                let message =
                    format!("`{zone}` is served by the stack itself, whose domain is {}", self.stack.domain);
                self.tell("stack.dns.zone", path.clone(), message, "write another domain");
            }
            servers.extend(asked.iter().enumerate().map(|(i, &server)| (format!("{path}.{i}"), server)));
        }
        for (path, server) in servers {
            let own =
                self.stack.networks.iter().find(|(_, network)| {
                    network.gateway.is_some() && gateway_address(network) == Some(server)
                });
            if let Some((network, _)) = own {
                let message =
                    format!("{server} is the gateway of networks.{network}, which would query itself");
                self.tell("stack.dns.loop", path, message, "write the address of another server");
            }
        }
    }

    /// What a driver does not support.
    fn able(&mut self, dns: &Dns) {
        if dns.driver != DnsDriver::Dnsmasq {
            return;
        }
        let cannot = [
            (!dns.update.is_empty(), "update", "does not support updates"),
            (dns.transfer.is_some(), "transfer", "does not support zone transfers with a key"),
            (dns.rate.is_some(), "rate", "does not support rate limits"),
        ];
        for (_, key, what) in cannot.into_iter().filter(|(said, _, _)| *said) {
            let message = format!("dnsmasq {what}");
            self.tell(
                "stack.dns.driver",
                format!("dns.{key}"),
                message,
                "write driver: embedded or driver: bind",
            );
        }
    }

    fn record(&mut self, key: &str, record: &'s Record, names: &Names<'_>) {
        let path = |field: &str| format!("dns.records.{key}.{field}");
        let leads = !record.a.is_empty()
            || !record.aaaa.is_empty()
            || !record.ptr.is_empty()
            || !record.ns.is_empty();
        let others = leads
            || !record.mx.is_empty()
            || !record.txt.is_empty()
            || !record.srv.is_empty()
            || !record.caa.is_empty();
        if !others && record.cname.is_none() && !self.unread(&format!("dns.records.{key}")) {
            let message = "this name has no record".to_owned();
            self.tell(
                "stack.dns.empty",
                format!("dns.records.{key}"),
                message,
                "write an address, or a map like { txt: [v=spf1] }",
            );
        }
        if record.cname.is_some() && (others || key == "@") {
            let (message, hint) = match key {
                "@" => ("the domain itself cannot have a cname", "write a: with the addresses"),
                _ => (
                    "a name with a cname cannot have other records (RFC 1034 3.6.2)",
                    "remove cname or the other records",
                ),
            };
            self.tell("stack.dns.cname", path("cname"), message.to_owned(), hint);
        }
        if let Some(owner) =
            names.owned.get(&whole(self.stack, key)).filter(|_| leads || record.cname.is_some())
        {
            let message = format!("this name is used by {owner}");
            self.tell("stack.dns.name", format!("dns.records.{key}"), message, "choose another name");
        }
        for (i, network) in record.networks.iter().enumerate() {
            self.network(network, || path(&format!("networks.{i}")));
        }
        for (field, target) in targets(record) {
            if let Some(hint) = names.astray(target) {
                let message = format!("`{target}` does not exist");
                self.tell("stack.dns.target", path(&field), message, hint);
            }
        }
    }

    /// Cycles of CNAME records.
    fn aliases(&mut self, dns: &'s Dns, names: &Names<'_>) {
        let next: BTreeMap<String, (&str, String)> = dns
            .records
            .iter()
            .filter_map(|(key, record)| {
                Some((whole(self.stack, key), (key.as_str(), names.meant(record.cname.as_ref()?)?)))
            })
            .collect();
        let mut told: Vec<&str> = Vec::new();
        for start in next.keys() {
            let mut chain: Vec<&str> = Vec::new();
            let mut at = start;
            while let Some((key, to)) = next.get(at) {
                if chain.contains(key) {
                    break;
                }
                chain.push(key);
                at = to;
            }
            if at == start && !chain.is_empty() && !chain.iter().any(|key| told.contains(key)) {
                let message = format!("a cycle of cname records: {}, {}", chain.join(", "), chain[0]);
                self.tell(
                    "stack.dns.circle",
                    format!("dns.records.{}.cname", chain[0]),
                    message,
                    "give one of them an address",
                );
                told.extend(chain);
            }
        }
    }

    /// Clients that may change names, and servers that may transfer the zone.
    fn changed(&mut self, dns: &'s Dns) {
        if let Some(host) = &dns.host
            && self.host(host, || "dns.host".to_owned()).is_some()
        {
            self.answers(host);
        }
        for (name, update) in dns.update.iter().filter(|(_, update)| !update.key.is_empty()) {
            self.secret(&update.key, || format!("dns.update.{name}.key"));
        }
        if let Some(key) = dns.transfer.as_ref().and_then(|transfer| transfer.key.as_ref()) {
            self.secret(key, || "dns.transfer.key".to_owned());
        }
    }
}

impl Check<'_> {
    /// The host that keeps the names needs a server, which is where a gateway is.
    fn answers(&mut self, host: &str) {
        let gateways = self.stack.networks.values().filter_map(|network| network.gateway.as_deref());
        let gateways: BTreeSet<&str> = gateways.collect();
        if gateways.contains(host) || self.unread("networks") {
            return;
        }
        let message = format!("{host} is the gateway of no network, so it has no server of names");
        let hint = format!("write one of {}", gateways.into_iter().collect::<Vec<_>>().join(", "));
        self.tell("stack.dns.host", "dns.host".to_owned(), message, hint);
    }
}

/// The targets of a record, by key.
fn targets(record: &Record) -> Vec<(String, &str)> {
    let last = |text: &'_ str| text.rfind(' ').map_or(0, |at| at + 1);
    let mut all: Vec<(String, &str)> = Vec::new();
    all.extend(record.cname.iter().map(|target| ("cname".to_owned(), target.as_str())));
    for (field, texts) in [("mx", &record.mx), ("srv", &record.srv), ("ptr", &record.ptr), ("ns", &record.ns)]
    {
        all.extend(texts.iter().enumerate().map(|(i, text)| (format!("{field}.{i}"), &text[last(text)..])));
    }
    all
}
