//! Networks: each service joins its networks, or the default one.

use super::{At, Import, each, items, text, truth, under};
use crate::decode::hint;
use crate::value::{address, cidr};
use ipnet::Ipv4Net;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

impl Import<'_> {
    /// The networks of a service; `used` gets the names of the file.
    pub(super) fn joined(&self, service: At<'_, '_>, used: &mut BTreeSet<String>) -> Value {
        if let Some(at) = service.child("network_mode") {
            match at.node.text() {
                Some("none") => return json!([]),
                Some("bridge") => {}
                Some(mode) => {
                    let hint = "the service joins its networks instead; publish ports with `ports`";
                    self.lose(at, format!("network_mode {mode} is not converted"), hint);
                }
                None => {}
            }
        }
        let mut all = Vec::new();
        if let Some(at) = service.child("networks") {
            if at.node.entries().is_some() {
                each(at, |key, at| all.extend(self.join(key, at, used)));
            } else {
                items(at, |at| all.extend(text(at).and_then(|key| self.join(&key, at, used))));
            }
        }
        if all.is_empty() {
            all.extend(self.join("default", service, used));
        }
        Value::Array(all)
    }

    fn join(&self, key: &str, at: At<'_, '_>, used: &mut BTreeSet<String>) -> Option<Value> {
        let Some(own) = self.networks.get(key) else {
            let message = format!("there is no network `{key}`");
            at.key_mistake("compose.network", message, hint(key, self.networks.written()));
            return None;
        };
        used.insert(key.to_owned());
        if key == "default" && at.child("image").is_some() {
            return Some(json!(own)); // not a name: the value is the service
        }
        let mut fixed = None;
        each(at, |key, at| match key {
            "ipv4_address" => fixed = text(at),
            "aliases" => {
                let message = "other names of a service are not converted".to_owned();
                self.lose(at, message, "use the name of the instance, or NAME.NETWORK.internal");
            }
            "priority" => {}
            _ => self.lose(at, format!("`{key}` of a network is not converted"), ""),
        });
        Some(fixed.map_or_else(|| json!(own), |address| json!({ "name": own, "address": [address] })))
    }

    /// The networks in use, with derived addresses if the file has none.
    pub(super) fn network_section(
        &self,
        written: Option<At<'_, '_>>,
        used: &BTreeSet<String>,
        stack: &str,
    ) -> Value {
        let mut taken: Vec<Ipv4Net> = Vec::new();
        let given = |key: &str| written.and_then(|at| subnet(at.child(key)?));
        taken.extend(used.iter().filter_map(|key| given(key)));
        let mut all = Map::new();
        for key in used {
            let Some(own) = self.networks.get(key) else { continue };
            let net = given(key).unwrap_or_else(|| {
                let free = free(stack, &taken);
                taken.push(free);
                free
            });
            let mut map =
                Map::from_iter([("cidr".to_owned(), json!(net)), ("gateway".to_owned(), json!(self.host()))]);
            if let Some(section) = &written
                && let Some(at) = section.child(key)
            {
                self.network(key, at, &mut map);
            }
            all.insert(own.to_owned(), Value::Object(map));
        }
        Value::Object(all)
    }

    fn network(&self, name: &str, at: At<'_, '_>, map: &mut Map<String, Value>) {
        each(at, |key, at| match key {
            "internal" if truth(at) => _ = map.insert("egress".to_owned(), json!(false)),
            "internal" | "name" | "attachable" | "labels" => {}
            "driver" if matches!(at.node.text(), Some("bridge" | "overlay" | "default")) => {}
            "external" if !truth(at) => {}
            "external" => {
                let hint = "stacks do not share networks: publish ports, or write both as one stack";
                self.differs(
                    at,
                    format!("network `{name}` becomes a network of this stack, not the existing one"),
                    hint,
                );
            }
            "ipam" => {
                let gateway = at.child("config").and_then(|at| first(at, "gateway"));
                if let Some(gateway) = gateway.filter(|text| address(text).is_ok()) {
                    map.insert("gateway_address".to_owned(), json!(gateway));
                }
            }
            _ => self.lose(at, format!("`{key}` of network `{name}` is not converted"), ""),
        });
    }
}

/// The IPv4 network of a file.
fn subnet(at: At<'_, '_>) -> Option<Ipv4Net> {
    cidr(&first(at.child("ipam")?.child("config")?, "subnet")?).ok()
}

/// The first value under a key in a list of maps that is not IPv6.
fn first(at: At<'_, '_>, key: &str) -> Option<String> {
    let mut found = None;
    items(at, |at| {
        let value = under(at, key).filter(|value| !value.contains(':'));
        found = found.take().or(value);
    });
    found
}

/// A free /24 of 10.192.0.0/10, beginning at a place that depends on the stack's name.
fn free(stack: &str, taken: &[Ipv4Net]) -> Ipv4Net {
    let hash = Sha256::digest(stack.as_bytes());
    let begin = u32::from_be_bytes([0, 0, hash[0], hash[1]]) & 0x3fff;
    let net = |n: u32| {
        let base = u32::from(Ipv4Addr::new(10, 192, 0, 0)) | ((begin + n) & 0x3fff) << 8;
        Ipv4Net::new_assert(Ipv4Addr::from(base), 24)
    };
    let clear = |net: &Ipv4Net| !taken.iter().any(|other| other.contains(net) || net.contains(other));
    (0..0x4000).map(net).find(clear).unwrap_or_else(|| net(0))
}
