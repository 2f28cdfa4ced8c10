//! The configuration of dnsmasq, which answers everybody alike. Pure.

use super::private::private;
use super::seen;
use crate::model::{Config, Data, View};
use common::plan::{FOLDER, Program};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// dnsmasq with its file. It becomes a user of its own by itself, after it has opened its sockets.
pub fn dnsmasq(config: &Config) -> Program {
    let conf = format!("--conf-file={FOLDER}/dnsmasq.conf");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let fixed = [("dnsmasq.conf".to_owned(), text(config))].into();
    Program {
        argv: words(&["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--pid-file", &conf]),
        fixed,
        check: words(&["dnsmasq", "--test", &conf]),
        listen: config.listen.clone(),
        ..Default::default()
    }
}

fn text(config: &Config) -> String {
    let mut text = String::from(
        "# made by lsx-dns\nno-hosts\nno-resolv\nno-poll\nbind-interfaces\nexcept-interface=lo\n",
    );
    let mut line = |line: String| _ = writeln!(text, "{line}");
    config.listen.iter().for_each(|at| line(format!("listen-address={}", at.ip())));
    line(format!("cache-size={}", config.cache));
    line(format!("local-ttl={}", config.ttl));
    line(format!("neg-ttl={}", config.negative_ttl));
    if config.log {
        line("log-queries".to_owned());
    }
    config.zones.iter().cloned().chain(private(config)).for_each(|zone| line(format!("local=/{zone}/")));
    config.forward.iter().for_each(|server| line(format!("server={server}")));
    for (zone, servers) in &config.beyond {
        servers.iter().for_each(|server| line(format!("server=/{zone}/{server}")));
    }
    // All views are alike, or the plan is refused.
    let everything = View::default();
    let view = config.views.first().unwrap_or(&everything);
    let lines: BTreeSet<String> =
        seen(config, view).map(|entry| record(&entry.name, &entry.data, entry.ttl)).collect();
    lines.into_iter().for_each(line);
    text
}

fn record(name: &str, data: &Data, ttl: Option<u32>) -> String {
    let ttl = ttl.map(|ttl| format!(",{ttl}")).unwrap_or_default();
    match data {
        Data::A(address) => format!("host-record={name},{address}{ttl}"),
        Data::Aaaa(address) => format!("host-record={name},{address}{ttl}"),
        Data::Cname(target) => format!("cname={name},{target}{ttl}"),
        Data::Mx(preference, host) => format!("mx-host={name},{host},{preference}"),
        Data::Txt(text) => format!("txt-record={name},{}", quoted(text)),
        Data::Srv(priority, weight, port, host) => {
            format!("srv-host={name},{host},{port},{priority},{weight}")
        }
        Data::Ptr(target) => format!("ptr-record={name},{target}"),
        Data::Caa(flags, tag, value) => format!("caa-record={name},{flags},{tag},{}", quoted(value)),
        // The plan refuses both.
        Data::Ns(_) | Data::Other(..) => format!("# left out: {name}"),
    }
}

/// A text in quotes, in strings of 255 bytes.
fn quoted(text: &str) -> String {
    let strings = text.as_bytes().chunks(255).map(|part| {
        let part = String::from_utf8_lossy(part);
        format!("\"{}\"", part.replace('\\', "\\\\").replace('"', "\\\""))
    });
    strings.collect::<Vec<_>>().join(",")
}
