//! The configuration of BIND: a view for each group of sources, with the zones as it sees them. Pure.

use super::private::private;
use super::{addressed, zone};
use crate::model::{Config, View};
use common::plan::{FOLDER, Program, Reload};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Bytes of the cache for each answer, about; BIND's smallest cache.
const ANSWER: u64 = 1024;
const LEAST: u64 = 2 * 1024 * 1024;

/// named with its files. It becomes the user `bind` by itself, after it has opened its sockets.
pub fn bind(config: &Config) -> Program {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let conf = format!("{FOLDER}/named.conf");
    let mut files = BTreeMap::new();
    let text = named(config, &mut files);
    files.insert("named.conf".to_owned(), text);
    Program {
        argv: words(&["named", "-g", "-u", "bind", "-c", &conf]),
        files,
        check: words(&["named-checkconf", "-z", &conf]),
        reload: Reload::Hup,
        group: Some("bind".to_owned()),
        listen: config.listen.clone(),
        ..Default::default()
    }
}

fn named(config: &Config, files: &mut BTreeMap<String, String>) -> String {
    let mut text = options(config);
    let empty = format!(
        "$TTL {0}\n@ IN SOA @ nobody.invalid. ( 1 3600 600 604800 {0} )\n@ IN NS @\n",
        config.negative_ttl
    );
    files.insert("empty.zone".to_owned(), format!("{empty}@ IN A 127.0.0.1\n"));
    files.insert("localhost.zone".to_owned(), format!("{empty}@ IN A 127.0.0.1\n* IN A 127.0.0.1\n"));
    let mut same: BTreeMap<String, String> = BTreeMap::new();
    // Who reaches no server asks none; BIND takes no zone whose server has no address.
    let server = format!("ns.{}", config.domain);
    let asking =
        config.views.iter().enumerate().filter(|(_, view)| addressed(config, view).contains(server.as_str()));
    for (number, view) in asking {
        let _ = writeln!(text, "view \"v{number}\" {{\n\tmatch-clients {{ {} }};", sources(config, view));
        for apex in &config.zones {
            let Some(zone) = zone(config, view, apex, 1) else { continue };
            // Most zones are the same for all views.
            let next = format!("{}.zone", same.len());
            let file = same.entry(zone.clone()).or_insert(next).clone();
            let _ = writeln!(text, "\t{}", primary(apex, &file));
            files.insert(file, zone);
        }
        for apex in private(config) {
            let file = if apex == "localhost" { "localhost.zone" } else { "empty.zone" };
            let _ = writeln!(text, "\t{}", primary(&apex, file));
        }
        for (zone, servers) in &config.beyond {
            let all = listed(servers);
            let _ = writeln!(
                text,
                "\tzone \"{zone}\" {{ type forward; forward only; forwarders {{ {all} }}; }};"
            );
        }
        text.push_str("};\n");
    }
    text
}

fn primary(apex: &str, file: &str) -> String {
    // Names of a delegated zone are asked from its servers, not from those for all other names.
    format!("zone \"{apex}\" {{ type primary; file \"{FOLDER}/{file}\"; forwarders {{ }}; }};")
}

fn options(config: &Config) -> String {
    let listen: Vec<Ipv4Addr> = config.listen.iter().map(|at| *at.ip()).collect();
    let forward = match config.forward.as_slice() {
        [] => "forwarders { };".to_owned(),
        servers => format!("forward only;\n\tforwarders {{ {} }};", listed(servers)),
    };
    let recursion = if config.forward.is_empty() && config.beyond.is_empty() { "no" } else { "yes" };
    let cache = u64::from(config.cache).saturating_mul(ANSWER).max(LEAST);
    let log = if config.log { "yes" } else { "no" };
    format!(
        "// made by lsx-dns\noptions {{\n\tdirectory \"/var/cache/bind\";\n\tlisten-on {{ {} }};\n\tlisten-on-v6 {{ none; }};\n\tpid-file none;\n\t\
         session-keyfile none;\n\tversion none;\n\trecursion {recursion};\n\t{forward}\n\tallow-query {{ any; }};\n\tallow-transfer {{ none; }};\n\t\
         allow-update {{ none; }};\n\tnotify no;\n\tdnssec-validation no;\n\tminimal-responses yes;\n\tminimal-any yes;\n\tempty-zones-enable no;\n\t\
         check-names primary ignore;\n\tcheck-integrity no;\n\tmax-cache-size {cache};\n\tquerylog {log};\n}};\ncontrols {{ }};\n",
        listed(&listen)
    )
}

/// The sources of a view. The first match counts, so what belongs to another view, and is more specific, is excluded before.
fn sources(config: &Config, view: &View) -> String {
    let within = |net: &Ipv4Net| view.from.iter().any(|own| own.contains(net));
    let all = config.views.iter().flat_map(|of| of.from.iter().map(move |net| (net, of == view)));
    let mut all: Vec<(&Ipv4Net, bool)> = all.filter(|(net, own)| *own || within(net)).collect();
    all.sort_by_key(|(net, own)| (std::cmp::Reverse(net.prefix_len()), **net, *own));
    let word = |(net, own): &(&Ipv4Net, bool)| format!("{}{net};", if *own { "" } else { "! " });
    all.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn listed(servers: &[Ipv4Addr]) -> String {
    servers.iter().map(|server| format!("{server};")).collect::<Vec<_>>().join(" ")
}
