//! Published ports: `8080:80`, ranges, addresses, and the long form.

use super::{At, Import, items, text, under};
use serde_json::{Map, Value, json};

/// One entry, as far as lsx supports it.
#[derive(Default)]
struct Port {
    listen: String,
    to: String,
    protocol: String,
    address: String,
}

impl Import<'_> {
    pub(super) fn ports(&self, at: At<'_, '_>, replicas: usize) -> Option<Value> {
        let mut all = Vec::new();
        items(at, |at| all.extend(self.port(at, replicas)));
        (!all.is_empty()).then_some(Value::Array(all))
    }

    fn port(&self, at: At<'_, '_>, replicas: usize) -> Option<Value> {
        let port = if at.node.entries().is_some() { long(at) } else { short(&text(at)?) };
        let Port { listen, to, protocol, address } = port;
        let width = |text: &str| {
            text.split_once('-').map_or(Some(0), |(a, b)| b.parse::<i64>().ok()?.checked_sub(a.parse().ok()?))
        };
        if listen.is_empty() {
            self.lose(
                at,
                format!("port {to} has no published port; Docker would choose one"),
                "write it, like \"8080:80\"",
            );
        } else if width(&listen) != width(&to) {
            self.lose(
                at,
                format!("Docker would choose one of the ports {listen} for {to}"),
                "write one, like \"8080:80\"",
            );
        } else if address.starts_with("127.") || address == "localhost" || address.contains(':') {
            let hint = "for access from the host only, write allow: [{ from: host/NAME, to: instance/NAME, ports: [80] }]";
            self.lose(
                at,
                format!(
                    "port {listen} on {address} is not published: only IPv4 addresses of a host, except loopback, are supported"
                ),
                hint,
            );
        } else if replicas > self.options.hosts.len().max(1) {
            let hint = "publish only one of them, or use `balance`, see lsx-stack(5)";
            self.lose(
                at,
                format!("port {listen} cannot be published for {replicas} instances of one host"),
                hint,
            );
        } else {
            return Some(entry(&listen, &to, &protocol, &address));
        }
        None
    }
}

fn entry(listen: &str, to: &str, protocol: &str, address: &str) -> Value {
    let udp = if protocol.is_empty() || protocol == "tcp" { String::new() } else { format!("/{protocol}") };
    if address.is_empty() || address == "0.0.0.0" {
        return json!(format!("{listen}:{to}{udp}"));
    }
    let mut map = Map::new();
    map.insert("listen".to_owned(), json!(listen));
    map.insert("to".to_owned(), json!(to));
    map.insert("address".to_owned(), json!(address));
    if !udp.is_empty() {
        map.insert("protocol".to_owned(), json!(protocol));
    }
    Value::Object(map)
}

/// `[ADDRESS:][LISTEN:]TO[/PROTOCOL]`.
fn short(text: &str) -> Port {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, ""));
    let mut parts = ports.rsplitn(3, ':');
    let to = parts.next().unwrap_or_default().to_owned();
    let listen = parts.next().unwrap_or_default().to_owned();
    let address = parts.next().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Port { listen, to, protocol: protocol.to_owned(), address }
}

fn long(at: At<'_, '_>) -> Port {
    let get = |key| under(at, key).unwrap_or_default();
    Port { listen: get("published"), to: get("target"), protocol: get("protocol"), address: get("host_ip") }
}
