//! The load balancers of a host as a configuration of HAProxy. Pure.
//!
//! Words of the document are escaped byte by byte, so that none of them can end a line, a quotation or a word.

use super::{certificates, folder, inner_balance};
use crate::model::{Backend, Balancer, Desired, Health};
use common::stack::{Algorithm, Mode, Sticky};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// The text of the configuration, without the line that says which it is; see [`whole`].
pub(crate) fn balance(desired: &Desired) -> String {
    let mut text = certificates::head(desired) + &global(&folder(&desired.stack));
    let mut doors: BTreeMap<(u16, Option<Ipv4Addr>), Vec<&Balancer>> = BTreeMap::new();
    for one in &desired.balance {
        for port in &one.listen {
            doors.entry((*port, one.address)).or_default().push(one);
        }
    }
    for ((port, address), sharing) in doors {
        text += &frontend(desired, port, address, &sharing);
    }
    for one in &desired.balance {
        text += &backend(one);
    }
    if text.contains("default_backend nobody.\n") {
        text += NOBODY;
    }
    text
}

/// The whole file: the server itself reports the digest that it has loaded (`show info`).
pub(crate) fn whole(text: &str, digest: &str) -> String {
    format!("{text}{LAST}{digest}\n")
}

/// The digest in a whole file.
pub(crate) fn digest_in(whole: &str) -> Option<&str> {
    whole.rsplit_once(LAST).map(|(_, digest)| digest.trim_end())
}

/// The rest of a whole file.
pub(crate) fn text_in(whole: &str) -> Option<&str> {
    whole.rsplit_once(LAST).map(|(text, _)| text)
}

/// How the end of a whole file begins.
const LAST: &str = "global\n\tdescription lsx:";

/// A replica that acknowledges nothing for five seconds is gone with its host: its connections end and do not wait for
/// `timeout`. One that only takes long acknowledges what it gets. (`default-server` ignores `tcp-ut` in HAProxy 2.6.)
const GONE: &str = "\toption srvtcpka\n\tsrvtcpka-idle 5s\n\tsrvtcpka-intvl 2s\n";

fn global(folder: &str) -> String {
    format!(
        "# Written by lsx-net, which replaces it.\n\
         global\n\
         \tuser haproxy\n\
         \tgroup haproxy\n\
         \tchroot {folder}/root\n\
         \tstats socket {folder}/stats mode 600 level admin expose-fd listeners\n\
         \tstats timeout 1h\n\
         \tserver-state-file {folder}/states\n\
         \tfd-hard-limit 40100\n\
         \tssl-default-bind-options ssl-min-ver TLSv1.2\n\
         defaults\n\
         \tload-server-state-from-file global\n\
         \ttimeout connect 5s\n\
         \ttimeout queue 5s\n\
         \ttimeout http-request 30s\n\
         \tretries 2\n\
         \toption redispatch 1\n{GONE}"
    )
}

/// A balancer by one of its host names, or by none.
type Route<'a> = (&'a Balancer, Option<&'a str>);

/// The order of routes on a port: the more specific first. Host names before host names with `*.`, longer paths first, and
/// what takes everything last.
fn rank<'a>((one, name): &Route<'a>) -> (usize, usize, usize, &'a str) {
    let long = |length: usize| usize::MAX - length;
    let (names, wild) = match name {
        Some(name) if name.starts_with("*.") => (1, name.len()),
        Some(_) => (0, 0),
        None => (2, 0),
    };
    (names, long(wild), long(one.path.as_ref().map_or(0, String::len)), &one.name)
}

fn frontend(desired: &Desired, port: u16, address: Option<Ipv4Addr>, sharing: &[&Balancer]) -> String {
    let Some(first) = sharing.first() else { return String::new() };
    let inner = inner_balance(desired, address, port);
    let timeout = sharing.iter().map(|one| one.timeout_ms).max().unwrap_or_default();
    let mode = if first.mode == Mode::Http { "http" } else { "tcp" };
    let mut text = format!("frontend port.{inner}\n\tmode {mode}\n\ttimeout client {timeout}ms\n");
    let ends = sharing.iter().filter(|one| port != 80 && one.mode != Mode::Tls);
    let certificates = certificates::arguments(&desired.stack, ends.copied());
    let alpn = if first.mode == Mode::Http { " alpn h2,http/1.1" } else { "" };
    let ssl = if certificates.is_empty() { String::new() } else { format!(" ssl{certificates}{alpn}") };
    let _ = writeln!(text, "\tbind 0.0.0.0:{inner}{ssl}");
    text += match first.mode {
        Mode::Tcp => "",
        // A reload closes an idle connection only with an answer, so that no request is lost.
        Mode::Http => "\toption idle-close-on-response\n\thttp-request set-header X-Forwarded-For %[src]\n",
        Mode::Tls => {
            "\ttcp-request inspect-delay 5s\n\ttcp-request content accept if { req.ssl_hello_type 1 }\n"
        }
    };
    if first.mode == Mode::Http {
        let scheme = if ssl.is_empty() { "http" } else { "https" };
        let _ = writeln!(text, "\thttp-request set-header X-Forwarded-Proto {scheme}");
    }
    let mut routes: Vec<Route<'_>> = Vec::new();
    for one in sharing {
        routes.extend(one.hostname.iter().map(|name| (*one, Some(name.as_str()))));
        routes.extend(one.hostname.is_empty().then_some((*one, None)));
    }
    routes.sort_by_key(rank);
    routes.iter().for_each(|one| text += &route(*one));
    if first.mode == Mode::Http && !sharing.iter().any(|one| one.hostname.is_empty() && one.path.is_none()) {
        text += "\tdefault_backend nobody.\n";
    }
    text
}

/// For requests that belong to no balancer; no balancer has its name.
const NOBODY: &str = "backend nobody.\n\tmode http\n\thttp-request deny deny_status 404\n";

/// Which requests or connections of a port belong to a balancer.
fn route((one, name): Route<'_>) -> String {
    let mut when = String::new();
    let asked = match one.mode {
        Mode::Tls => "req.ssl_sni,lower",
        Mode::Tcp | Mode::Http => "req.hdr(host),host_only,lower",
    };
    if let Some(name) = name {
        let (how, name) = name.strip_prefix('*').map_or(("str", name), |tail| ("end", tail));
        let _ = write!(when, " {{ {asked} -m {how} -- {} }}", word(name));
    }
    if let Some(path) = one.path.as_deref().map(|path| path.trim_end_matches('/')).filter(|p| !p.is_empty()) {
        let _ = write!(when, " {{ path,concat(/) -m beg -- {} }}", word(&format!("{path}/")));
    }
    match when.as_str() {
        "" => format!("\tdefault_backend {}\n", one.name),
        when => format!("\tuse_backend {} if{when}\n", one.name),
    }
}

fn backend(one: &Balancer) -> String {
    let http = one.mode == Mode::Http;
    let mut text = format!("backend {}\n\tmode {}\n", one.name, if http { "http" } else { "tcp" });
    let by = match (one.sticky, one.algorithm) {
        // Without a table, so that a reload or a second balancer chooses the same replica.
        (Some(Sticky::Source), _) | (_, Algorithm::Source) => "source\n\thash-type consistent",
        (_, Algorithm::RoundRobin) => "roundrobin",
        (_, Algorithm::LeastConn) => "leastconn",
        (_, Algorithm::Random) => "random(2)",
    };
    let _ = writeln!(text, "\tbalance {by}\n\ttimeout server {}ms", one.timeout_ms);
    if !one.from.is_empty() {
        let from: Vec<String> = one.from.iter().map(ToString::to_string).collect();
        let refuse = if http { "http-request deny" } else { "tcp-request content reject" };
        let _ = writeln!(text, "\t{refuse} unless {{ src {} }}", from.join(" "));
    }
    if http {
        // A request that changes something is not sent twice once its replica may have seen it.
        text += "\tretry-on conn-failure empty-response\n\
                 \thttp-request disable-l7-retry unless { method GET HEAD OPTIONS }\n";
    }
    match one.redirect {
        Some(443) => text += "\thttp-request redirect scheme https code 301 unless { ssl_fc }\n",
        Some(to) => {
            let target = format!("https://%[req.hdr(host),host_only]:{to}%[capture.req.uri]");
            let _ = writeln!(text, "\thttp-request redirect location {target} code 301 unless {{ ssl_fc }}");
        }
        None => {}
    }
    if one.sticky == Some(Sticky::Cookie) {
        let plain = one.listen.contains(&80) && one.redirect.is_none();
        let secure = if one.tls.is_some() && !plain { " secure" } else { "" };
        let _ = writeln!(text, "\tcookie lsx-{} insert indirect nocache httponly{secure}", one.name);
    }
    text += &health(&one.health);
    for backend in &one.backends {
        text += &server(one, backend);
    }
    text
}

fn health(health: &Health) -> String {
    match health {
        Health::Tcp(_) => String::new(),
        Health::Http { path, .. } => format!(
            "\toption httpchk\n\thttp-check send meth GET uri {} ver HTTP/1.1 hdr Host localhost hdr Connection close\n\
             \thttp-check expect rstatus ^[23]\n",
            word(path)
        ),
        Health::Banner { holds, .. } => {
            format!("\toption tcp-check\n\ttcp-check connect\n\ttcp-check expect string {}\n", word(holds))
        }
    }
}

fn server(one: &Balancer, backend: &Backend) -> String {
    let Backend { name, address, port, weight } = backend;
    let (asked, tls) = match &one.health {
        Health::Tcp(port) | Health::Banner { port, .. } => (*port, false),
        Health::Http { port, tls, .. } => (*port, *tls),
    };
    let mut text = format!(
        "\tserver {name} {address}:{port} weight {weight} tcp-ut 5s check inter 2s fastinter 500ms downinter 1s fall 2 rise 1"
    );
    if asked != *port {
        let _ = write!(text, " port {asked}");
    }
    if tls {
        text += " check-ssl verify none";
    }
    if one.proxy {
        text += " send-proxy-v2";
        text += if asked == *port { " check-send-proxy" } else { "" };
    }
    if one.sticky == Some(Sticky::Cookie) {
        let _ = write!(text, " cookie {name}");
    }
    text + "\n"
}

/// A word of the document: letters, digits and a few signs as they are, every other byte by its number.
fn word(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'/' | b':' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => _ = write!(escaped, "\\x{byte:02x}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn no_word_ends_a_line_or_a_quotation() {
        assert_eq!(word("/a-b_c.d:e~"), "/a-b_c.d:e~");
        assert_eq!(word("a b\n\"'\\#$"), "a\\x20b\\x0a\\x22\\x27\\x5c\\x23\\x24");
        assert!(word("é").bytes().all(|b| b.is_ascii_graphic()));
    }
}
