//! Services of instances by their ports: `_http._tcp.web.production.internal` for the ports that the host publishes and the one that
//! `ready` probes (RFC 2782), if IANA has a name for it; the document names others in `dns.services`. Pure.

use super::names::{base_of, name_on};
use crate::model::{Data, Entry, Seen};
use common::stack::resolved::Resolved;
use common::stack::{Instance, Protocol, Ready, Stack};
use std::collections::BTreeSet;

/// Names of ports (IANA's registry, RFC 6335) that people look for; `true` for those that are also UDP.
const NAMES: [(u16, &str, bool); 30] = [
    (21, "ftp", false),
    (22, "ssh", false),
    (25, "smtp", false),
    (53, "domain", true),
    (80, "http", false),
    (88, "kerberos", true),
    (110, "pop3", false),
    (123, "ntp", true),
    (143, "imap", false),
    (161, "snmp", true),
    (389, "ldap", false),
    (443, "https", false),
    (465, "submissions", false),
    (514, "syslog", true),
    (587, "submission", false),
    (636, "ldaps", false),
    (853, "domain-s", false),
    (873, "rsync", false),
    (993, "imaps", false),
    (995, "pop3s", false),
    (1883, "mqtt", false),
    (2049, "nfs", false),
    (3306, "mysql", false),
    (3389, "ms-wbt-server", false),
    (5060, "sip", true),
    (5432, "postgresql", false),
    (5671, "amqps", false),
    (5672, "amqp", false),
    (6379, "redis", false),
    (8080, "http-alt", false),
];

/// All records; `written` are names that have records already, which count.
pub(super) fn records(stack: &Stack, resolved: &Resolved, written: &BTreeSet<String>) -> Vec<Entry> {
    let mut all = Vec::new();
    for at in &resolved.instances {
        let Some(instance) = stack.instances.get(&at.of) else { continue };
        let services = services(instance);
        for nic in at.nics.iter().filter(|nic| !nic.address.addr().is_unspecified()) {
            let Some(target) = name_on(stack, resolved, at, nic) else { continue };
            let domain = stack.network_domain(&nic.network);
            let entry = |(label, port): &(String, u16)| Entry {
                name: format!("{label}.{}.{domain}", base_of(stack, at)),
                data: Data::Srv(0, 0, *port, target.clone()),
                ttl: None,
                seen: Seen::Reaching(nic.address.addr()),
                of: format!("instances.{}", at.of),
            };
            all.extend(services.iter().map(entry).filter(|entry| !written.contains(&entry.name)));
        }
    }
    all
}

/// Labels with ports, such as `_http._tcp`.
fn services(instance: &Instance) -> BTreeSet<(String, u16)> {
    let published = instance.ports.iter().map(|port| (port.to, port.protocol));
    let ready = instance.ready.as_ref();
    let known = ready.and_then(probed);
    let probed = known.map(|(port, _)| (port, Protocol::Tcp));
    // By HTTP it is a web server, whatever its port.
    let web = known.and_then(|(port, name)| name.map(|name| (format!("_{name}._tcp"), port)));
    let named = |(port, protocol)| Some((label(port, protocol)?, port));
    published.chain(probed).filter_map(named).chain(web).collect()
}

fn label(port: u16, protocol: Protocol) -> Option<String> {
    let (word, datagrams) = match protocol {
        Protocol::Tcp => ("tcp", false),
        Protocol::Udp => ("udp", true),
    };
    let known = |(number, _, both): &&(u16, &str, bool)| *number == port && (*both || !datagrams);
    let (_, name, _) = NAMES.iter().find(known)?;
    Some(format!("_{name}._{word}"))
}

/// The port of a probe, and the name of its protocol if the probe says it.
fn probed(ready: &Ready) -> Option<(u16, Option<&'static str>)> {
    let http = ready.http.as_ref().map(|http| (http.port, Some("http")));
    let https = ready.https.as_ref().map(|https| (https.port, Some("https")));
    let banner = ready.banner.as_ref().map(|banner| (banner.port, None));
    ready.tcp.map(|port| (port, None)).or(http).or(https).or(banner)
}
