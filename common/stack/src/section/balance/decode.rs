//! Load balancers on the routers of hosts: reads them from the document.

use super::{Algorithm, Balance, Mode, Sticky};
use crate::decode::at::{At, string, truth};
use crate::value::{address, cidr_or_address, hostname, path, port};
use std::collections::BTreeMap;

const MODES: [(&str, Mode); 3] = [("tcp", Mode::Tcp), ("http", Mode::Http), ("tls", Mode::Tls)];
const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("roundrobin", Algorithm::RoundRobin),
    ("leastconn", Algorithm::LeastConn),
    ("source", Algorithm::Source),
    ("random", Algorithm::Random),
];
const STICKY: [(&str, Sticky); 2] = [("cookie", Sticky::Cookie), ("source", Sticky::Source)];

pub(crate) fn balance(at: At<'_, '_>) -> Option<Balance> {
    let table = at.table()?;
    let balance = Balance {
        host: table.need("host", string).unwrap_or_default(),
        listen: table.need("listen", |at| at.many(|at| at.parse(port))).unwrap_or_default(),
        address: table.get("address", |at| at.parse(address)),
        hostname: table.get("hostname", |at| at.many(|at| at.parse(hostname))).unwrap_or_default(),
        path: table.get("path", |at| at.parse(path)),
        to: table.need("to", string).unwrap_or_default(),
        port: table.need("port", |at| at.parse(port)).unwrap_or_default(),
        network: table.get("network", string),
        mode: table.get("mode", |at| at.word(&MODES)),
        algorithm: table.get("algorithm", |at| at.word(&ALGORITHMS)),
        weight: table.get("weight", weights).unwrap_or_default(),
        drain: table.get("drain", |at| at.many(string)).unwrap_or_default(),
        sticky: table.get("sticky", |at| at.word(&STICKY)),
        tls: table.get("tls", string),
        redirect: table.get("redirect", truth).unwrap_or_default(),
        proxy: table.get("proxy", truth).unwrap_or_default(),
        timeout: table.get("timeout", |at| at.span(1, 86400)),
        from: table.get("from", |at| at.many(|at| at.parse(cidr_or_address))).unwrap_or_default(),
    };
    table.finish();
    Some(balance)
}

/// Weights by replica. Whether the replicas exist is checked by a rule.
fn weights(at: At<'_, '_>) -> Option<BTreeMap<String, u32>> {
    at.entries(|_, _| {}, |at| at.number(0, 256))
}
